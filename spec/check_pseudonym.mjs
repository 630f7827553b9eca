// Pseudonyms in JavaScript, from spec/pseudonym.md alone (WebCrypto): held to spec/vectors/pseudonym.json.
//
//     node spec/check_pseudonym.mjs
//
// Prints the largest deviation; ends with status 1 where one is above 1e-9 or any bytes differ.
import { readFileSync } from "node:fs";
import { argv, exit } from "node:process";
import { fileURLToPath } from "node:url";

const { subtle } = globalThis.crypto;
const utf8 = new TextEncoder();

export const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
export const fromHex = (text) => Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));

function concat(parts) {
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

function big(value, bytes) {
  const out = new Uint8Array(bytes);
  for (let at = bytes - 1, rest = BigInt(value); at >= 0; at -= 1, rest >>= 8n) out[at] = Number(rest & 255n);
  return out;
}

// Numbers as eight bytes, text as UTF-8, bytes as they are; each after its length.
export function encodeFields(...fields) {
  const parts = fields.map((field) =>
    typeof field === "number" ? big(field, 8) : typeof field === "string" ? utf8.encode(field) : field,
  );
  return concat(parts.flatMap((part) => [big(part.length, 4), part]));
}

export async function deriveKey(secret, salt, info = new Uint8Array(), length = 32) {
  const key = await subtle.importKey("raw", secret, "HKDF", false, ["deriveBits"]);
  const bits = await subtle.deriveBits({ name: "HKDF", hash: "SHA-256", salt: utf8.encode(salt), info }, key, 8 * length);
  return new Uint8Array(bits);
}

export function normaliseOrigin(url) {
  if (url === "local") return url;
  const { origin, protocol, hostname, username, password } = new URL(url);
  if (!["https:", "http:"].includes(protocol) || username || password || hostname.split(".").includes("")) {
    throw new Error(`origin: expected https or http and a host, got ${url}`);
  }
  return origin;
}

export function encodeContext({ origin, signer, space, dimension, purpose, epoch }) {
  return encodeFields(1, normaliseOrigin(origin), signer, space, dimension, purpose.normalize("NFC"), epoch);
}

export const deriveSeed = (secret, context) => deriveKey(secret, "facemin pseudonym v1", encodeContext(context));

export async function uniforms(seed, count) {
  const key = await subtle.importKey("raw", seed, "AES-CTR", false, ["encrypt"]);
  const algorithm = { name: "AES-CTR", counter: new Uint8Array(16), length: 128 };
  const stream = new DataView(await subtle.encrypt(algorithm, key, new Uint8Array(8 * count)));
  return Float64Array.from({ length: count }, (_, at) => {
    const k = stream.getUint32(8 * at) * 2 ** 21 + (stream.getUint32(8 * at + 4) >>> 11);
    return (k + 1) / 2 ** 53;
  });
}

export async function normals(seed, count) {
  const drawn = await uniforms(seed, count + (count % 2));
  const out = new Float64Array(drawn.length);
  for (let at = 0; at < drawn.length; at += 2) {
    const radius = Math.sqrt(-2 * Math.log(drawn[at]));
    const angle = 2 * Math.PI * drawn[at + 1];
    out[at] = radius * Math.cos(angle);
    out[at + 1] = radius * Math.sin(angle);
  }
  return out.subarray(0, count);
}

// Q of G = Q R, R with a positive diagonal; row-major, by Householder reflections.
export async function rotation(seed, n) {
  const r = Float64Array.from(await normals(seed, n * n));
  const q = new Float64Array(n * n);
  for (let i = 0; i < n; i += 1) q[i * n + i] = 1;
  const v = new Float64Array(n);
  for (let k = 0; k < n; k += 1) {
    let square = 0;
    for (let i = k; i < n; i += 1) square += r[i * n + k] ** 2;
    const s = r[k * n + k] > 0 ? -Math.sqrt(square) : Math.sqrt(square);
    for (let i = k; i < n; i += 1) v[i] = r[i * n + k];
    v[k] -= s;
    let length = 0;
    for (let i = k; i < n; i += 1) length += v[i] ** 2;
    for (let i = k; i < n; i += 1) v[i] /= Math.sqrt(length);
    for (let c = k; c < n; c += 1) {
      let dot = 0;
      for (let i = k; i < n; i += 1) dot += v[i] * r[i * n + c];
      for (let i = k; i < n; i += 1) r[i * n + c] -= 2 * dot * v[i];
    }
    for (let row = 0; row < n; row += 1) {
      let dot = 0;
      for (let i = k; i < n; i += 1) dot += q[row * n + i] * v[i];
      for (let i = k; i < n; i += 1) q[row * n + i] -= 2 * dot * v[i];
    }
  }
  for (let c = 0; c < n; c += 1) {
    if (r[c * n + c] < 0) for (let row = 0; row < n; row += 1) q[row * n + c] *= -1;
  }
  return q;
}

function unit(row) {
  const length = Math.sqrt(row.reduce((sum, value) => sum + value * value, 0));
  return row.map((value) => value / length);
}

// float64, unit length; what is sent is its rounding to float32.
export function target(q, embedding) {
  const n = embedding.length;
  const e = unit(Float64Array.from(embedding));
  return unit(Float64Array.from({ length: n }, (_, row) => e.reduce((sum, value, c) => sum + q[row * n + c] * value, 0)));
}

const dot = (a, b) => a.reduce((sum, value, at) => sum + value * b[at], 0);

// x less its part along each of some orthonormal rows.
function outside(x, basis) {
  return basis.reduce((left, row) => {
    const along = dot(left, row);
    return left.map((value, at) => value - along * row[at]);
  }, Float64Array.from(x));
}

// What is left of an embedding in a probe; all cosines where `most` is undefined, else the best one, no more than it.
export async function probe(embedding, templates, seed, most) {
  const e = unit(Float64Array.from(embedding));
  const known = templates.map((row) => unit(Float64Array.from(row)));
  const basis = [];
  for (const row of known) {
    const left = outside(outside(row, basis), basis);
    if (Math.sqrt(dot(left, left)) > 1e-6) basis.push(unit(left));
  }
  if (basis.length === e.length) return e;
  let inside = e.map((value, at) => value - outside(e, basis)[at]);
  if (most !== undefined) {
    const scores = known.map((row) => dot(row, e));
    const best = Math.max(...scores);
    inside = known[scores.indexOf(best)].map((value) => value * Math.min(Math.max(best, 0), most));
  }
  const drawn = await normals(seed, e.length);
  const fresh = unit(outside(outside(drawn, basis), basis));
  const left = Math.sqrt(Math.max(0, 1 - dot(inside, inside)));
  return unit(inside.map((value, at) => value + left * fresh[at]));
}

// WebCrypto takes a bare Ed25519 seed only inside PKCS 8.
const PKCS8 = fromHex("302e020100300506032b657004220420");

export async function possessionKey(secret, origin, purpose) {
  const info = encodeFields(1, normaliseOrigin(origin), purpose.normalize("NFC"));
  const seed = await deriveKey(secret, "facemin possession v1", info);
  const key = await subtle.importKey("pkcs8", concat([PKCS8, seed]), "Ed25519", true, ["sign"]);
  const { x } = await subtle.exportKey("jwk", key);
  return { key, public: Uint8Array.from(atob(x.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0)) };
}

export function encodeStatement({ challenge, operation, purpose, upload, person, epoch }) {
  return encodeFields("facemin upload v1", challenge, operation, purpose.normalize("NFC"), upload, person, epoch);
}

async function check(vector) {
  const secret = fromHex(vector.secret);
  const context = { ...vector.context, signer: fromHex(vector.context.signer), space: fromHex(vector.context.space) };
  const seed = await deriveSeed(secret, context);
  const n = context.dimension;
  const q = await rotation(seed, n);
  const possession = await possessionKey(secret, context.origin, context.purpose);
  const { statement } = vector;
  const signed = encodeStatement({
    ...statement,
    purpose: context.purpose,
    epoch: context.epoch,
    challenge: fromHex(statement.challenge),
    upload: fromHex(statement.upload),
  });
  const bytes = {
    secret_fingerprint: await deriveKey(secret, "facemin secret fingerprint v1", undefined, 8),
    encoded_context: encodeContext(context),
    seed,
    pseudonym_fingerprint: await deriveKey(seed, "facemin pseudonym fingerprint v1", undefined, 8),
    possession_public: possession.public,
    encoded_statement: signed,
    signature: new Uint8Array(await subtle.sign("Ed25519", possession.key, signed)),
  };
  const { templates, remainder_seed, most, scores, decision } = vector.probes;
  const numbers = [
    [await probe(vector.embedding, templates, fromHex(remainder_seed)), scores],
    [await probe(vector.embedding, templates, fromHex(remainder_seed), most), decision],
    [await uniforms(seed, vector.uniforms.length), vector.uniforms],
    [await normals(seed, vector.normals.length), vector.normals],
    ...vector.rotation_rows.map(({ row, values }) => [q.subarray(row * n, row * n + n), values]),
    [target(q, vector.embedding), vector.target],
  ];
  const wrong = Object.entries(bytes).filter(([name, value]) => hex(value) !== vector[name]);
  const largest = Math.max(...numbers.flatMap(([ours, theirs]) => theirs.map((value, at) => Math.abs(value - ours[at]))));
  return { name: vector.name, differ: wrong.map(([name]) => name), largest };
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  const { vectors, origins } = JSON.parse(readFileSync(new URL("./vectors/pseudonym.json", import.meta.url), "utf8"));
  const results = await Promise.all(vectors.map(check));
  for (const { name, differ, largest } of results) {
    console.log(`${name}: largest deviation ${largest.toExponential(2)}${differ.map((field) => `, ${field} differs`).join("")}`);
  }
  const strayed = origins.filter(({ url, origin }) => normaliseOrigin(url) !== origin);
  for (const { url, origin } of strayed) console.log(`origin of ${url}: ${normaliseOrigin(url)}, expected ${origin}`);
  exit(strayed.length || results.some(({ differ, largest }) => differ.length || !(largest <= 1e-9)) ? 1 : 0);
}
