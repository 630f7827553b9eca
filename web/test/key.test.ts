// Provider keys: read, refused and pinned as Python does, on spec/vectors/client/keys.json.

import assert from "node:assert/strict";
import { test } from "node:test";

import { hex } from "../src/encoding.ts";
import { Embedder } from "../src/embed.ts";
import { Refusal } from "../src/errors.ts";
import { readKey } from "../src/key.ts";
import { readManifest } from "../src/manifest.ts";
import { checkGraph, readOnnxFile } from "../src/onnx_file.ts";
import { Pins } from "../src/pins.ts";
import { Runtime } from "../src/runtime.ts";
import { MemoryStore } from "../src/store.ts";
import { PUBLISHED, isTrusted, trust } from "../src/trust.ts";
import { apart, document, png, unpacked, vector } from "./vectors.ts";

const keys = document("client", "keys.json");
const now = new Date(keys.now);
const URL = "https://id.example/";

for (const [name, file] of Object.entries<any>(keys.files)) {
  test(`key: ${name}`, async () => {
    const reading = readKey(unpacked(file.data), { now });
    if (file.refused) {
      await assert.rejects(reading, (error: Refusal) => error.message.includes(file.refused));
      return;
    }
    const key = await reading;
    assert.equal(key.fingerprint, file.sha256);
    assert.equal(key.signer ? hex(key.signer) : null, file.signer);
    assert.equal(key.space ? hex(key.space) : null, file.space);
    const { manifest } = file;
    assert.equal(key.manifest.keyId, manifest.key_id);
    assert.equal(key.manifest.provider, manifest.provider);
    assert.equal(key.manifest.created.getTime(), Date.parse(manifest.created));
    assert.equal(key.manifest.protector, manifest.protector ?? undefined);
    assert.equal(key.manifest.space?.dimension, manifest.space.dimension);
  });
}

for (const [name, file] of Object.entries<any>(keys.spoilt)) {
  test(`refused: ${name}`, async () => {
    await assert.rejects(readKey(unpacked(file.data), { now }), (error: Refusal) => {
      assert.ok(error instanceof Refusal);
      assert.ok(error.message.includes(file.refused), error.message);
      return true;
    });
  });
}

test("a key by another signer than asked for is refused, and so is an unsigned one", async () => {
  const signer = new Uint8Array(32);
  for (const name of ["signed", "unsigned"]) {
    await assert.rejects(readKey(unpacked(keys.files[name].data), { now, signer }), Refusal);
  }
});

for (const { first, then, taken } of keys.pins) {
  test(`pinned ${first}, then ${then}: ${taken ? "taken" : "refused"}`, async () => {
    const pins = new Pins(new MemoryStore());
    await pins.accept(URL, unpacked(keys.files[first].data), { now });
    const second = pins.accept(URL, unpacked(keys.files[then].data), { now });
    if (taken) {
      const { fingerprint } = await second;
      assert.equal((await pins.pin(URL))?.fingerprint, fingerprint);
    } else {
      await assert.rejects(second, (error: Refusal) => error.code === "key_changed");
      assert.equal((await pins.pin(URL))?.fingerprint, keys.files[first].sha256);
      await pins.forget(URL);
      await pins.accept(URL, unpacked(keys.files[then].data), { now });
    }
  });
}

test("a moment that is not in the calendar is refused", async () => {
  const text = readOnnxFile(unpacked(keys.files["signed"].data), "key").metadata.get("facemin.key") ?? "";
  const values = JSON.parse(text);
  readManifest(text, "key");
  for (const field of ["created", "expires"]) {
    for (const moment of ["2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z", "2026-01-01T25:00:00Z"]) {
      const changed = JSON.stringify({ ...values, [field]: moment });
      assert.throws(
        () => readManifest(changed, "key"),
        (error: Refusal) => error.message.includes(field),
      );
    }
  }
});

test("a network is trusted by its published hash, or after the person said so", async () => {
  const store = new MemoryStore();
  const key = await readKey(unpacked(keys.files["signed"].data), { now });
  assert.equal(await isTrusted(store, key), false);
  await trust(store, key, "we run it ourselves");
  assert.equal(await isTrusted(store, key), true);
  const chain = document("client", "client.json").chain;
  assert.deepEqual([...PUBLISHED], [[chain.graph_sha256, "dlib-resnet29-space66"]]);
});

test("operators, outputs and ends other than a key's are refused", async () => {
  const { graph } = await readKey(unpacked(keys.files["signed"].data), { now });
  checkGraph(graph, ["space"], true, "key");
  assert.throws(() => checkGraph(graph, ["other"], true, "key"), Refusal);
  const text = Buffer.from(graph).toString("latin1");
  for (const [from, to] of [
    ["AveragePool", "AveragePoop"],
    ["LpNormalization", "LpNormalisation"],
  ] as const) {
    const changed = new Uint8Array(Buffer.from(text.replaceAll(from, to), "latin1"));
    assert.throws(() => checkGraph(changed, ["space"], true, "key"), Refusal);
  }
});

test("a key's network gives Python's embedding", async () => {
  const { key, crop, embedding } = keys.outputs;
  const read = await readKey(unpacked(keys.files[key].data), { now });
  const embedder = await Embedder.open(await Runtime.open({ threads: 1 }), read);
  assert.ok(apart(await embedder.embed(png(vector("client", crop))), embedding) < 1e-5);
});
