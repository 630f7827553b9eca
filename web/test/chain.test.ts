// From a crop to what is sent: embedding, target, image, upload; on spec/vectors/client/client.json.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Embedder } from "../src/embed.ts";
import { concat, fromBase64, fromHex, hex, sha256, utf8 } from "../src/encoding.ts";
import { encodeFeature } from "../src/feature.ts";
import { readKey } from "../src/key.ts";
import { Painter } from "../src/paint.ts";
import { encodePng } from "../src/png.ts";
import { PossessionKey, renewalDigest } from "../src/possession.ts";
import { Pseudonym, dot } from "../src/rotation.ts";
import { Runtime } from "../src/runtime.ts";
import { unseal } from "../src/sealing.ts";
import { Secret } from "../src/secret.ts";
import { DEFAULT_SPACE, SHIPPED_PROTECTOR } from "../src/trust.ts";
import { WITHOUT_MODELS, apart, document, model, png, vector } from "./vectors.ts";

const { chain, statements } = document("client", "client.json");
const secret = await Secret.of(fromHex(chain.secret));
const pseudonym = await Pseudonym.derive(secret, {
  origin: chain.origin,
  signer: new Uint8Array(),
  space: fromHex(chain.space),
  dimension: chain.embedding.length,
  purpose: chain.purpose,
  epoch: chain.epoch,
});
const crop = png(vector("client", chain.crop));
const target = Float32Array.from(chain.target as number[]);

test("the rotation and the target", () => {
  assert.equal(pseudonym.fingerprint, chain.pseudonym_fingerprint);
  assert.ok(apart(pseudonym.row(0), chain.rotation_first_row) < 1e-9);
  assert.ok(apart(pseudonym.target(Float64Array.from(chain.embedding)), chain.target) < 1e-7);
});

test("the default key: embedding, feature", { skip: WITHOUT_MODELS }, async () => {
  const key = await readKey(model("key.onnx")!);
  assert.equal(key.fingerprint, chain.key_sha256);
  assert.equal(hex(key.space!), DEFAULT_SPACE);
  assert.equal(DEFAULT_SPACE, chain.space);
  const embedder = await Embedder.open(await Runtime.open({ threads: 1 }), key);
  const embedding = await embedder.embed(crop);
  assert.ok(dot(embedding, Float64Array.from(chain.embedding)) > 0.9999);
  const [plain] = await embedder.run([crop]);
  assert.ok(apart(plain!, chain.views[0]) < 1e-4);
  assert.equal(hex(encodeFeature(target, key)), hex(fromBase64(chain.feature)));
});

test("an image painted for the target, and how far the key puts it", { skip: WITHOUT_MODELS }, async () => {
  const key = await readKey(model("key.onnx")!);
  const runtime = await Runtime.open({ threads: 1 });
  const embedder = await Embedder.open(runtime, key);
  const file = model("protector.onnx")!;
  assert.equal(SHIPPED_PROTECTOR.sha256, chain.protector_sha256);
  const painter = await Painter.open(runtime, file, chain.protector_sha256, key, embedder);
  const image = await painter.paint(target, Float32Array.from(chain.noise as number[]));
  const expected = png(vector("client", chain.painted));
  assert.ok(apart(image.data, expected.data) <= 1);
  assert.ok(Math.abs((await painter.residual(expected, target)) - chain.residual_after_blur) < 1e-3);
  const fresh = await painter.make(target);
  assert.ok(fresh.residual <= painter.limit);
  assert.ok(apart(fresh.pixels.data, expected.data) > 20, "fresh noise paints another image");
  const other = await sha256(file.subarray(1));
  await assert.rejects(Painter.open(runtime, file, hex(other), key, embedder));
});

test("a PNG of an image is that image", async () => {
  const painted = png(vector("client", chain.painted));
  assert.deepEqual(png(await encodePng(painted)), painted);
});

test("what was sealed by Python is opened here, and only with its secret and for its use", async () => {
  const sealed = fromBase64(chain.sealed);
  assert.equal(hex(await unseal(secret, sealed, "facemin captures v1")), chain.unsealed);
  await assert.rejects(unseal(secret, sealed, "facemin enrolled v1"));
  await assert.rejects(unseal(await Secret.make(), sealed, "facemin captures v1"));
  await assert.rejects(unseal(secret, concat([sealed, utf8("x")]), "facemin captures v1"));
});

for (const upload of statements.uploads) {
  test(`an upload is signed as Python signs it: ${upload.operation}`, async () => {
    const key = await PossessionKey.derive(secret, chain.origin, chain.purpose);
    const { possession, pseudonym: bound } = upload.body;
    let digest = await sha256(vector("client", upload.data));
    if (upload.replaced_by) {
      const others = await Promise.all(upload.replaced_by.map((data: string) => sha256(fromHex(data))));
      digest = await renewalDigest(digest, others, key.publicKey);
    }
    const signature = await key.sign({
      challenge: utf8(statements.challenge),
      operation: upload.operation,
      purpose: chain.purpose,
      upload: digest,
      person: upload.person,
      epoch: bound.epoch,
    });
    assert.equal(hex(key.publicKey), possession.public_key);
    assert.equal(hex(signature), possession.signature);
  });
}
