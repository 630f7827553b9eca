// Targets as files: safetensors, as facemin/protection/upload.py reads them.

import { type Bytes, concat, utf8 } from "./encoding.ts";
import type { Key } from "./key.ts";

/** A target, float32, with the key's id and cut. */
export function encodeFeature(target: Float32Array, key: Key): Bytes {
  const header = {
    __metadata__: { format: "facemin-feature-1", key_id: key.manifest.keyId, cut: key.manifest.cut },
    feature: { dtype: "F32", shape: [target.length], data_offsets: [0, 4 * target.length] },
  };
  const text = utf8(JSON.stringify(header));
  const padded = concat([text, utf8(" ".repeat((8 - (text.length % 8)) % 8))]);
  const length = new DataView(new ArrayBuffer(8));
  length.setBigUint64(0, BigInt(padded.length), true);
  const values = new DataView(new ArrayBuffer(4 * target.length));
  target.forEach((value, at) => values.setFloat32(4 * at, value, true));
  return concat([new Uint8Array(length.buffer), padded, new Uint8Array(values.buffer)]);
}
