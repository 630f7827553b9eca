// FACEMIN_MODELS=FOLDER node experiments/page/parts.mjs: see parts.ts; python spec/export_models.py FOLDER writes it.
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const web = join(here, "..", "..", "web");
const { build } = createRequire(join(web, "package.json"))("esbuild");
const outfile = join(web, "build", "parts.mjs");
await build({
  entryPoints: [join(here, "parts.ts")],
  bundle: true,
  format: "esm",
  platform: "node",
  outfile,
  nodePaths: [join(web, "node_modules")],
  external: ["onnxruntime-web/wasm"],
});
await import(pathToFileURL(outfile).href);
