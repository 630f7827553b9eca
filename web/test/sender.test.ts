// Probes as a device sends them: no more of a face than the decision needs, as facemin/client/probes.py.

import assert from "node:assert/strict";
import { test } from "node:test";

import type { Device } from "../src/device.ts";
import { readKey } from "../src/key.ts";
import type { ReadFace } from "../src/read.ts";
import { dot, unit } from "../src/rotation.ts";
import { Secret } from "../src/secret.ts";
import { Sender } from "../src/sender.ts";
import { Stopwatch } from "../src/stopwatch.ts";
import { MemoryStore } from "../src/store.ts";
import { document, unpacked } from "./vectors.ts";

const keys = document("client", "keys.json");
const [PERSON, THRESHOLD] = ["ann", 0.5];

/** A sender of features at a provider whose key is one of the vectors; it takes no network to send numbers. */
async function sending(): Promise<Sender> {
  const key = await readKey(unpacked(keys.files.signed.data), { now: new Date(keys.now) });
  const device = { key, space: key.space, embedder: { dimension: key.manifest.space?.dimension } } as unknown as Device;
  const options = { device, origin: "https://id.example", collection: "main", others: [] };
  return new Sender({ ...options, store: new MemoryStore(), secret: await Secret.make() }, new Stopwatch());
}

const face = (...values: number[]): ReadFace =>
  ({ embedding: unit(Float64Array.from({ length: 12 }, (_, at) => values[at] ?? 0)) }) as ReadFace;
const near = (found: number, wanted: number): boolean => Math.abs(found - wanted) < 1e-6;

test("a probe's score is the face's own up to the threshold, and the rest of it is drawn anew", async () => {
  const sender = await sending();
  const [enrolled, same, other] = [face(1), face(1, 0.3, 0.3), face(0.3, 1)];
  const probe = { person: PERSON, threshold: THRESHOLD };
  // before anything is enrolled here, all of it goes
  const whole = await sender.encodeOne(same, 0, "feature", probe);
  assert.deepEqual(whole, await sender.encodeOne(same, 0, "feature"));
  const template = await sender.encodeOne(enrolled, 0, "feature");
  await sender.remember([enrolled], 0, "feature", PERSON, 1);
  for (const [read, threshold, wanted] of [
    [same, THRESHOLD, THRESHOLD + 0.01],
    [same, undefined, dot(same.embedding, enrolled.embedding)],
    [other, THRESHOLD, dot(other.embedding, enrolled.embedding)],
  ] as const) {
    const sent = await sender.encodeOne(read, 0, "feature", { person: PERSON, threshold });
    assert.ok(near(dot(sent.target, template.target), wanted));
    // what was shown is what is sent
    assert.equal(await sender.encodeOne(read, 0, "feature", { person: PERSON, threshold }), sent);
  }
  const [first, second] = await Promise.all(
    [0, 1].map(() => sender.encodeOne(face(1, 0.3, 0.3), 0, "feature", { person: PERSON, threshold: undefined })),
  );
  assert.ok(first && second && dot(first.target, second.target) < 0.999);
  // what was enrolled as an image misses its target, so that more of a score is kept
  await sender.remember([enrolled], 2, "image", PERSON, 1);
  const [held, shown] = await Promise.all([
    sender.encodeOne(enrolled, 2, "feature"),
    sender.encodeOne(same, 2, "feature", probe),
  ]);
  assert.ok(near(dot(shown.target, held.target), THRESHOLD + 0.2));
  // another person's templates, and another epoch's, are none of this one's
  assert.deepEqual(await sender.encodeOne(same, 0, "feature", { ...probe, person: "bob" }), whole);
  const later = await sender.encodeOne(same, 1, "feature", probe);
  assert.deepEqual(later, await sender.encodeOne(same, 1, "feature"));
});

test("templates that another device replaced are forgotten at the refusal that shows it", async () => {
  const sender = await sending();
  const probe = { person: PERSON, threshold: THRESHOLD };
  assert.equal(await sender.checkTemplates(await sender.encodeOne(face(1), 0, "feature"), 0, PERSON, -1), false);
  await sender.remember([face(1)], 0, "feature", PERSON, 1);
  const unlike = await sender.encodeOne(face(0.3, 1), 0, "feature", probe);
  assert.equal(await sender.checkTemplates(unlike, 0, PERSON, 0.287), false);
  const sent = await sender.encodeOne(face(1, 0.3), 0, "feature", probe);
  assert.equal(await sender.checkTemplates(sent, 0, PERSON, 0.2), true);
  const next = face(1, 0.2);
  assert.deepEqual(await sender.encodeOne(next, 0, "feature", probe), await sender.encodeOne(next, 0, "feature"));
});
