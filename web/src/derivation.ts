// What a pseudonym is bound to, its seed, and the random numbers made of it; spec/pseudonym.md.

import { type Bytes, asBytes, deriveKey, encodeFields, utf8 } from "./encoding.ts";
import { Refusal } from "./errors.ts";
import { normaliseOrigin } from "./origin.ts";
import type { Secret } from "./secret.ts";

export const VERSION = 1;
export const LARGEST_DIMENSION = 1024;
const LONGEST_PURPOSE = 256;

/** What a pseudonym is bound to, besides the secret. */
export interface Context {
  /** Of the recipient. */
  readonly origin: string;
  /** Ed25519 key that signs the recipient's keys, 32 bytes, or none. */
  readonly signer: Uint8Array;
  /** Identity of the space, 32 bytes. */
  readonly space: Uint8Array;
  /** Of the space, 2 to 1024. */
  readonly dimension: number;
  /** The collection, or another purpose. */
  readonly purpose: string;
  /** Raised by renewal; public. */
  readonly epoch: number;
}

/** Canonical bytes of a context. */
export function encodeContext(context: Context): Bytes {
  const { signer, space, dimension, epoch } = context;
  if (signer.length !== 0 && signer.length !== 32) {
    throw new Refusal("input", `signer: expected 32 bytes or none, got ${signer.length}`);
  }
  if (space.length !== 32) throw new Refusal("input", `space: expected 32 bytes, got ${space.length}`);
  checkDimension(dimension);
  if (!Number.isSafeInteger(epoch) || epoch < 0) {
    throw new Refusal("input", `epoch: expected an integer from 0 on, got ${epoch}`);
  }
  const origin = normaliseOrigin(context.origin);
  return encodeFields(VERSION, origin, signer, space, dimension, checkedPurpose(context.purpose), epoch);
}

/** The rotation's seed, 32 bytes. */
export async function deriveSeed(secret: Secret, context: Context): Promise<Bytes> {
  return deriveKey(secret.data, "facemin pseudonym v1", encodeContext(context));
}

/** A purpose in Unicode's normalisation form C. */
export function checkedPurpose(purpose: string): string {
  const text = purpose.normalize("NFC");
  const length = utf8(text).length;
  if (/[\p{Cc}\p{Cs}]/u.test(text) || length < 1 || length > LONGEST_PURPOSE) {
    throw new Refusal("input", `purpose: expected 1 to ${LONGEST_PURPOSE} bytes of UTF-8 without control characters`);
  }
  return text;
}

/** Refuse what is no dimension of a space. */
export function checkDimension(dimension: number): void {
  if (!Number.isInteger(dimension) || dimension < 2 || dimension > LARGEST_DIMENSION) {
    throw new Refusal("input", `dimension: expected an integer in 2..${LARGEST_DIMENSION}, got ${dimension}`);
  }
}

/** Uniform numbers in (0, 1] from a seed: the upper 53 bits of AES-256 in counter mode over zeros. */
export async function uniforms(seed: Uint8Array, count: number): Promise<Float64Array> {
  const key = await crypto.subtle.importKey("raw", asBytes(seed), "AES-CTR", false, ["encrypt"]);
  const algorithm = { name: "AES-CTR", counter: new Uint8Array(16), length: 128 };
  const stream = new DataView(await crypto.subtle.encrypt(algorithm, key, new Uint8Array(8 * count)));
  return Float64Array.from({ length: count }, (_, at) => {
    const whole = stream.getUint32(8 * at) * 2 ** 21 + (stream.getUint32(8 * at + 4) >>> 11);
    return (whole + 1) / 2 ** 53;
  });
}

/** Standard normal numbers from a seed. Source: Box and Muller, A note on the generation of random normal deviates. */
export async function normals(seed: Uint8Array, count: number): Promise<Float64Array> {
  const drawn = await uniforms(seed, count + (count % 2));
  const made = new Float64Array(drawn.length);
  for (let at = 0; at < drawn.length; at += 2) {
    const radius = Math.sqrt(-2 * Math.log(drawn[at] as number));
    const angle = 2 * Math.PI * (drawn[at + 1] as number);
    made[at] = radius * Math.cos(angle);
    made[at + 1] = radius * Math.sin(angle);
  }
  return made.subarray(0, count);
}
