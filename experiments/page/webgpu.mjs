// node experiments/page/webgpu.mjs FOLDER: the cosine of an embedding on WebGPU to WebAssembly's; Chromium computes it
// by software where there is no GPU, which takes a minute. FOLDER is written by: python spec/export_models.py FOLDER
import { argv } from "node:process";

import { served } from "./serve.mjs";

const [plain, gpu] = [false, true].map((flag) =>
  served("webgpu.ts", argv[2], ["--enable-unsafe-webgpu"], (page) => page.evaluate((on) => globalThis.begin(on), flag)),
);
const [first, second] = [await plain, await gpu];
console.log(1 - first.reduce((sum, value, at) => sum + value * second[at], 0));
