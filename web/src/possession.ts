// Proof of possession: an Ed25519 key per origin and purpose, and signatures of uploads; spec/pseudonym.md.

import { VERSION, checkedPurpose } from "./derivation.ts";
import { type Bytes, asBytes, concat, deriveKey, encodeFields, fromHex, sha256, utf8 } from "./encoding.ts";
import { Refusal } from "./errors.ts";
import { normaliseOrigin } from "./origin.ts";
import type { Secret } from "./secret.ts";

/** What is asked for. */
export type Operation = "enrol" | "verify" | "identify" | "renew";

/** What a device signs of an upload, so that it counts once, for one person and one operation. */
export interface Statement {
  /** The provider's, 16 to 64 bytes. */
  readonly challenge: Uint8Array;
  readonly operation: Operation;
  /** The collection. */
  readonly purpose: string;
  /** SHA-256 of what is sent. */
  readonly upload: Uint8Array;
  /** As the provider calls them; empty where it is to find out. */
  readonly person: string;
  /** Of the pseudonym. */
  readonly epoch: number;
}

// WebCrypto takes a bare Ed25519 seed only inside PKCS 8
const PKCS8 = fromHex("302e020100300506032b657004220420");

/** Canonical bytes of a statement. */
export function encodeStatement(statement: Statement): Bytes {
  const { challenge, operation, purpose, upload, person, epoch } = statement;
  if (challenge.length < 16 || challenge.length > 64) {
    throw new Refusal("input", `challenge: expected 16 to 64 bytes, got ${challenge.length}`);
  }
  if (upload.length !== 32) throw new Refusal("input", `upload: expected a SHA-256, got ${upload.length} bytes`);
  if (utf8(person).length > 256) throw new Refusal("input", "person: expected at most 256 bytes of UTF-8");
  return encodeFields("facemin upload v1", challenge, operation, checkedPurpose(purpose), upload, person, epoch);
}

/** What the registered key signs in place of the probe's hash when it renews: the probe and all that replaces it. */
export async function renewalDigest(
  probe: Uint8Array,
  uploads: readonly Uint8Array[],
  key: Uint8Array,
): Promise<Bytes> {
  return sha256(encodeFields("facemin renewal v1", probe, key, ...uploads));
}

/** The key a device proves with that it has the secret, one for each origin and purpose. */
export class PossessionKey {
  private constructor(
    private readonly key: CryptoKey,
    /** 32 bytes: registered with the provider at enrolment. */
    readonly publicKey: Bytes,
    private readonly purpose: string,
  ) {}

  /** Derive it; refused where the browser has no Ed25519. */
  static async derive(secret: Secret, origin: string, purpose: string): Promise<PossessionKey> {
    const name = checkedPurpose(purpose);
    const seed = await deriveKey(
      secret.data,
      "facemin possession v1",
      encodeFields(VERSION, normaliseOrigin(origin), name),
    );
    const form = asBytes(concat([PKCS8, seed]));
    // the public key can be had of one that may be exported only
    const open = await ed25519(() => crypto.subtle.importKey("pkcs8", form, "Ed25519", true, ["sign"]));
    const { x } = await crypto.subtle.exportKey("jwk", open);
    const key = await crypto.subtle.importKey("pkcs8", form, "Ed25519", false, ["sign"]);
    if (x === undefined) throw new Refusal("browser", "browser: expected it to derive a public key, got none");
    const text = atob(x.replace(/-/g, "+").replace(/_/g, "/"));
    return new PossessionKey(
      key,
      Uint8Array.from(text, (letter) => letter.charCodeAt(0)),
      name,
    );
  }

  /** Sign a statement of the same purpose: 64 bytes. */
  async sign(statement: Statement): Promise<Bytes> {
    if (checkedPurpose(statement.purpose) !== this.purpose) {
      throw new Refusal("input", "statement: expected one for this key's purpose, got another");
    }
    return new Uint8Array(await crypto.subtle.sign("Ed25519", this.key, encodeStatement(statement)));
  }
}

/** Whether a key signed bytes; refused where the browser has no Ed25519. */
export async function verifySignature(key: Uint8Array, signature: Uint8Array, data: Uint8Array): Promise<boolean> {
  if (key.length !== 32 || signature.length !== 64) return false;
  try {
    const opened = await ed25519(() => crypto.subtle.importKey("raw", asBytes(key), "Ed25519", false, ["verify"]));
    return await crypto.subtle.verify("Ed25519", opened, asBytes(signature), asBytes(data));
  } catch (error) {
    // 32 bytes that are no point of the curve
    if (error instanceof DOMException && error.name === "DataError") return false;
    throw error;
  }
}

async function ed25519<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof DOMException && error.name === "NotSupportedError") {
      throw new Refusal(
        "browser",
        "browser: expected one with Ed25519 (Chrome and Edge 137, Firefox 129, Safari 17 or later), got an older one",
      );
    }
    throw error;
  }
}
