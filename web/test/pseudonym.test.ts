// Pseudonyms: every vector of spec/vectors/pseudonym.json.

import assert from "node:assert/strict";
import { test } from "node:test";

import { encodeContext, deriveSeed, normals, uniforms } from "../src/derivation.ts";
import { fromHex, hex } from "../src/encoding.ts";
import { Refusal } from "../src/errors.ts";
import { normaliseOrigin } from "../src/origin.ts";
import { PossessionKey, encodeStatement, verifySignature } from "../src/possession.ts";
import { Pseudonym, dot, haar } from "../src/rotation.ts";
import { scorePreserving } from "../src/score_preserving.ts";
import { Secret, readSecretFile, secretFile } from "../src/secret.ts";
import { apart, document } from "./vectors.ts";

const { vectors, origins } = document("pseudonym.json");

for (const vector of vectors) {
  test(`pseudonym: ${vector.name}`, async () => {
    const secret = await Secret.of(fromHex(vector.secret));
    const context = { ...vector.context, signer: fromHex(vector.context.signer), space: fromHex(vector.context.space) };
    const seed = await deriveSeed(secret, context);
    assert.equal(secret.fingerprint, vector.secret_fingerprint);
    assert.equal(await secret.words(), vector.words);
    assert.ok((await Secret.fromWords(vector.words.toUpperCase())).equals(secret));
    assert.equal(hex(encodeContext(context)), vector.encoded_context);
    assert.equal(hex(seed), vector.seed);
    assert.deepEqual([...(await uniforms(seed, 8))], vector.uniforms);
    assert.ok(apart(await normals(seed, 8), vector.normals) < 1e-13);
    const made = await Pseudonym.derive(secret, context);
    assert.equal(made.fingerprint, vector.pseudonym_fingerprint);
    for (const { row, values } of vector.rotation_rows) assert.ok(apart(made.row(row), values) < 1e-9);
    assert.ok(apart(made.target(Float64Array.from(vector.embedding)), vector.target) < 1e-7);
    const { templates, remainder_seed: remainder, most, scores, decision } = vector.probes;
    const rows = templates.map((row: number[]) => Float64Array.from(row));
    for (const [limit, wanted] of [
      [undefined, scores],
      [most, decision],
    ] as const) {
      const found = await scorePreserving(Float64Array.from(vector.embedding), rows, fromHex(remainder), limit);
      assert.ok(apart(found, wanted) < 1e-11);
    }
    const key = await PossessionKey.derive(secret, context.origin, context.purpose);
    assert.equal(hex(key.publicKey), vector.possession_public);
    const said = vector.statement;
    const statement = {
      ...said,
      challenge: fromHex(said.challenge),
      upload: fromHex(said.upload),
      purpose: context.purpose,
      epoch: context.epoch,
    };
    assert.equal(hex(encodeStatement(statement)), vector.encoded_statement);
    assert.equal(hex(await key.sign(statement)), vector.signature);
    const signed = encodeStatement(statement);
    assert.ok(await verifySignature(key.publicKey, fromHex(vector.signature), signed));
    assert.ok(!(await verifySignature(key.publicKey, fromHex(vector.signature), signed.slice(1))));
  });
}

test("a probe without a template, or with a limit that is no cosine, is refused", async () => {
  const [face, seed] = [Float64Array.of(1, 0, 0), new Uint8Array(32)];
  for (const [templates, most] of [
    [[], undefined],
    [[Float64Array.of(1, 0)], undefined],
    [[face], 1.1],
    [[face], NaN],
  ] as const) {
    await assert.rejects(scorePreserving(face, templates, seed, most), Refusal);
  }
  const spanned = await scorePreserving(
    face,
    [0, 1, 2].map((at) => Float64Array.of(...[0, 0, 0].fill(1, at))),
    seed,
  );
  assert.ok(apart(spanned, [1, 0, 0]) < 1e-12);
});

test("origins are Python's", () => {
  for (const { url, origin } of origins) assert.equal(normaliseOrigin(url), origin);
  for (const url of [
    "ftp://a.example",
    "https://u:p@a.example",
    "https://a..example",
    "a.example",
    "https://a .example",
  ]) {
    assert.throws(() => normaliseOrigin(url), Refusal, url);
  }
});

test("a rotation is orthogonal, at the largest dimension too", async () => {
  const n = 256;
  const q = await haar(new Uint8Array(32).fill(7), n);
  for (const [a, b] of [
    [0, 0],
    [0, 1],
    [17, 255],
    [255, 255],
  ] as const) {
    const product = dot(q.subarray(a * n, a * n + n), q.subarray(b * n, b * n + n));
    assert.ok(Math.abs(product - (a === b ? 1 : 0)) < 1e-12);
  }
});

test("secrets that nobody drew are refused, without repeating them", async () => {
  const weak = [
    new Uint8Array(31),
    new Uint8Array(32),
    Uint8Array.from({ length: 32 }, (_, at) => at),
    Uint8Array.from({ length: 32 }, (_, at) => (at * 7) % 15),
    new TextEncoder().encode("correct horse battery staple 32!"),
  ];
  for (const data of weak) await assert.rejects(Secret.of(data), Refusal);
  const words = vectors[0].words.split(" ");
  for (const [changed, said] of [
    [words.slice(1), "expected 24, got 23"],
    [["zzzz", ...words.slice(1)], "word 1"],
    [[words[1], words[0], ...words.slice(2)], "checksum"],
  ] as const) {
    await assert.rejects(Secret.fromWords(changed.join(" ")), (error: Refusal) => error.message.includes(said));
  }
  assert.ok((await Secret.fromWords(words.map((word: string) => word.slice(0, 4)).join("\n"))).fingerprint);
});

test("a secret's file goes to another device and back, and a changed one is refused", async () => {
  const secret = await Secret.make();
  const text = secretFile(secret, new Date("2026-01-02T03:04:05.678Z"));
  assert.ok((await readSecretFile(text)).equals(secret));
  assert.ok(text.includes('"made": "2026-01-02T03:04:05Z"'));
  const digit = text.replace(/"secret": "(.)/, (_, first: string) => `"secret": "${first === "0" ? "1" : "0"}`);
  for (const bad of [digit, "{}", "null", "no JSON"]) await assert.rejects(readSecretFile(bad), Refusal);
});
