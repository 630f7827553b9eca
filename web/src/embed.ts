// Embeddings: a key's network on an aligned face and its mirror image, averaged; as facemin/models/space.py.

import { SIDE } from "./align.ts";
import { Refusal } from "./errors.ts";
import { type Pixels, mirrored } from "./image.ts";
import type { Key } from "./key.ts";
import { averageViews } from "./rotation.ts";
import type { Network, Runtime } from "./runtime.ts";
import { output } from "./runtime.ts";

const AREA = SIDE * SIDE;

/** A key's network. */
export class Embedder {
  private constructor(
    private readonly network: Network,
    private readonly input: string,
    private readonly layer: string,
    readonly dimension: number,
    private readonly mirrors: boolean,
  ) {}

  /** Open it; only for a key with a space whose network is trusted. */
  static async open(runtime: Runtime, key: Key): Promise<Embedder> {
    const { space, cut } = key.manifest;
    if (space === undefined) throw new Refusal("no_space", "key: expected one with a space, which a pseudonym needs");
    const network = await runtime.network(key.graph);
    const [input, ...others] = network.inputs;
    if (input === undefined || others.length) throw new Refusal("key", "key: expected a network of one input");
    return new Embedder(network, input, cut, space.dimension, space.views === "face+mirror");
  }

  /** The embedding of an aligned face before any rotation, of unit length. */
  async embed(face: Pixels): Promise<Float64Array> {
    return averageViews(await this.run(this.mirrors ? [face, mirrored(face)] : [face]));
  }

  /** What the network makes of aligned faces, a row each. */
  async run(faces: readonly Pixels[]): Promise<Float32Array[]> {
    const data = new Float32Array(faces.length * 3 * AREA);
    faces.forEach((face, number) => {
      if (face.width !== SIDE || face.height !== SIDE) {
        throw new Refusal("input", `face: expected ${SIDE} x ${SIDE}, got ${face.width} x ${face.height}`);
      }
      for (let at = 0, to = 3 * number * AREA; at < AREA; at += 1, to += 1) {
        data[to] = (face.data[3 * at] as number) / 255;
        data[to + AREA] = (face.data[3 * at + 1] as number) / 255;
        data[to + 2 * AREA] = (face.data[3 * at + 2] as number) / 255;
      }
    });
    const made = await this.network.run({ [this.input]: { data, dims: [faces.length, 3, SIDE, SIDE] } });
    const rows = output(made, this.layer);
    if (rows.dims.join() !== [faces.length, this.dimension].join() || !rows.data.every(Number.isFinite)) {
      throw new Refusal("key", `key: expected ${this.dimension} finite numbers a face, got ${rows.dims.join(" x ")}`);
    }
    return faces.map((_, number) => rows.data.slice(number * this.dimension, (number + 1) * this.dimension));
  }
}
