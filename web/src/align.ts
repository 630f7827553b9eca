// Aligned faces: the similarity transform to the 112-pixel template, and its crop; as facemin/face/align.py.

import type { Landmarks } from "./centerface.ts";
import { Refusal } from "./errors.ts";
import type { Pixels } from "./image.ts";
import { type Matrix, inverse, sample, transform } from "./sample.ts";

/** Side of an aligned face, pixels. */
export const SIDE = 112;

/** InsightFace's five points in the crop: left eye, right eye, nose, mouth left, mouth right. */
export const TEMPLATE: Landmarks = [
  [38.2946, 51.6963],
  [73.5318, 51.5014],
  [56.0252, 71.7366],
  [41.5493, 92.3655],
  [70.7299, 92.2041],
];

const LEAST_SPREAD = 1e-3;

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

/**
 * Least-squares similarity transform (scale, rotation, shift; no reflection) from photo to template.
 *
 * Source: Umeyama, Least-squares estimation of transformation parameters between two point patterns, 1991; in the
 * plane it is the linear regression of the complex template on the complex points.
 */
export function similarity(points: Landmarks): Matrix {
  const [x0, y0] = [mean(points.map((point) => point[0])), mean(points.map((point) => point[1]))];
  const [u0, v0] = [mean(TEMPLATE.map((point) => point[0])), mean(TEMPLATE.map((point) => point[1]))];
  let [power, real, imaginary] = [0, 0, 0];
  points.forEach(([px, py], at) => {
    const [u, v] = TEMPLATE[at] as readonly [number, number];
    const [x, y] = [px - x0, py - y0];
    power += x * x + y * y;
    real += x * (u - u0) + y * (v - v0);
    imaginary += x * (v - v0) - y * (u - u0);
  });
  real /= power;
  imaginary /= power;
  if (!(Math.sqrt(power) > LEAST_SPREAD && Math.hypot(real, imaginary) * Math.sqrt(power) > LEAST_SPREAD)) {
    throw new Refusal("input", "points: expected five finite landmarks that lie apart, got others");
  }
  const shiftX = u0 - (real * x0 - imaginary * y0);
  const shiftY = v0 - (imaginary * x0 + real * y0);
  return [real, -imaginary, shiftX, imaginary, real, shiftY];
}

/** The aligned 112-pixel face around landmarks; black outside the photo. */
export function align(photo: Pixels, points: Landmarks): Pixels {
  const values = sample(photo, inverse(similarity(points)), SIDE, SIDE, "zero").data;
  const data = Uint8Array.from(values, (value) => roundHalfEven(Math.min(Math.max(value, 0), 255)));
  return { width: SIDE, height: SIDE, data };
}

/** Share of a face's crop that lies within the photo, in [0, 1]; below 1 it stands at the edge. */
export function inside(points: Landmarks, width: number, height: number): number {
  const back = inverse(similarity(points));
  let count = 0;
  for (let row = 0; row < SIDE; row += 1) {
    for (let column = 0; column < SIDE; column += 1) {
      const [x, y] = transform(back, column, row);
      if (x >= -0.5 && x < width - 0.5 && y >= -0.5 && y < height - 0.5) count += 1;
    }
  }
  return count / SIDE ** 2;
}

/** The nearest integer, halves to the even one, as NumPy and Python round. */
export function roundHalfEven(value: number): number {
  const low = Math.floor(value);
  const rest = value - low;
  if (rest !== 0.5) return rest < 0.5 ? low : low + 1;
  return low % 2 === 0 ? low : low + 1;
}
