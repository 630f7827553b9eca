// Drives harness.ts in Chromium: node parity.mjs FOLDER; run by parity.py.
//
// FOLDER has key.onnx, centerface.onnx, protector.onnx, photos (*.jpg) and tasks.json: {photos: [...], targets: [[...]]}.
// Writes read.json: {browser, threads, photos: [...], painted: [...]}.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { argv } from "node:process";

import { served } from "./serve.mjs";

const folder = argv[2];
const tasks = JSON.parse(readFileSync(join(folder, "tasks.json"), "utf8"));
const read = await served("harness.ts", folder, [], async (page, browser) => {
  const threads = await page.evaluate(() => globalThis.begin());
  const photos = [];
  for (const name of tasks.photos) photos.push(await page.evaluate((each) => globalThis.read(each), name));
  const painted = [];
  for (const target of tasks.targets) painted.push(await page.evaluate((each) => globalThis.paint(each), target));
  return { browser, threads, photos, painted };
});
writeFileSync(join(folder, "read.json"), JSON.stringify(read));
