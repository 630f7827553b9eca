// PNG files: written without the canvas, which some browsers change to hide the device.

import { type Bytes, concat, utf8 } from "./encoding.ts";
import type { Pixels } from "./image.ts";

const SIGNATURE = Uint8Array.of(137, 80, 78, 71, 13, 10, 26, 10);
const CRC = Uint32Array.from({ length: 256 }, (_, number) => {
  let value = number;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value;
});

/** An image as an RGB PNG: pixels and nothing else. */
export async function encodePng(image: Pixels): Promise<Bytes> {
  const { width, height, data } = image;
  const head = new DataView(new ArrayBuffer(13));
  head.setUint32(0, width);
  head.setUint32(4, height);
  head.setUint8(8, 8);
  head.setUint8(9, 2);
  const lines = new Uint8Array(height * (3 * width + 1));
  for (let row = 0; row < height; row += 1) {
    lines.set(data.subarray(3 * row * width, 3 * (row + 1) * width), row * (3 * width + 1) + 1);
  }
  const packed = new Response(new Blob([lines]).stream().pipeThrough(new CompressionStream("deflate")));
  const body = new Uint8Array(await packed.arrayBuffer());
  const chunks = [chunk("IHDR", new Uint8Array(head.buffer)), chunk("IDAT", body), chunk("IEND", new Uint8Array())];
  return concat([SIGNATURE, ...chunks]);
}

function chunk(kind: string, body: Uint8Array): Bytes {
  const named = concat([utf8(kind), body]);
  const ends = new DataView(new ArrayBuffer(8));
  ends.setUint32(0, body.length);
  ends.setUint32(4, crc(named));
  const bytes = new Uint8Array(ends.buffer);
  return concat([bytes.subarray(0, 4), named, bytes.subarray(4)]);
}

function crc(bytes: Uint8Array): number {
  let value = 0xffffffff;
  for (const byte of bytes) value = (CRC[(value ^ byte) & 255] as number) ^ (value >>> 8);
  return (value ^ 0xffffffff) >>> 0;
}
