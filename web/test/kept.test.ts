// What a device keeps: captures that were sent, the enrolled face, values in IndexedDB.

import assert from "node:assert/strict";
import { test } from "node:test";

import "fake-indexeddb/auto";

import { CaptureLog } from "../src/captures.ts";
import { EnrolledFace } from "../src/enrolled.ts";
import type { Refusal } from "../src/errors.ts";
import { mirrored } from "../src/image.ts";
import { Pseudonym, unit } from "../src/rotation.ts";
import { Secret } from "../src/secret.ts";
import { BrowserStore, MemoryStore, type Store } from "../src/store.ts";
import { EnrolledTemplates } from "../src/templates.ts";
import { strangerFar, strangerThreshold } from "../src/stranger.ts";
import { png, vector } from "./vectors.ts";

const crop = png(vector("client", "crop-0-0.png"));
const other = png(vector("client", "painted.png"));
const [MINE, RENEWED] = ["00112233445566aa", "00112233445566bb"];
const code =
  (expected: string) =>
  (error: Refusal): boolean =>
    error.code === expected;

const stores: [string, () => Promise<Store>][] = [
  ["memory", () => Promise.resolve(new MemoryStore())],
  ["IndexedDB", () => BrowserStore.open(`test ${Math.random()}`)],
];

for (const [name, open] of stores) {
  test(`values are kept and deleted: ${name}`, async () => {
    const store = await open();
    const value = { data: Uint8Array.of(1, 2), at: "x" };
    await store.put("a", value);
    value.data[0] = 9;
    assert.deepEqual(await store.get("a"), { data: Uint8Array.of(1, 2), at: "x" });
    await store.delete("a");
    assert.equal(await store.get("a"), undefined);
  });

  test(`no photo is sent twice, its mirror image neither: ${name}`, async () => {
    const log = new CaptureLog(await open(), await Secret.make());
    await log.check([crop], MINE);
    await log.claim([crop], MINE);
    await assert.rejects(log.claim([crop], MINE), code("reused"));
    await assert.rejects(log.check([other, crop], RENEWED), code("reused"));
    await assert.rejects(log.claim([mirrored(crop)], RENEWED), code("reused"));
    assert.ok(await log.has(crop));
    await log.claim([other], MINE);
  });
}

test("of two claims at once one is refused", async () => {
  const log = new CaptureLog(new MemoryStore(), await Secret.make());
  const both = await Promise.allSettled([log.claim([crop], MINE), log.claim([crop], MINE)]);
  assert.deepEqual(both.map((each) => each.status).sort(), ["fulfilled", "rejected"]);
});

test("captures of an old secret count under the next, and go with it", async () => {
  const store = new MemoryStore();
  const [old, next] = [await Secret.make(), await Secret.make()];
  await new CaptureLog(store, old).claim([crop], MINE);
  await assert.rejects(new CaptureLog(store, next, [old]).claim([crop], RENEWED), code("reused"));
  const log = new CaptureLog(store, next);
  assert.ok(!(await log.has(crop)));
  await log.carryOver(old);
  assert.ok(await log.has(crop));
  assert.ok(!(await new CaptureLog(store, old).has(crop)));
});

test("one secret is for one person", async () => {
  const space = new Uint8Array(32).fill(1);
  const face = new EnrolledFace(new MemoryStore(), await Secret.make());
  const [ann, again, bob] = [
    unit(Float64Array.of(1, 0, 0)),
    unit(Float64Array.of(1, 0.2, 0)),
    Float64Array.of(0, 1, 0),
  ];
  await face.check([ann, again], space, 0.5);
  await assert.rejects(face.check([ann, bob], space, 0.5), code("other_person"));
  assert.equal(await face.has("main"), false);
  await face.remember([ann, again], space, "main");
  assert.equal(await face.has("main"), true);
  await face.check([again], space, 0.5);
  await assert.rejects(face.check([bob], space, 0.5), code("other_person"));
  await face.check([bob], new Uint8Array(32).fill(2), 0.5);
  await face.forget("main");
  await face.check([bob], space, 0.5);
});

test("each person under each pseudonym has templates, and what a provider holds no more is dropped", async () => {
  const [store, secret] = [new MemoryStore(), await Secret.make()];
  const context = {
    origin: "local",
    signer: new Uint8Array(),
    space: new Uint8Array(32),
    dimension: 3,
    purpose: "main",
  };
  const [now, next] = await Promise.all([0, 1].map((epoch) => Pseudonym.derive(secret, { ...context, epoch })));
  assert.ok(now && next);
  const kept = new EnrolledTemplates(store, secret);
  const [a, b, c] = [Float64Array.of(1, 0, 0), Float64Array.of(0, 1, 0), Float64Array.of(0, 0, 1)];
  assert.deepEqual(await kept.of(now, "ann"), { rows: [], exact: true });
  await kept.add(now, "ann", [a], 1, true);
  await kept.add(now, "constructor", [c], 1, true);
  await kept.add(next, "ann", [c], 1, true);
  await kept.add(now, "ann", [b], 2, true);
  assert.deepEqual((await kept.of(now, "ann")).rows, [a, b]);
  assert.deepEqual((await kept.of(now, undefined)).rows, [a, b, c]);
  assert.deepEqual((await new EnrolledTemplates(store, await Secret.make()).of(now, "ann")).rows, []);
  await kept.add(now, "ann", [c], 1, false);
  assert.deepEqual(await kept.of(now, "ann"), { rows: [c], exact: false });
  await kept.forget(now, "ann");
  assert.deepEqual((await kept.of(now, undefined)).rows, [c]);
  await kept.forget(now, undefined);
  assert.deepEqual([(await kept.of(now, undefined)).rows, (await kept.of(next, "ann")).rows], [[], [c]]);
});

test("strangers' thresholds are the exact ones", () => {
  // facemin.pseudonym.stranger_threshold(1e-3, D)
  for (const [dimension, threshold] of [
    [8, 0.875145],
    [66, 0.370945],
    [128, 0.269646],
  ] as const) {
    const found = strangerThreshold(1e-3, dimension);
    assert.ok(Math.abs(strangerFar(found, dimension) - 1e-3) < 1e-6);
    assert.ok(Math.abs(found - threshold) < 1e-5, `${dimension}: ${found}`);
  }
});
