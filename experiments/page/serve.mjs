// A script of the library in Chromium, with the runtime's files and a folder of others beside it.
import { createServer } from "node:http";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, extname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const web = join(here, "..", "..", "web");
const require = createRequire(join(web, "package.json"));
const { build } = require("esbuild");
const { chromium } = require("playwright-core");
const KINDS = { ".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm", "": "text/html" };
const PAGE = '<!doctype html><link rel="icon" href="data:,"><script type="module" src="script.js"></script>';

/** Do something with a page that runs a script of this folder; `files` lie beside it. */
export async function served(script, files, args, work) {
  const runtime = {
    name: "runtime beside the page",
    setup: ({ onResolve }) =>
      onResolve({ filter: /^onnxruntime-web/ }, () => ({ path: "./ort/ort.wasm.min.mjs", external: true })),
  };
  const made = await build({
    entryPoints: [join(here, script)],
    bundle: true,
    format: "esm",
    write: false,
    nodePaths: [join(web, "node_modules")],
    external: ["./ort/*"],
    plugins: [runtime],
  });
  const content = (path) => {
    if (path === "/") return PAGE;
    if (path === "/script.js") return made.outputFiles[0].contents;
    const ort = path.startsWith("/ort/") && join(web, "node_modules/onnxruntime-web/dist", path.slice(5));
    return readFileSync(ort || join(files, path));
  };
  const server = createServer((request, response) => {
    const path = decodeURIComponent(new URL(request.url, "http://localhost").pathname);
    response.writeHead(200, {
      "Content-Type": KINDS[extname(path)] ?? "application/octet-stream",
      "Cross-Origin-Opener-Policy": "same-origin",
      "Cross-Origin-Embedder-Policy": "require-corp",
    });
    response.end(content(path));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox", ...args] });
  try {
    const page = await browser.newPage();
    page.setDefaultTimeout(600_000);
    await page.goto(`http://127.0.0.1:${server.address().port}/`);
    await page.waitForFunction(() => "begin" in globalThis);
    return await work(page, browser.version());
  } finally {
    await browser.close();
    server.close();
  }
}
