// Shrinking by antialiased bilinear weights, rows first, then columns, each rounded to 8 bits: as Pillow does it.

import type { Pixels } from "./image.ts";

/** Fixed point of Pillow's weights: 22 bits, so that rounding errors are the same as there. */
const BITS = 22;
const HALF = 2 ** (BITS - 1);

interface Weights {
  /** First source pixel of each target pixel. */
  readonly first: Int32Array;
  /** Weights of each target pixel, in units of 2^-22. */
  readonly taps: readonly Int32Array[];
}

/** An image at another size, (height, width). */
export function resize(image: Pixels, height: number, width: number): Pixels {
  if (image.height === height && image.width === width) return image;
  return columns(rows(image, width), height);
}

/** Source: Pillow, src/libImaging/Resample.c: triangle filter, its support widened on the way down. */
function weights(source: number, target: number): Weights {
  const scale = source / target;
  const support = Math.max(scale, 1);
  const first = new Int32Array(target);
  const taps = Array.from({ length: target }, (_, at) => {
    const centre = (at + 0.5) * scale;
    const low = Math.max(Math.trunc(centre - support + 0.5), 0);
    const high = Math.min(Math.trunc(centre + support + 0.5), source);
    first[at] = low;
    const values = Array.from({ length: high - low }, (_unused, tap) => {
      const distance = Math.abs((tap + low - centre + 0.5) / support);
      return distance < 1 ? 1 - distance : 0;
    });
    const sum = values.reduce((total, value) => total + value, 0);
    return Int32Array.from(values, (value) => Math.trunc(0.5 + (value / sum) * 2 ** BITS));
  });
  return { first, taps };
}

function rows(image: Pixels, width: number): Pixels {
  if (image.width === width) return image;
  const { first, taps } = weights(image.width, width);
  const data = new Uint8Array(3 * width * image.height);
  for (let y = 0; y < image.height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const start = 3 * (y * image.width + (first[x] as number));
      gather(image.data, start, 3, taps[x] as Int32Array, data, 3 * (y * width + x));
    }
  }
  return { width, height: image.height, data };
}

function columns(image: Pixels, height: number): Pixels {
  if (image.height === height) return image;
  const { first, taps } = weights(image.height, height);
  const data = new Uint8Array(3 * image.width * height);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < image.width; x += 1) {
      const start = 3 * ((first[y] as number) * image.width + x);
      gather(image.data, start, 3 * image.width, taps[y] as Int32Array, data, 3 * (y * image.width + x));
    }
  }
  return { width: image.width, height, data };
}

function gather(from: Uint8Array, start: number, step: number, taps: Int32Array, to: Uint8Array, at: number): void {
  let [red, green, blue] = [HALF, HALF, HALF];
  for (let tap = 0, place = start; tap < taps.length; tap += 1, place += step) {
    const weight = taps[tap] as number;
    red += (from[place] as number) * weight;
    green += (from[place + 1] as number) * weight;
    blue += (from[place + 2] as number) * weight;
  }
  // weights are positive and sum to one: no value leaves 0..255
  to[at] = red >> BITS;
  to[at + 1] = green >> BITS;
  to[at + 2] = blue >> BITS;
}
