// The provider key: one ONNX file with a network and its signed manifest, checked; as facemin/keys/key.py.

import { type Bytes, fromBase64, hex, sha256, utf8 } from "./encoding.ts";
import { Refusal } from "./errors.ts";
import { type Manifest, readManifest, spaceId } from "./manifest.ts";
import { checkGraph, readOnnxFile } from "./onnx_file.ts";
import { verifySignature } from "./possession.ts";

const DAY = 86_400_000;
/** So far ahead may a key's making lie. */
const CLOCKS_DIFFER = DAY;
const LONGEST_VALID = 3653 * DAY;
const MOST_BYTES = 256 * 2 ** 20;

/** A provider key that has passed every check. */
export interface Key {
  readonly manifest: Manifest;
  /** The file's bytes. */
  readonly data: Uint8Array;
  /** The network's bytes, metadata excluded. */
  readonly graph: Uint8Array;
  /** SHA-256 of the file: what is pinned. */
  readonly fingerprint: string;
  /** Ed25519 key whose signature was verified, 32 bytes; undefined for an unsigned key. */
  readonly signer: Bytes | undefined;
  /** Identity of the space that pseudonyms are made in, 32 bytes; undefined for a key of plain protection. */
  readonly space: Bytes | undefined;
}

/** What a key is judged by. */
export interface KeyOptions {
  /** Ed25519 key that must have signed it; an unsigned one is taken without, one with a wrong signature never. */
  readonly signer?: Uint8Array;
  /** The time that expiry is judged at; the present when left out. */
  readonly now?: Date;
}

/** Read and check a key. */
export async function readKey(data: Uint8Array, options: KeyOptions = {}): Promise<Key> {
  const name = "key";
  if (!data.length || data.length > MOST_BYTES) {
    throw new Refusal("key", `key: expected a key of 1 to ${MOST_BYTES} bytes, got ${data.length}`);
  }
  const { graph, metadata } = readOnnxFile(data, name);
  const text = metadata.get("facemin.key");
  if (text === undefined) throw new Refusal("key", "key: expected a provider key, got an ONNX file without a manifest");
  const manifest = readManifest(text, name);
  const digest = hex(await sha256(graph));
  if (digest !== manifest.sha256) {
    throw new Refusal("key", `key: expected a graph with SHA-256 ${manifest.sha256}, got ${digest}: it was changed`);
  }
  const signer = await signerOf(metadata, text, options.signer);
  checkDates(manifest, options.now ?? new Date());
  checkGraph(graph, manifest.layers, manifest.space !== undefined, name);
  const fingerprint = hex(await sha256(data));
  return { manifest, data, graph, fingerprint, signer, space: await spaceId(manifest) };
}

async function signerOf(
  metadata: ReadonlyMap<string, string>,
  manifest: string,
  required: Uint8Array | undefined,
): Promise<Bytes | undefined> {
  const [signature, signer] = [metadata.get("facemin.signature"), metadata.get("facemin.signer")];
  if ((signature === undefined) !== (signer === undefined)) {
    throw new Refusal("key", "key: expected a signature together with its signer, got one of the two");
  }
  if (signature === undefined || signer === undefined) {
    if (required !== undefined) {
      throw new Refusal("key", `key: expected a key signed by ${hex(required)}, got an unsigned one`);
    }
    return undefined;
  }
  const wrong = new Refusal("key", "key: expected a valid Ed25519 signature of the manifest, got a wrong signature");
  let [by, over]: [Bytes, Bytes] = [new Uint8Array(), new Uint8Array()];
  try {
    [by, over] = [fromBase64(signer), fromBase64(signature)];
  } catch {
    throw wrong;
  }
  if (!(await verifySignature(by, over, utf8(manifest)))) throw wrong;
  if (required !== undefined && hex(by) !== hex(required)) {
    throw new Refusal("key", `key: expected a key signed by ${hex(required)}, got one signed by ${hex(by)}`);
  }
  return by;
}

function checkDates(manifest: Manifest, now: Date): void {
  const { created, expires } = manifest;
  if (expires !== undefined && now >= expires) {
    throw new Refusal("key_expired", `key: expected one that is still valid, got one that expired on ${day(expires)}`);
  }
  if (created.getTime() - now.getTime() > CLOCKS_DIFFER) {
    throw new Refusal("key", `key: expected one made before ${day(now)}, got one made on ${day(created)}`);
  }
  if (expires !== undefined && expires.getTime() - Math.max(now.getTime(), created.getTime()) > LONGEST_VALID) {
    throw new Refusal("key", `key: expected one that ends within ten years, or never, got ${day(expires)}`);
  }
}

const day = (time: Date): string => time.toISOString().slice(0, 10);
