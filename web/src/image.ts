// Photos as pixels: decoded by the browser, upright, on white, RGB in 0..255.

import { Refusal } from "./errors.ts";

/** An image: rows of RGB triples, 8 bits each. */
export interface Pixels {
  readonly width: number;
  readonly height: number;
  /** Length 3 * width * height. */
  readonly data: Uint8Array;
}

/** An image in floating point, on its way to a network. */
export interface Floats {
  readonly width: number;
  readonly height: number;
  /** Length 3 * width * height. */
  readonly data: Float32Array;
}

/** Most pixels a photo may have: 50-megapixel phones, with room. */
export const MOST_PIXELS = 64_000_000;

/**
 * Decode a photo as the browser does: its EXIF orientation is applied, transparency lies on white.
 *
 * Browsers decode JPEG by decoders of their own, a grey level or two from one another; PNG is exact.
 */
export async function decode(source: Blob): Promise<Pixels> {
  let bitmap: ImageBitmap;
  try {
    bitmap = await createImageBitmap(source, { imageOrientation: "from-image", premultiplyAlpha: "premultiply" });
  } catch {
    throw new Refusal(
      "photo",
      "photo: expected one that this browser reads (JPEG, PNG, WebP, ...), got something else",
    );
  }
  try {
    return fromBitmap(bitmap);
  } finally {
    bitmap.close();
  }
}

/** The pixels of a bitmap, such as a camera's frame. */
export function fromBitmap(bitmap: ImageBitmap): Pixels {
  const { width, height } = bitmap;
  if (width * height > MOST_PIXELS) {
    throw new Refusal("photo", `photo: expected at most ${MOST_PIXELS} pixels, got ${width} x ${height}`);
  }
  const canvas = new OffscreenCanvas(width, height);
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  if (pen === null) throw new Refusal("browser", "browser: expected a canvas to read the photo from, got none");
  pen.fillStyle = "#ffffff";
  pen.fillRect(0, 0, width, height);
  pen.drawImage(bitmap, 0, 0);
  return fromRgba(pen.getImageData(0, 0, width, height).data, width, height);
}

/** Opaque RGBA as RGB. */
export function fromRgba(rgba: Uint8ClampedArray | Uint8Array, width: number, height: number): Pixels {
  const data = new Uint8Array(3 * width * height);
  for (let from = 0, to = 0; to < data.length; from += 4, to += 3) {
    data[to] = rgba[from] as number;
    data[to + 1] = rgba[from + 1] as number;
    data[to + 2] = rgba[from + 2] as number;
  }
  return { width, height, data };
}

/** RGB as opaque RGBA, for a canvas. */
export function toRgba(pixels: Pixels): Uint8ClampedArray<ArrayBuffer> {
  const rgba = new Uint8ClampedArray(4 * pixels.width * pixels.height).fill(255);
  for (let from = 0, to = 0; from < pixels.data.length; from += 3, to += 4) {
    rgba[to] = pixels.data[from] as number;
    rgba[to + 1] = pixels.data[from + 1] as number;
    rgba[to + 2] = pixels.data[from + 2] as number;
  }
  return rgba;
}

/** The image seen in a mirror. */
export function mirrored(pixels: Pixels): Pixels {
  const { width, height } = pixels;
  const data = new Uint8Array(pixels.data.length);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const from = 3 * (y * width + x);
      data.set(pixels.data.subarray(from, from + 3), 3 * (y * width + width - 1 - x));
    }
  }
  return { width, height, data };
}
