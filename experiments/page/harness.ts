// Reads photos with the library in a browser; served by parity.mjs, which drives it.

import { Detector, Embedder, Painter, Runtime, decode, readKey, readPhoto } from "../../web/src/index.ts";

const file = async (name: string): Promise<Uint8Array> => new Uint8Array(await (await fetch(name)).arrayBuffer());

async function open() {
  const runtime = await Runtime.open({ folder: new URL("ort/", location.href).href });
  const key = await readKey(await file("key.onnx"));
  const [detector, embedder] = [
    await Detector.open(runtime, await file("centerface.onnx")),
    await Embedder.open(runtime, key),
  ];
  const protector = await file("protector.onnx");
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", protector as Uint8Array<ArrayBuffer>));
  const name = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return { detector, embedder, painter: await Painter.open(runtime, protector, name, key, embedder), runtime };
}

let opened: Awaited<ReturnType<typeof open>>;

Object.assign(globalThis, {
  begin: async () => {
    opened = await open();
    return opened.runtime.threads;
  },
  read: async (name: string) => {
    const { read } = await readPhoto(opened, await decode(await (await fetch(name)).blob()));
    return read === undefined
      ? null
      : { embedding: [...read.embedding], timings: read.timings, crop: [...read.crop.data] };
  },
  paint: async (target: number[]) => {
    const began = performance.now();
    const { pixels, residual } = await opened.painter.make(Float32Array.from(target));
    return { pixels: [...pixels.data], residual, milliseconds: performance.now() - began };
  },
});
