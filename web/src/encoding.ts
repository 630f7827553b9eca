// Bytes as hexadecimal, base64 and fields; keys derived from them. See spec/pseudonym.md.

import { Refusal } from "./errors.ts";

export type Bytes = Uint8Array<ArrayBuffer>;

const UTF8 = new TextEncoder();
const LARGEST_INTEGER = Number.MAX_SAFE_INTEGER;

/** Text as UTF-8. */
export function utf8(text: string): Bytes {
  if (!text.isWellFormed()) throw new Refusal("input", "text: expected Unicode, got a lone surrogate");
  return UTF8.encode(text);
}

/** Bytes as lower-case hexadecimal digits. */
export function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Hexadecimal digits as bytes. */
export function fromHex(text: string): Bytes {
  if (text.length % 2 || !/^[0-9a-f]*$/.test(text)) {
    throw new Refusal("input", "bytes: expected pairs of lower-case hexadecimal digits, got other text");
  }
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

/** Bytes in base64. */
export function base64(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += 0x8000) {
    text += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  }
  return btoa(text);
}

/** Base64, strict, as bytes. */
export function fromBase64(text: string): Bytes {
  if (text.length % 4 || !/^[A-Za-z0-9+/]*={0,2}$/.test(text)) {
    throw new Refusal("input", "bytes: expected base64, got other text");
  }
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

/** Byte strings one after the other. */
export function concat(parts: readonly Uint8Array[]): Bytes {
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

/** Whether two byte strings are the same. */
export function equal(first: Uint8Array, second: Uint8Array): boolean {
  return first.length === second.length && first.every((byte, at) => byte === second[at]);
}

/** Fields, each after its length in four bytes: integers take eight bytes, big-endian, text is UTF-8. */
export function encodeFields(...fields: readonly (Uint8Array | string | number)[]): Bytes {
  const parts = fields.map(encoded);
  return concat(parts.flatMap((part) => [bigEndian(part.length, 4), part]));
}

function encoded(field: Uint8Array | string | number): Uint8Array {
  if (typeof field === "string") return utf8(field);
  if (typeof field !== "number") return field;
  if (!Number.isInteger(field) || field < 0 || field > LARGEST_INTEGER) {
    throw new Refusal("input", `integer: expected one in [0, 2^53), got ${field}`);
  }
  return bigEndian(field, 8);
}

function bigEndian(value: number, length: number): Bytes {
  const bytes = new Uint8Array(length);
  for (let at = length - 1, rest = value; at >= 0; at -= 1, rest = Math.floor(rest / 256)) bytes[at] = rest % 256;
  return bytes;
}

/** SHA-256, 32 bytes. */
export async function sha256(data: Uint8Array): Promise<Bytes> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", asBytes(data)));
}

/** A key for one use: HKDF with SHA-256 (RFC 5869). */
export async function deriveKey(
  secret: Uint8Array,
  salt: string,
  info: Uint8Array = new Uint8Array(),
  length = 32,
): Promise<Bytes> {
  const key = await crypto.subtle.importKey("raw", asBytes(secret), "HKDF", false, ["deriveBits"]);
  const parameters = { name: "HKDF", hash: "SHA-256", salt: utf8(salt), info: asBytes(info) };
  return new Uint8Array(await crypto.subtle.deriveBits(parameters, key, 8 * length));
}

/** Bytes over a buffer of their own, as WebCrypto takes them. */
export function asBytes(data: Uint8Array): Bytes {
  return data.buffer instanceof ArrayBuffer ? (data as Bytes) : new Uint8Array(data);
}
