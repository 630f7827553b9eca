// The score of a stranger: how cosines of two points drawn at random from the unit sphere are distributed.

import { checkDimension } from "./derivation.ts";

const STEPS = 4000; // even: of Simpson's rule
const HALVINGS = 60;

/** Share of strangers whose cosine exceeds one: two uploads under different rotations, in D dimensions. */
export function strangerFar(cosine: number, dimension: number): number {
  checkDimension(dimension);
  return cap(cosine, dimension) / cap(-1, dimension);
}

/** The cosine that strangers exceed with probability `far`. */
export function strangerThreshold(far: number, dimension: number): number {
  let [low, high] = [-1, 1];
  for (let halving = 0; halving < HALVINGS; halving += 1) {
    const middle = (low + high) / 2;
    if (strangerFar(middle, dimension) > far) low = middle;
    else high = middle;
  }
  return high;
}

/** Area of the sphere above a cosine, up to a factor: over the angle t, sin(t)^(D - 2). */
function cap(cosine: number, dimension: number): number {
  const end = Math.acos(Math.min(Math.max(cosine, -1), 1));
  const width = end / STEPS;
  let sum = 0;
  for (let step = 0; step <= STEPS; step += 1) {
    const weight = step === 0 || step === STEPS ? 1 : step % 2 ? 4 : 2;
    sum += weight * Math.sin(step * width) ** (dimension - 2);
  }
  return (sum * width) / 3;
}
