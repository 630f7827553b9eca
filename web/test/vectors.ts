// Test vectors of spec/, and the networks they were made with.

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { env } from "node:process";
import { gunzipSync, inflateSync } from "node:zlib";

import type { Pixels } from "../src/image.ts";

declare const VECTORS: string;

export function vector(...path: string[]): Uint8Array<ArrayBuffer> {
  return new Uint8Array(readFileSync(join(VECTORS, ...path)));
}

export function document(...path: string[]): any {
  return JSON.parse(readFileSync(join(VECTORS, ...path), "utf8"));
}

export function unpacked(text: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(gunzipSync(Buffer.from(text, "base64")));
}

/** A network's bytes, or nothing where FACEMIN_MODELS is not set. */
export function model(name: string): Uint8Array | undefined {
  const path = env["FACEMIN_MODELS"] ? join(env["FACEMIN_MODELS"], name) : undefined;
  return path !== undefined && existsSync(path) ? new Uint8Array(readFileSync(path)) : undefined;
}

export const WITHOUT_MODELS =
  model("key.onnx") === undefined ? "FACEMIN_MODELS is not set (spec/export_models.py)" : false;

/** An 8-bit RGB PNG; source: PNG specification, sections 9 and 10. */
export function png(data: Uint8Array): Pixels {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const [width, height] = [view.getUint32(16), view.getUint32(20)];
  if (data[24] !== 8 || data[25] !== 2 || data[28] !== 0) throw new Error("expected an 8-bit RGB PNG");
  const parts: Uint8Array[] = [];
  for (let at = 8; at < data.length;) {
    const length = view.getUint32(at);
    const kind = String.fromCharCode(...data.subarray(at + 4, at + 8));
    if (kind === "IDAT") parts.push(data.subarray(at + 8, at + 8 + length));
    at += length + 12;
  }
  const lines = new Uint8Array(inflateSync(Buffer.concat(parts)));
  const stride = 3 * width;
  const out = new Uint8Array(stride * height);
  for (let y = 0; y < height; y += 1) {
    const filter = lines[y * (stride + 1)] as number;
    for (let x = 0; x < stride; x += 1) {
      const value = lines[y * (stride + 1) + 1 + x] as number;
      const a = x >= 3 ? (out[y * stride + x - 3] as number) : 0;
      const b = y ? (out[(y - 1) * stride + x] as number) : 0;
      const c = x >= 3 && y ? (out[(y - 1) * stride + x - 3] as number) : 0;
      const guess = [0, a, b, (a + b) >> 1, paeth(a, b, c)][filter] as number;
      out[y * stride + x] = value + guess;
    }
  }
  return { width, height, data: out };
}

function paeth(a: number, b: number, c: number): number {
  const [p, q, r] = [Math.abs(b - c), Math.abs(a - c), Math.abs(a + b - 2 * c)];
  return p <= q && p <= r ? a : q <= r ? b : c;
}

export interface Recipe {
  readonly repeat: number;
  readonly cut_left?: number;
  readonly width?: number;
  readonly height?: number;
  readonly places?: readonly (readonly [number, number])[];
}

/** The photo of a recipe, as spec/make_client_vectors.py composes it. */
export function compose(base: Pixels, recipe: Recipe): Pixels {
  const { repeat, cut_left: left = 0 } = recipe;
  const [width, height] = [base.width * repeat - left, base.height * repeat];
  const part = new Uint8Array(3 * width * height);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const from = 3 * (Math.floor(y / repeat) * base.width + Math.floor((x + left) / repeat));
      part.set(base.data.subarray(from, from + 3), 3 * (y * width + x));
    }
  }
  if (recipe.places === undefined || recipe.width === undefined || recipe.height === undefined) {
    return { width, height, data: part };
  }
  const data = new Uint8Array(3 * recipe.width * recipe.height).fill(128);
  for (const [x, y] of recipe.places) {
    for (let row = 0; row < height; row += 1) {
      const line = part.subarray(3 * row * width, 3 * (row + 1) * width);
      data.set(line, 3 * ((y + row) * recipe.width + x));
    }
  }
  return { width: recipe.width, height: recipe.height, data };
}

/** Largest difference of two lists of numbers of one length. */
export function apart(first: ArrayLike<number>, second: ArrayLike<number>): number {
  if (first.length !== second.length) return Infinity;
  return Array.from(first).reduce((most, value, at) => Math.max(most, Math.abs(value - (second[at] as number))), 0);
}
