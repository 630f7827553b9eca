// The secrets of a browser: made, taken, renewed and removed; and that no photo is forgotten with one.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Secrets } from "../page/secrets.ts";
import { CaptureLog } from "../src/captures.ts";
import { EnrolledFace } from "../src/enrolled.ts";
import type { Pixels } from "../src/image.ts";
import { Secret } from "../src/secret.ts";
import { MemoryStore } from "../src/store.ts";
import { png, vector } from "./vectors.ts";

const crop = png(vector("client", "crop-0-0.png"));
const other = png(vector("client", "painted.png"));
const PSEUDONYM = "00112233445566aa";

const sentBefore = async (store: MemoryStore, secrets: Secrets, face: Pixels): Promise<boolean> =>
  new CaptureLog(store, await secrets.needed(), await secrets.others()).has(face);

async function begun(): Promise<{ store: MemoryStore; secrets: Secrets; first: Secret }> {
  const store = new MemoryStore();
  const secrets = new Secrets(store, "main");
  const first = await secrets.make();
  await new CaptureLog(store, first).claim([crop], PSEUDONYM);
  return { store, secrets, first };
}

test("a photo that was sent is not sent again under another secret, made after the first was removed", async () => {
  const { store, secrets, first } = await begun();
  for (const again of [() => secrets.make(), () => secrets.take(first)]) {
    await secrets.forget();
    assert.equal(await secrets.kept(), undefined);
    await again();
    assert.ok(await sentBefore(store, secrets, crop));
    assert.ok(!(await sentBefore(store, secrets, other)));
    const log = new CaptureLog(store, await secrets.needed(), await secrets.others());
    await assert.rejects(log.claim([crop], "00112233445566bb"), { code: "reused" });
  }
});

test("the first secret is made once", async () => {
  const { secrets } = await begun();
  await assert.rejects(secrets.make(), { code: "secret" });
});

test("a next secret lies here before it is used, and takes the place of the old one", async () => {
  const { store, secrets, first } = await begun();
  assert.equal(await secrets.begun("ann"), undefined);
  const next = await secrets.next("ann");
  assert.ok((await secrets.next("ann")).equals(next));
  assert.ok((await new Secrets(store, "main").begun("ann"))?.equals(next));
  assert.equal(await secrets.begun("bob"), undefined);
  assert.ok((await secrets.needed()).equals(first));
  await new CaptureLog(store, next).claim([other], PSEUDONYM);
  // also while it is not known which of the two is enrolled
  assert.ok(await sentBefore(store, secrets, other));
  await secrets.promote("ann");
  assert.ok((await secrets.needed()).equals(next));
  assert.deepEqual(await secrets.others(), []);
  assert.equal(await secrets.begun("ann"), undefined);
  for (const face of [crop, other]) assert.ok(await sentBefore(store, secrets, face));
});

test("a secret that is enrolled in another collection stays for that one", async () => {
  const { store, secrets, first } = await begun();
  const space = new Uint8Array(32);
  for (const purpose of ["main", "club"]) {
    await new EnrolledFace(store, first).remember([Float64Array.of(1, 0)], space, purpose);
  }
  const next = await secrets.next("ann");
  await secrets.promote("ann");
  const club = new Secrets(store, "club");
  assert.ok((await secrets.needed()).equals(next));
  assert.ok((await club.needed()).equals(first));
  assert.ok(await sentBefore(store, club, crop));
  // what comes later is under the new one, and each is removed by itself
  assert.ok((await new Secrets(store, "later").needed()).equals(next));
  await club.forget();
  assert.equal(await club.kept(), undefined);
  assert.ok((await secrets.needed()).equals(next));
  const third = await club.make();
  assert.ok((await club.needed()).equals(third));
  assert.ok((await secrets.needed()).equals(next));
  assert.ok(await sentBefore(store, club, crop));
});

test("what would come next goes with the secret", async () => {
  const { store, secrets } = await begun();
  const next = await secrets.next("ann");
  await new CaptureLog(store, next).claim([other], PSEUDONYM);
  await secrets.forget();
  assert.equal(await secrets.begun("ann"), undefined);
  await secrets.make();
  assert.ok(await sentBefore(store, secrets, other));
});
