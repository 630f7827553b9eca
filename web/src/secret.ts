// A person's secret: 256 random bits, their fingerprint, and their words for paper; spec/pseudonym.md.

import { type Bytes, asBytes, concat, deriveKey, equal, fromHex, hex, sha256 } from "./encoding.ts";
import { Refusal } from "./errors.ts";
import { WORDS } from "./words.ts";

export const SECRET_BYTES = 32;
export const WORD_COUNT = 24;
const FEWEST_VALUES = 16; // of 32 random bytes fewer than 16 are different about once in 10^15 draws

/** 256 random bits that a person's devices have and nobody else. */
export class Secret {
  private constructor(
    readonly data: Bytes,
    /** Sixteen hexadecimal digits; for the person's own devices, not for providers. */
    readonly fingerprint: string,
  ) {}

  /** A secret of 32 bytes that were drawn at random; others are refused, and not repeated. */
  static async of(data: Uint8Array): Promise<Secret> {
    if (data.length !== SECRET_BYTES) {
      throw new Refusal("secret", `secret: expected ${SECRET_BYTES} bytes, got ${data.length}`);
    }
    const weakness = weaknessOf(data);
    if (weakness) {
      throw new Refusal("secret", `secret: expected ${SECRET_BYTES} random bytes, got ${weakness}; make a new one`);
    }
    return new Secret(asBytes(data), hex(await deriveKey(data, "facemin secret fingerprint v1", undefined, 8)));
  }

  /** A fresh one from the browser's randomness. */
  static async make(): Promise<Secret> {
    return Secret.of(crypto.getRandomValues(new Uint8Array(SECRET_BYTES)));
  }

  /** Read 24 words of BIP-39; four letters of a word will do, in any case. */
  static async fromWords(text: string): Promise<Secret> {
    const given = text.toLowerCase().trim().split(/\s+/);
    if (given.length !== WORD_COUNT) {
      throw new Refusal("secret", `words: expected ${WORD_COUNT}, got ${text.trim() ? given.length : 0}`);
    }
    const starts = new Map(WORDS.map((word, number) => [word.slice(0, 4), number]));
    const places = new Map(WORDS.map((word, number) => [word, number]));
    const numbers = given.map((word) => places.get(word) ?? starts.get(word) ?? -1);
    const wrong = numbers.flatMap((number, at) => (number < 0 ? [at + 1] : []));
    if (wrong.length) {
      throw new Refusal(
        "secret",
        `words: expected words of BIP-39's English list, got another as word ${wrong.join(", ")}`,
      );
    }
    const bits = numbers.map((number) => number.toString(2).padStart(11, "0")).join("");
    const bytes = Uint8Array.from(bits.match(/.{8}/g) ?? [], (eight) => parseInt(eight, 2));
    const data = bytes.slice(0, SECRET_BYTES);
    if ((await sha256(data))[0] !== bytes[SECRET_BYTES]) {
      throw new Refusal(
        "secret",
        "words: expected the words of one secret in their order, got others: the checksum fails, so that at least " +
          "one word is not the one on paper, or two are exchanged",
      );
    }
    return Secret.of(data);
  }

  /** The secret as 24 English words: whoever reads them has the secret. */
  async words(): Promise<string> {
    const checksum = (await sha256(this.data)).slice(0, 1);
    const bits = Array.from(concat([this.data, checksum]), (byte) => byte.toString(2).padStart(8, "0")).join("");
    return (bits.match(/.{11}/g) ?? []).map((eleven) => WORDS[parseInt(eleven, 2)]).join(" ");
  }

  /** Whether it is the same secret. */
  equals(other: Secret): boolean {
    return equal(this.data, other.data);
  }
}

/** A secret as the file that `facemin secret export` writes and `facemin secret import` reads. */
export function secretFile(secret: Secret, made: Date, name = "default"): string {
  const values = {
    format: "facemin secret",
    version: 1,
    name,
    fingerprint: secret.fingerprint,
    made: made.toISOString().replace(/\.\d+Z$/, "Z"),
    kept: "file",
    secret: hex(secret.data),
  };
  return `${JSON.stringify(values, null, 1)}\n`;
}

/** Read such a file. */
export async function readSecretFile(text: string): Promise<Secret> {
  let values: Record<string, unknown>;
  try {
    values = JSON.parse(text) as Record<string, unknown>;
  } catch {
    throw new Refusal("secret", "file: expected a secret of facemin, got something else");
  }
  const { format, version, fingerprint, secret } = values ?? {};
  if (format !== "facemin secret" || version !== 1 || typeof secret !== "string" || !/^[0-9a-f]{64}$/.test(secret)) {
    throw new Refusal("secret", "file: expected a secret of facemin, version 1, got something else");
  }
  const read = await Secret.of(fromHex(secret));
  if (read.fingerprint !== fingerprint) {
    throw new Refusal("secret", "file: expected a secret with the file's fingerprint, got another: it was changed");
  }
  return read;
}

/** What shows that bytes were not drawn at random. */
function weaknessOf(data: Uint8Array): string {
  for (let period = 1; period <= SECRET_BYTES / 2; period += 1) {
    if (data.every((byte, at) => byte === data[at % period])) return "one and the same again and again";
  }
  const steps = new Set(Array.from(data.subarray(1), (byte, at) => (byte - (data[at] as number) + 256) % 256));
  if (steps.size === 1) return "bytes in a row";
  const values = new Set(data);
  if (values.size < FEWEST_VALUES) return `only ${values.size} different ones`;
  return data.every((byte) => byte >= 0x20 && byte < 0x7f) ? "text" : "";
}
