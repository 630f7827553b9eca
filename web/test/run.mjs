// Bundles the tests and runs them under Node's own runner: `node test/run.mjs [NAME ...]`.
//
// FACEMIN_MODELS names a folder with key.onnx, centerface.onnx and protector.onnx (spec/export_models.py writes it);
// tests that need them are skipped without.
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { argv, exit } from "node:process";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const out = join(here, "..", "build", "test");
const wanted = argv.slice(2);
const names = readdirSync(here)
  .filter((name) => name.endsWith(".test.ts"))
  .filter((name) => !wanted.length || wanted.some((word) => name.startsWith(word)));
rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
// one file for all: Node gives each a process, which would open the runtime and its networks anew
const bundle = join(out, "tests.mjs");
await build({
  stdin: { contents: names.map((name) => `import "./${name}";`).join("\n"), resolveDir: here },
  bundle: true,
  format: "esm",
  platform: "node",
  target: "node20",
  outfile: bundle,
  external: ["onnxruntime-web/wasm", "fake-indexeddb"],
  sourcemap: "inline",
  define: { VECTORS: JSON.stringify(join(here, "..", "..", "spec", "vectors")) },
});
exit(spawnSync(process.execPath, ["--test", "--enable-source-maps", bundle], { stdio: "inherit" }).status ?? 1);
