// Builds the page into facemin/service/page: `npm run build`. The same sources give the same bytes.
//
// The runtime (onnxruntime-web) stays outside, under ort/ beside the page; licences of what is bundled come along.
import { createHash } from "node:crypto";
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { argv } from "node:process";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const out = argv[2] ?? join(here, "..", "facemin", "service", "page");
mkdirSync(out, { recursive: true });

const runtime = {
  name: "runtime beside the page",
  setup: ({ onResolve }) =>
    onResolve({ filter: /^onnxruntime-web/ }, () => ({ path: "./ort/ort.wasm.min.mjs", external: true })),
};
const options = {
  bundle: true,
  format: "esm",
  target: "es2022",
  minify: true,
  charset: "utf8",
  legalComments: "none",
  plugins: [runtime],
  write: false,
  outdir: out,
  absWorkingDir: here,
};
const sha384 = (data) => createHash("sha384").update(data).digest("base64");
const runtimeFiles = ["ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"];
const installed = (name) => readFileSync(join(here, "node_modules", "onnxruntime-web", "dist", name));
const RUNTIME = JSON.stringify(Object.fromEntries(runtimeFiles.map((name) => [name, sha384(installed(name))])));
const entry = (name, define) => build({ ...options, entryPoints: [`page/${name}`], outbase: "page", define });
// the page vouches for its worker, and that for the runtime
const worker = await entry("engine.ts", { RUNTIME });
const ENGINE = JSON.stringify(sha384(worker.outputFiles[0].contents));
const made = [worker, await entry("page.ts", { ENGINE }), await entry("page.css", {})];
const texts = await build({ ...options, entryPoints: ["page/texts.ts"], outbase: "page" });
const { TEXTS } = await import(`data:text/javascript,${encodeURIComponent(texts.outputFiles[0].text)}`);

const hashes = {};
for (const { path, contents } of made.flatMap((each) => each.outputFiles)) {
  writeFileSync(path, contents);
  hashes[path.split(/[\\/]/).pop()] = `sha384-${sha384(contents)}`;
}
const escaped = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;");
const html = readFileSync(join(here, "page", "index.html"), "utf8")
  .replace("@TITLE@", escaped(TEXTS.title))
  .replace("@NOSCRIPT@", escaped(TEXTS.noScript))
  .replace("@CSS@", hashes["page.css"])
  .replace("@JS@", hashes["page.js"]);
writeFileSync(join(out, "index.html"), html);

copyFileSync(join(here, "page", "licences.txt"), join(out, "licences.txt"));
