// Reading an image at arbitrary places: bilinear, anti-aliased by averaging blocks first; as facemin/face/sample.py.

import type { Floats, Pixels } from "./image.ts";

/** An affine matrix (2 x 3), row by row: x' = m0 x + m1 y + m2, y' = m3 x + m4 y + m5. */
export type Matrix = readonly [number, number, number, number, number, number];

/** What lies outside an image: black, or its nearest pixel. */
export type Border = "zero" | "replicate";

/** A point under an affine matrix. */
export function transform(m: Matrix, x: number, y: number): readonly [number, number] {
  return [m[0] * x + m[1] * y + m[2], m[3] * x + m[4] * y + m[5]];
}

/** The inverse affine matrix. */
export function inverse(m: Matrix): Matrix {
  const determinant = m[0] * m[4] - m[1] * m[3];
  const [a, b, c, d] = [m[4] / determinant, -m[1] / determinant, -m[3] / determinant, m[0] / determinant];
  return [a, b, -(a * m[2] + b * m[5]), c, d, -(c * m[2] + d * m[5])];
}

const clip = (value: number, low: number, high: number): number => Math.min(Math.max(value, low), high);

/**
 * An image's values at the places that a similarity transform sends a grid of pixel centres to.
 *
 * Where the image is at least twice as fine as the grid, whole blocks of its pixels are averaged first.
 *
 * @param image - to read
 * @param matrix - from the grid to the image
 * @param width - of the grid
 * @param height - of the grid
 * @param border - outside the image
 */
export function sample(image: Pixels, matrix: Matrix, width: number, height: number, border: Border): Floats {
  const factor = Math.max(1, Math.floor(Math.hypot(matrix[0], matrix[3])));
  const region = regionUnder(image, matrix, width, height, factor);
  const small = reduce(image, region, factor, border);
  const shiftX = (region.left + (factor - 1) / 2) / factor;
  const shiftY = (region.top + (factor - 1) / 2) / factor;
  // with a border of zeros there is one black pixel all around; further out it is black as well
  const pad = border === "zero" ? 1 : 0;
  const padded = pad ? framed(small) : small;
  const data = new Float32Array(3 * width * height);
  for (let row = 0; row < height; row += 1) {
    for (let column = 0; column < width; column += 1) {
      const x = (matrix[0] * column + matrix[1] * row + matrix[2]) / factor - shiftX + pad;
      const y = (matrix[3] * column + matrix[4] * row + matrix[5]) / factor - shiftY + pad;
      blend(padded, x, y, data, 3 * (row * width + column));
    }
  }
  return { width, height, data };
}

interface Region {
  readonly top: number;
  readonly bottom: number;
  readonly left: number;
  readonly right: number;
}

function regionUnder(image: Pixels, matrix: Matrix, width: number, height: number, factor: number): Region {
  const corners = [
    transform(matrix, 0, 0),
    transform(matrix, width - 1, 0),
    transform(matrix, 0, height - 1),
    transform(matrix, width - 1, height - 1),
  ];
  const xs = corners.map((corner) => corner[0]);
  const ys = corners.map((corner) => corner[1]);
  const margin = 2 * factor;
  let left = clip(Math.floor(Math.min(...xs)) - margin, 0, image.width - 1);
  let top = clip(Math.floor(Math.min(...ys)) - margin, 0, image.height - 1);
  const right = Math.max(clip(Math.ceil(Math.max(...xs)) + margin + 1, 0, image.width), left + 1);
  const bottom = Math.max(clip(Math.ceil(Math.max(...ys)) + margin + 1, 0, image.height), top + 1);
  // blocks lie on the image's own grid, so that parts sampled one by one fit together
  top -= top % factor;
  left -= left % factor;
  return { top, bottom, left, right };
}

/** Means of blocks of a region, what lies beyond its edge as the border says. */
function reduce(image: Pixels, region: Region, factor: number, border: Border): Floats {
  const { top, bottom, left, right } = region;
  const width = Math.ceil((right - left) / factor);
  const height = Math.ceil((bottom - top) / factor);
  const data = new Float32Array(3 * width * height);
  for (let row = 0; row < height * factor; row += 1) {
    const inside = top + row < bottom;
    if (!inside && border === "zero") continue;
    const y = Math.min(top + row, bottom - 1);
    for (let column = 0; column < width * factor; column += 1) {
      const within = left + column < right;
      if (!within && border === "zero") continue;
      const from = 3 * (y * image.width + Math.min(left + column, right - 1));
      const to = 3 * (Math.floor(row / factor) * width + Math.floor(column / factor));
      for (let channel = 0; channel < 3; channel += 1) {
        data[to + channel] = (data[to + channel] as number) + (image.data[from + channel] as number);
      }
    }
  }
  if (factor > 1) {
    const count = factor * factor;
    for (let at = 0; at < data.length; at += 1) data[at] = (data[at] as number) / count;
  }
  return { width, height, data };
}

/** An image with one black pixel all around. */
function framed(image: Floats): Floats {
  const [width, height] = [image.width + 2, image.height + 2];
  const data = new Float32Array(3 * width * height);
  for (let row = 0; row < image.height; row += 1) {
    const line = image.data.subarray(3 * row * image.width, 3 * (row + 1) * image.width);
    data.set(line, 3 * ((row + 1) * width + 1));
  }
  return { width, height, data };
}

/** Write the bilinear value at (x, y), the border replicated; each step rounded to float32 as NumPy does it. */
function blend(image: Floats, x: number, y: number, out: Float32Array, at: number): void {
  const { width, height, data } = image;
  const atX = clip(x, 0, width - 1);
  const atY = clip(y, 0, height - 1);
  const left = Math.floor(atX);
  const upper = Math.floor(atY);
  const along = Math.fround(atX - left);
  const down = Math.fround(atY - upper);
  const right = Math.min(left + 1, width - 1);
  const lower = Math.min(upper + 1, height - 1);
  for (let channel = 0; channel < 3; channel += 1) {
    const a = data[3 * (upper * width + left) + channel] as number;
    const b = data[3 * (upper * width + right) + channel] as number;
    const c = data[3 * (lower * width + left) + channel] as number;
    const d = data[3 * (lower * width + right) + channel] as number;
    const above = Math.fround(Math.fround(Math.fround(b - a) * along) + a);
    const below = Math.fround(Math.fround(Math.fround(d - c) * along) + c);
    out[at + channel] = Math.fround(Math.fround(below - above) * down) + above;
  }
}
