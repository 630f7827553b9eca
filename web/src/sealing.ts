// Authenticated encryption of what a device keeps under a secret: AES-GCM, nonce, ciphertext and tag in one.

import { type Bytes, asBytes, concat, deriveKey, utf8 } from "./encoding.ts";
import { Refusal } from "./errors.ts";
import type { Secret } from "./secret.ts";

const NONCE_BYTES = 12;

/** Encrypt bytes; `use` names what they are, and opened for another use they fail. */
export async function seal(secret: Secret, data: Uint8Array, use: string): Promise<Bytes> {
  const nonce = crypto.getRandomValues(new Uint8Array(NONCE_BYTES));
  const key = await keyFor(secret, use, "encrypt");
  const algorithm = { name: "AES-GCM", iv: nonce, additionalData: utf8(use) };
  return concat([nonce, new Uint8Array(await crypto.subtle.encrypt(algorithm, key, asBytes(data)))]);
}

/** Decrypt what `seal` encrypted. */
export async function unseal(secret: Secret, sealed: Uint8Array, use: string): Promise<Bytes> {
  const key = await keyFor(secret, use, "decrypt");
  const algorithm = { name: "AES-GCM", iv: sealed.slice(0, NONCE_BYTES), additionalData: utf8(use) };
  try {
    return new Uint8Array(await crypto.subtle.decrypt(algorithm, key, sealed.slice(NONCE_BYTES)));
  } catch {
    throw new Refusal(
      "stored",
      `stored: expected what was sealed with the secret ${secret.fingerprint}, got another's or a changed one`,
    );
  }
}

async function keyFor(secret: Secret, use: string, may: "encrypt" | "decrypt"): Promise<CryptoKey> {
  return crypto.subtle.importKey("raw", await deriveKey(secret.data, use), "AES-GCM", false, [may]);
}
