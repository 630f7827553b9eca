// Processor time of each part of reading a face, one thread; bundled and run by parts.mjs.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { env } from "node:process";

import { CenterFace } from "../../web/src/centerface.ts";
import { captureHash } from "../../web/src/captures.ts";
import { facesIn } from "../../web/src/crop.ts";
import { Detector } from "../../web/src/detect.ts";
import { Embedder } from "../../web/src/embed.ts";
import { readKey } from "../../web/src/key.ts";
import { resize } from "../../web/src/resize.ts";
import { haar } from "../../web/src/rotation.ts";
import { Runtime } from "../../web/src/runtime.ts";

const file = (name: string): Uint8Array => new Uint8Array(readFileSync(join(env["FACEMIN_MODELS"] ?? ".", name)));
const noise = (width: number, height: number) => ({
  width,
  height,
  data: new Uint8Array(3 * width * height).map((_, at) => (at * 7) % 251),
});
const empty = (side: number) => ({ width: side, height: side, data: new Float32Array(3 * side * side) });

async function timed(name: string, work: () => unknown, times = 3): Promise<void> {
  await work();
  const before = process.cpuUsage();
  for (let time = 0; time < times; time += 1) await work();
  const { user, system } = process.cpuUsage(before);
  console.log(`${name}: ${((user + system) / 1000 / times).toFixed(0)} ms`);
}

const runtime = await Runtime.open({ threads: 1 });
const network = await CenterFace.open(runtime, file("centerface.onnx"));
const detector = await Detector.open(runtime, file("centerface.onnx"));
const key = await readKey(file("key.onnx"));
const embedder = await Embedder.open(runtime, key);
const [face, large] = [noise(112, 112), noise(4000, 3000)];

await timed("first look at a photo of 512 x 512", () => network.look([empty(512)]));
await timed("second look at one face, 192 x 192", () => network.look([empty(192)]));
await timed("landmarks again, two views of 192 x 192", () => network.look([empty(192), empty(192)]));
await timed("a camera's frame, 320 x 320", () => network.look([empty(320)]));
await timed("embedding, face and mirror image", () => embedder.embed(face));
await timed("rotation of 66 dimensions", () => haar(new Uint8Array(32).fill(3), 66));
await timed("hash of a capture", () => captureHash(face));
await timed("12 megapixels shrunk to 640", () => resize(large, 480, 640));
await timed("faces in 12 megapixels of noise", () => facesIn(large, detector));
await timed("the default key, checked", () => readKey(file("key.onnx")));
