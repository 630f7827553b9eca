// Protection in one forward pass: a decoder paints an image for a target, the key checks it; one_pass/painter.py.

import { SIDE, roundHalfEven } from "./align.ts";
import type { Embedder } from "./embed.ts";
import { hex, sha256 } from "./encoding.ts";
import { Refusal } from "./errors.ts";
import type { Pixels } from "./image.ts";
import type { Key } from "./key.ts";
import { checkGraph, readOnnxFile } from "./onnx_file.ts";
import { unit } from "./rotation.ts";
import type { Network, Runtime } from "./runtime.ts";
import { output } from "./runtime.ts";

/** Distance up to which a painted image passes where its key asks for less. */
export const PAINTED_RESIDUAL = 0.19;
const TRIES = 4;
/** How often an image is painted anew with the same noise, for a target that is moved by what it missed. */
const CORRECTIONS = 1;
/** Share of that. */
const CORRECTION = 0.7;
const AREA = SIDE * SIDE;

/** An image for one target. */
export interface Painted {
  /** What is sent, and what was checked. */
  readonly pixels: Pixels;
  readonly tries: number;
  /** Distance between the target and where the key puts the image after a blur of 1 px. */
  readonly residual: number;
}

/** The one-pass network of a key's space. */
export class Painter {
  private constructor(
    private readonly network: Network,
    private readonly target: number,
    private readonly noise: number,
    private readonly embedder: Embedder,
    /** Largest distance that passes. */
    readonly limit: number,
  ) {}

  /**
   * Open a protector, checked.
   *
   * @param runtime - runs it
   * @param data - the file's bytes
   * @param expected - its SHA-256 in hexadecimal, from the key's signed manifest
   * @param key - of whose space it has to be
   * @param embedder - of the key
   */
  static async open(
    runtime: Runtime,
    data: Uint8Array,
    expected: string,
    key: Key,
    embedder: Embedder,
  ): Promise<Painter> {
    const digest = hex(await sha256(data));
    if (digest !== expected) {
      throw new Refusal("protector", `protector: expected the one with SHA-256 ${expected}, got ${digest}`);
    }
    const { graph, metadata } = readOnnxFile(data, "protector");
    checkGraph(graph, ["image"], false, "protector");
    const said = JSON.parse(metadata.get("facemin.protector") ?? "{}") as Partial<
      Record<"space" | "target" | "noise" | "sha256", unknown>
    >;
    const { space, target, noise } = said;
    if (said.sha256 !== hex(await sha256(graph)) || space !== (key.space && hex(key.space))) {
      throw new Refusal("protector", "protector: expected an unchanged one for the key's space, got another");
    }
    if (
      target !== embedder.dimension ||
      !Number.isInteger(noise) ||
      (noise as number) < 1 ||
      (noise as number) > 1024
    ) {
      throw new Refusal("protector", "protector: expected one of the space's dimension, got another");
    }
    const limit = Math.max(key.manifest.residual, PAINTED_RESIDUAL);
    return new Painter(await runtime.network(graph), embedder.dimension, noise as number, embedder, limit);
  }

  /** Paint an image for a target with fresh noise, up to four times, until it is within the limit. */
  async make(target: Float32Array): Promise<Painted> {
    let best: Painted | undefined;
    for (let tries = 1; tries <= TRIES; tries += 1) {
      const noise = freshNormals(this.noise);
      let aim = target;
      for (let correction = 0; correction <= CORRECTIONS; correction += 1) {
        const pixels = await this.paint(aim, noise);
        const missed = await this.missed(pixels, target);
        const residual = Math.hypot(...missed);
        if (best === undefined || residual < best.residual) best = { pixels, tries, residual };
        if (!Number.isFinite(residual)) break;
        aim = Float32Array.from(unit(aim.map((value, at) => value + CORRECTION * (missed[at] as number))));
      }
      if (best !== undefined && best.residual <= this.limit) return best;
    }
    throw new Refusal(
      "not_reached",
      `image: expected a distance to its target of at most ${this.limit}, got ${best?.residual.toFixed(3)}: its ` +
        "provider might not recognise the person, and nothing was sent. Try again",
    );
  }

  /** Paint without a check. */
  async paint(target: Float32Array, noise: Float32Array): Promise<Pixels> {
    const made = await this.network.run({
      target: { data: target, dims: [1, this.target] },
      noise: { data: noise, dims: [1, this.noise] },
    });
    const planes = output(made, "image").data;
    const data = new Uint8Array(3 * AREA);
    for (let at = 0; at < data.length; at += 1) {
      const value = (planes[(at % 3) * AREA + Math.floor(at / 3)] as number) * 255;
      data[at] = Math.min(Math.max(roundHalfEven(value), 0), 255);
    }
    return { width: SIDE, height: SIDE, data };
  }

  /** Distance of unit vectors between the target and where the key puts the image after a blur of 1 px. */
  async residual(pixels: Pixels, target: Float32Array): Promise<number> {
    return Math.hypot(...(await this.missed(pixels, target)));
  }

  /** The target less where the key puts the image after a blur of 1 px, of unit length; infinite where it is nowhere. */
  private async missed(pixels: Pixels, target: Float32Array): Promise<Float64Array> {
    const [row] = await this.embedder.run([blurred(pixels)]);
    if (row === undefined) return Float64Array.of(Infinity);
    const place = unit(row);
    return Float64Array.from(target, (value, at) => value - (place[at] as number));
  }
}

/** An aligned image after a Gaussian blur of 1 px out to 4, its border repeated, on the 8-bit grid. */
export function blurred(pixels: Pixels): Pixels {
  const { width, height } = pixels;
  const along = new Float64Array(pixels.data.length);
  const data = new Uint8Array(pixels.data.length);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      for (let channel = 0; channel < 3; channel += 1) {
        const value = WEIGHTS.reduce((sum, weight, tap) => {
          const from = Math.min(Math.max(x + tap - REACH, 0), width - 1);
          return sum + weight * (pixels.data[3 * (y * width + from) + channel] as number);
        }, 0);
        along[3 * (y * width + x) + channel] = value;
      }
    }
  }
  for (let y = 0; y < height; y += 1) {
    for (let at = 0; at < 3 * width; at += 1) {
      const value = WEIGHTS.reduce((sum, weight, tap) => {
        const from = Math.min(Math.max(y + tap - REACH, 0), height - 1);
        return sum + weight * (along[from * 3 * width + at] as number);
      }, 0);
      data[y * 3 * width + at] = Math.min(Math.max(roundHalfEven(value), 0), 255);
    }
  }
  return { width, height, data };
}

const REACH = 4;
const WEIGHTS = (() => {
  const raw = Array.from({ length: 2 * REACH + 1 }, (_, tap) => Math.exp(-0.5 * (tap - REACH) ** 2));
  const total = raw.reduce((sum, weight) => sum + weight, 0);
  return raw.map((weight) => weight / total);
})();

/** Standard normal numbers from the browser's randomness. */
function freshNormals(count: number): Float32Array {
  const words = crypto.getRandomValues(new Uint32Array(2 * count));
  return Float32Array.from({ length: count }, (_, at) => {
    const [u, v] = [((words[2 * at] as number) + 1) / 2 ** 32, (words[2 * at + 1] as number) / 2 ** 32];
    return Math.sqrt(-2 * Math.log(u)) * Math.cos(2 * Math.PI * v);
  });
}
