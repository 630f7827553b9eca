// Pseudonyms: a secret rotation of the embedding space, uniform over all of them (Haar); spec/pseudonym.md.

import { type Context, checkDimension, deriveSeed, normals } from "./derivation.ts";
import { deriveKey, hex } from "./encoding.ts";
import { Refusal } from "./errors.ts";
import type { Secret } from "./secret.ts";

const LEAST_NORM = 1e-6; // below it, float32 embeddings have no direction

/** The rotation that one secret makes for one context. */
export class Pseudonym {
  private constructor(
    private readonly matrix: Float64Array,
    readonly dimension: number,
    /** Sixteen hexadecimal digits that tell pseudonyms apart and say nothing about secret or rotation. */
    readonly fingerprint: string,
  ) {}

  /** Derive it. */
  static async derive(secret: Secret, context: Context): Promise<Pseudonym> {
    const seed = await deriveSeed(secret, context);
    const name = hex(await deriveKey(seed, "facemin pseudonym fingerprint v1", undefined, 8));
    return new Pseudonym(await haar(seed, context.dimension), context.dimension, name);
  }

  /** What is sent in an embedding's place, or painted: Q e, of unit length before and after, rounded to float32. */
  target(embedding: Float64Array | Float32Array): Float32Array<ArrayBuffer> {
    const n = this.dimension;
    if (embedding.length !== n) throw new Refusal("input", `embedding: expected ${n} numbers, got ${embedding.length}`);
    const from = unit(embedding);
    const turned = Float64Array.from({ length: n }, (_, row) => dot(this.matrix.subarray(row * n, row * n + n), from));
    return Float32Array.from(unit(turned));
  }

  /** One row of the rotation; whoever has all of them has the pseudonym. */
  row(number: number): Float64Array {
    return this.matrix.slice(number * this.dimension, (number + 1) * this.dimension);
  }
}

/**
 * A matrix uniform over O(D) from a seed: the Q of G = Q R with a positive diagonal of R, row by row.
 *
 * Source: Mezzadri, How to generate random matrices from the classical compact groups, 2007.
 */
export async function haar(seed: Uint8Array, n: number): Promise<Float64Array> {
  checkDimension(n);
  // both by their columns, so that a reflection runs along memory: r[c * n + i] is R[i][c]
  const gaussian = await normals(seed, n * n);
  const r = Float64Array.from({ length: n * n }, (_, at) => gaussian[(at % n) * n + Math.floor(at / n)] as number);
  const q = new Float64Array(n * n);
  for (let i = 0; i < n; i += 1) q[i * n + i] = 1;
  for (let k = 0; k < n; k += 1) {
    const v = r.slice(k * n + k, k * n + n);
    const length = Math.sqrt(dot(v, v));
    v[0] = (v[0] as number) - ((v[0] as number) > 0 ? -length : length);
    const norm = Math.sqrt(dot(v, v));
    for (let i = 0; i < v.length; i += 1) v[i] = (v[i] as number) / norm;
    for (let column = k; column < n; column += 1) reflect(r.subarray(column * n + k, column * n + n), v);
    // rows of Q, of which those columns from k on change
    for (let row = 0; row < n; row += 1) reflect(q.subarray(row * n + k, row * n + n), v);
  }
  for (let column = 0; column < n; column += 1) {
    if ((r[column * n + column] as number) < 0) {
      for (let row = 0; row < n; row += 1) q[row * n + column] = -(q[row * n + column] as number);
    }
  }
  return q;
}

/** x - 2 (v x) v, in place. */
function reflect(x: Float64Array, v: Float64Array): void {
  const twice = 2 * dot(x, v);
  for (let i = 0; i < v.length; i += 1) x[i] = (x[i] as number) - twice * (v[i] as number);
}

/** Scalar product. */
export function dot(first: Float64Array | Float32Array, second: Float64Array | Float32Array): number {
  let sum = 0;
  for (let at = 0; at < first.length; at += 1) sum += (first[at] as number) * (second[at] as number);
  return sum;
}

/** A vector made to unit length, in float64; refused where it is not finite or near 0. */
export function unit(vector: Float64Array | Float32Array): Float64Array {
  if (vector.length < 2 || !vector.every(Number.isFinite)) {
    throw new Refusal("input", "vector: expected at least two finite numbers, got others");
  }
  const largest = Math.max(...vector.map(Math.abs));
  if (largest < LEAST_NORM) throw new Refusal("input", "vector: expected one with a direction, got one near 0");
  // by its largest number first, so that no square overflows
  const wide = Float64Array.from(vector, (value) => value / largest);
  const length = Math.sqrt(dot(wide, wide));
  return wide.map((value) => value / length);
}

/** The mean direction of several embeddings of one face. */
export function averageViews(views: readonly (Float64Array | Float32Array)[]): Float64Array {
  const [first, ...others] = views.map(unit);
  if (first === undefined || others.some((view) => view.length !== first.length)) {
    throw new Refusal("input", "views: expected at least one, all of one length");
  }
  return unit(first.map((value, at) => others.reduce((sum, view) => sum + (view[at] as number), value) / views.length));
}
