// Faces: landmarks, boxes and crops as Python finds them, on the vectors of spec/vectors/client.

import assert from "node:assert/strict";
import { before, test } from "node:test";

import { align, inside, similarity } from "../src/align.ts";
import type { Landmarks } from "../src/centerface.ts";
import { captureHash, hashDistance } from "../src/captures.ts";
import { complaints, facesIn } from "../src/crop.ts";
import { Detector } from "../src/detect.ts";
import { fromHex, hex } from "../src/encoding.ts";
import { mirrored } from "../src/image.ts";
import { resize } from "../src/resize.ts";
import { Runtime } from "../src/runtime.ts";
import { type Recipe, WITHOUT_MODELS, apart, compose, document, model, png, vector } from "./vectors.ts";

interface Scene {
  readonly name: string;
  readonly recipe: Recipe;
  readonly faces: readonly {
    readonly box: readonly number[];
    readonly score: number;
    readonly points: Landmarks;
    readonly similarity: readonly (readonly number[])[];
    readonly crop: string;
    readonly capture_hash: string;
  }[];
}

const { scenes } = document("client", "client.json") as { scenes: readonly Scene[] };
const base = png(vector("client", "photo.png"));
let detector: Detector;

before(async () => {
  const network = model("centerface.onnx");
  if (network !== undefined) detector = await Detector.open(await Runtime.open({ threads: 1 }), network);
});

for (const scene of scenes) {
  const photo = compose(base, scene.recipe);

  test(`faces: ${scene.name}`, { skip: WITHOUT_MODELS }, async () => {
    const found = await detector.faces(photo);
    assert.equal(found.length, scene.faces.length);
    found.forEach((face, at) => {
      const expected = scene.faces[at]!;
      assert.ok(apart(face.points.flat(), expected.points.flat()) < 0.1, `landmarks of face ${at}`);
      assert.ok(apart(face.box, expected.box) < 0.1, `box of face ${at}`);
      assert.ok(Math.abs(face.score - expected.score) < 1e-3, `score of face ${at}`);
      assert.ok(apart(align(photo, face.points).data, png(vector("client", expected.crop)).data) <= 1);
    });
  });

  test(`crops from given landmarks: ${scene.name}`, () => {
    for (const face of scene.faces) {
      const crop = align(photo, face.points);
      assert.ok(apart(similarity(face.points), face.similarity.flat()) < 1e-9);
      assert.ok(apart(crop.data, png(vector("client", face.crop)).data) <= 1);
      assert.ok(hashDistance(captureHash(crop), fromHex(face.capture_hash)) <= 2 / 256);
      assert.ok(hashDistance(captureHash(mirrored(crop)), fromHex(face.capture_hash)) <= 2 / 256);
    }
  });
}

test("capture hashes are Python's, bit by bit", () => {
  for (const { faces } of scenes) {
    for (const face of faces) assert.equal(hex(captureHash(png(vector("client", face.crop)))), face.capture_hash);
  }
});

test("a face at the edge is told apart, and so is a photo without one", { skip: WITHOUT_MODELS }, async () => {
  const told = [];
  for (const scene of scenes) {
    const photo = compose(base, scene.recipe);
    told.push(complaints(photo, await facesIn(photo, detector)));
  }
  assert.deepEqual(told, [[], [], ["several"], ["at_edge"], ["no_face"]]);
  const dark = { ...base, data: base.data.map((value) => value / 5) };
  assert.deepEqual(complaints(dark, await facesIn(dark, detector)), ["dark"]);
});

test("the share of a crop within the photo", () => {
  const [face] = scenes[3]!.faces;
  const share = inside(face!.points, 134, 230);
  // 0.663345 by facemin/face/align.py
  assert.ok(Math.abs(share - 0.663345) < 1e-4, String(share));
});

test("a glance finds the face of a camera's frame", { skip: WITHOUT_MODELS }, async () => {
  const frame = compose(base, scenes[1]!.recipe);
  const [first, ...others] = await detector.glance(frame);
  assert.equal(others.length, 0);
  assert.ok(apart(first!.box, scenes[1]!.faces[0]!.box) < 60);
});

test("shrinking leaves an even image even, and its own size as it is", () => {
  const even = { width: 50, height: 30, data: new Uint8Array(3 * 50 * 30).fill(77) };
  assert.ok(resize(even, 7, 13).data.every((value) => value === 77));
  assert.equal(resize(base, base.height, base.width), base);
});
