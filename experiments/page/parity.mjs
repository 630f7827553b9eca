// Drives harness.ts in Chromium: node parity.mjs FOLDER [gpu]; run by parity.py.
//
// FOLDER has key.onnx, centerface.onnx, protector.onnx, photos (*.jpg) and tasks.json: {photos: [...], targets: [[...]]}.
// Writes read.json: {threads, photos: [...], painted: [...]}.
import { createServer } from "node:http";
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, extname, join } from "node:path";
import { argv } from "node:process";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const web = join(here, "..", "..", "web");
const require = createRequire(join(web, "package.json"));
const { build } = require("esbuild");
const { chromium } = require("playwright-core");
const [, , folder, gpu] = argv;

const made = await build({
  entryPoints: [join(here, "harness.ts")],
  bundle: true,
  format: "esm",
  write: false,
  nodePaths: [join(web, "node_modules")],
  external: ["./ort/*"],
  plugins: [
    {
      name: "runtime",
      setup: ({ onResolve }) =>
        onResolve({ filter: /^onnxruntime-web/ }, () => ({ path: "./ort/ort.wasm.min.mjs", external: true })),
    },
  ],
});
const kinds = { ".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm", ".html": "text/html" };
const server = createServer((request, response) => {
  const path = decodeURIComponent(new URL(request.url, "http://localhost").pathname);
  const content =
    path === "/"
      ? Buffer.from('<!doctype html><link rel="icon" href="data:,"><script type="module" src="harness.js"></script>')
      : path === "/harness.js"
        ? made.outputFiles[0].contents
        : readFileSync(path.startsWith("/ort/") ? join(web, "node_modules/onnxruntime-web/dist", path.slice(5)) : join(folder, path));
  response.writeHead(200, {
    "Content-Type": kinds[extname(path) || ".html"] ?? "application/octet-stream",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
  });
  response.end(content);
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const tasks = JSON.parse(readFileSync(join(folder, "tasks.json"), "utf8"));
const args = ["--no-sandbox", ...(gpu ? ["--enable-unsafe-webgpu"] : [])];
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args });
const page = await browser.newPage();
page.setDefaultTimeout(600_000);
await page.goto(`http://127.0.0.1:${server.address().port}/`);
await page.waitForFunction(() => "begin" in globalThis);
const threads = await page.evaluate((flag) => globalThis.begin(flag), gpu !== undefined);
const photos = [];
for (const name of tasks.photos) photos.push(await page.evaluate((each) => globalThis.read(each), name));
const painted = [];
for (const target of tasks.targets) painted.push(await page.evaluate((each) => globalThis.paint(each), target));
const version = browser.version();
await browser.close();
server.close();
writeFileSync(join(folder, "read.json"), JSON.stringify({ browser: version, threads, photos, painted }));
