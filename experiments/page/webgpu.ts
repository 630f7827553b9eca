// An embedding on WebAssembly and on WebGPU; driven by webgpu.mjs.

import type * as Ort from "onnxruntime-web/wasm";

import { Embedder, Runtime, readKey } from "../../web/src/index.ts";

Object.assign(globalThis, {
  begin: async (gpu: boolean) => {
    const folder = new URL("ort/", location.href).href;
    const options = gpu
      ? { ort: (await import("./ort/ort.webgpu.min.mjs")) as unknown as typeof Ort, device: "webgpu" as const }
      : {};
    const runtime = await Runtime.open({ folder, threads: 1, ...options });
    const key = await readKey(new Uint8Array(await (await fetch("key.onnx")).arrayBuffer()));
    const embedder = await Embedder.open(runtime, key);
    const data = new Uint8Array(3 * 112 * 112).map((_, at) => (at * 7919 + ((at * at) % 97)) % 256);
    return [...(await embedder.embed({ width: 112, height: 112, data }))];
  },
});
