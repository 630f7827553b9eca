// From a photo to its aligned faces, and what is wrong with a photo, for people.

import { SIDE, inside } from "./align.ts";
import { type Detector, type Face, size } from "./detect.ts";
import type { Pixels } from "./image.ts";

/** Least share of a face's crop that must lie in the photo; below it, recognisers see mostly border. */
const EDGE = 0.75;
/** Longer side of a face, pixels, below which it holds too little to recognise anybody by. */
const LEAST_FACE = 60;
/** Part of a photo's longer side from which a face is looked for. */
const LEAST_SHARE = 1 / 40;
/** Mean brightness of a face, in 0..255, below which it is too dark, and above which too bright. */
const DARK = 45;
const BRIGHT = 225;

/** What is wrong with a photo, by the word that a page has a sentence for. */
export type Complaint = "no_face" | "at_edge" | "several" | "small" | "dark" | "bright";

/** The faces of a photo. */
export interface Faces {
  /** Largest first. */
  readonly faces: readonly Face[];
  /** Faces of which less than `EDGE` lies in the photo. */
  readonly atEdge: readonly Face[];
}

/** The faces of a photo that somebody could be recognised by, those at its edge apart. */
export async function facesIn(photo: Pixels, detector: Detector): Promise<Faces> {
  // in a phone's photo of 4,000 pixels a face of 24 is somebody far behind, and looking for it takes seconds
  const least = Math.max(Math.round(Math.max(photo.width, photo.height) * LEAST_SHARE), 24);
  const found = await detector.faces(photo, least);
  const within = (face: Face): boolean => inside(face.points, photo.width, photo.height) >= EDGE;
  return { faces: found.filter(within), atEdge: found.filter((face) => !within(face)) };
}

/** Whether an image has the size of an aligned face, and is taken for one. */
export function isAligned(photo: Pixels): boolean {
  return photo.width === SIDE && photo.height === SIDE;
}

/**
 * What is wrong with a photo of one person: nothing where it is empty.
 *
 * @param photo - or a camera's frame
 * @param found - its faces, the largest first, those at the edge apart
 * @param scale - pixels of the photo for each of a smaller one that is given in its place
 */
export function complaints(photo: Pixels, found: Seen, scale = 1): readonly Complaint[] {
  const [first, second] = found.faces;
  if (first === undefined) return [found.atEdge.length ? "at_edge" : "no_face"];
  const wrong: Complaint[] = [];
  if (second !== undefined && size(second) > size(first) / 2) wrong.push("several");
  if (size(first) * scale < LEAST_FACE) wrong.push("small");
  const light = brightness(photo, first);
  if (light < DARK) wrong.push("dark");
  if (light > BRIGHT) wrong.push("bright");
  return wrong;
}

/** Boxes of faces are enough to complain of them. */
interface Seen {
  readonly faces: readonly Pick<Face, "box">[];
  readonly atEdge: readonly Pick<Face, "box">[];
}

/** Mean brightness within a face's box, in 0..255. */
function brightness(photo: Pixels, face: Pick<Face, "box">): number {
  const [left, top, right, bottom] = face.box;
  const [x0, x1] = [Math.max(Math.floor(left), 0), Math.min(Math.ceil(right), photo.width)];
  const [y0, y1] = [Math.max(Math.floor(top), 0), Math.min(Math.ceil(bottom), photo.height)];
  let [sum, count] = [0, 0];
  for (let y = y0; y < y1; y += 2) {
    for (let x = x0; x < x1; x += 2, count += 1) {
      const at = 3 * (y * photo.width + x);
      const [r, g, b] = photo.data.subarray(at, at + 3) as unknown as [number, number, number];
      sum += 0.299 * r + 0.587 * g + 0.114 * b;
    }
  }
  return count ? sum / count : 0;
}
