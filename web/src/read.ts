// From a photo to the face that was read of it, on this device.

import { SIDE, TEMPLATE, align } from "./align.ts";
import { type Faces, facesIn, isAligned } from "./crop.ts";
import type { Face } from "./detect.ts";
import type { Device } from "./device.ts";
import type { Pixels } from "./image.ts";

/** A face that was read on this device; nothing of it is sent. */
export interface ReadFace {
  readonly face: Face;
  /** The aligned face. */
  readonly crop: Pixels;
  /** Before any rotation. */
  readonly embedding: Float64Array;
  /** Milliseconds that it took. */
  readonly timings: { readonly detect: number; readonly embed: number };
}

/** A photo's faces, and the largest of them as read; undefined where there is none. */
export interface ReadPhoto {
  readonly found: Faces;
  readonly read: ReadFace | undefined;
}

/** Find, align and embed the largest face of a photo; an image of 112 x 112 is taken for an aligned face. */
export async function readPhoto(device: Pick<Device, "detector" | "embedder">, photo: Pixels): Promise<ReadPhoto> {
  const began = performance.now();
  const found = isAligned(photo) ? ALIGNED : await facesIn(photo, device.detector);
  const [face] = found.faces;
  if (face === undefined) return { found, read: undefined };
  const crop = isAligned(photo) ? photo : align(photo, face.points);
  const middle = performance.now();
  const embedding = await device.embedder.embed(crop);
  const timings = { detect: middle - began, embed: performance.now() - middle };
  return { found, read: { face, crop, embedding, timings } };
}

const ALIGNED: Faces = { faces: [{ box: [0, 0, SIDE, SIDE], score: 1, points: TEMPLATE }], atEdge: [] };
