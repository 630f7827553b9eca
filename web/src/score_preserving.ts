// Score-preserving probes: of an embedding what the decision on it needs; facemin/pseudonym/probes/score_preserving.py.

import { normals } from "./derivation.ts";
import { Refusal } from "./errors.ts";
import { dot, unit } from "./rotation.ts";

/** Length that is to be left of a unit template outside the span of those before it, for it to add a direction. */
const INDEPENDENT = 1e-6;

/**
 * An embedding with a remainder drawn anew: cosines with the templates stay, nothing else does.
 *
 * Source: Mardia and Jupp, Directional Statistics, 2000, section 9.1 (tangent-normal decomposition).
 *
 * @param embedding - before the rotation
 * @param templates - what the provider compares with, at least one; where they span the space nothing is left to draw
 * @param seed - 32 bytes, fresh and secret ones for whatever is sent
 * @param most - in [0, 1]: keep the best cosine alone, made to lie in 0..most; all as they are when left out
 */
export async function scorePreserving(
  embedding: Float64Array,
  templates: readonly Float64Array[],
  seed: Uint8Array,
  most?: number,
): Promise<Float64Array> {
  const from = unit(embedding);
  const known = templates.map(unit);
  if (!known.length || known.some((row) => row.length !== from.length)) {
    throw new Refusal("input", `templates: expected at least one, all of ${from.length} numbers`);
  }
  if (most !== undefined && !(most >= 0 && most <= 1)) {
    throw new Refusal("input", `most: expected a cosine in [0, 1], got ${most}`);
  }
  const basis = basisOf(known);
  if (basis.length === from.length) return from;
  const inside = most === undefined ? less(from, outside(from, basis)) : best(from, known, most);
  const left = Math.sqrt(Math.max(1 - dot(inside, inside), 0));
  const fresh = unit(outside(await normals(seed, from.length), basis));
  return unit(inside.map((value, at) => value + left * (fresh[at] as number)));
}

/** The part along the nearest template, no longer than `most`; none where it points away from all of them. */
function best(from: Float64Array, templates: readonly Float64Array[], most: number): Float64Array {
  const scores = templates.map((row) => dot(row, from));
  const highest = Math.max(...scores);
  const nearest = templates[scores.indexOf(highest)] as Float64Array;
  return nearest.map((value) => value * Math.min(Math.max(highest, 0), most));
}

/** An orthonormal basis of the span, by Gram and Schmidt, each projected twice against rounding. */
function basisOf(templates: readonly Float64Array[]): Float64Array[] {
  const basis: Float64Array[] = [];
  for (const row of templates) {
    const left = outside(row, basis);
    if (Math.sqrt(dot(left, left)) > INDEPENDENT) basis.push(unit(left));
  }
  return basis;
}

function outside(row: Float64Array, basis: readonly Float64Array[]): Float64Array {
  const once = (from: Float64Array): Float64Array =>
    basis.reduce((left, each) => {
      const along = dot(left, each);
      return left.map((value, at) => value - along * (each[at] as number));
    }, from);
  return once(once(row));
}

const less = (first: Float64Array, second: Float64Array): Float64Array =>
  first.map((value, at) => value - (second[at] as number));
