// Faces in a photo: where they are, how sure we are, and their five landmarks; as facemin/face/detect.py.

import { roundHalfEven } from "./align.ts";
import {
  type Box,
  type Candidate,
  CenterFace,
  type Landmarks,
  type Maps,
  type Point,
  STRIDE,
  meanLandmarks,
  overlap,
  suppress,
} from "./centerface.ts";
import type { Floats, Pixels } from "./image.ts";
import { refine } from "./refine.ts";
import { resize } from "./resize.ts";
import type { Runtime } from "./runtime.ts";
import { type Matrix, sample } from "./sample.ts";

// What CenterFace needs, measured on LFW faces shrunk to a size (longer side, pixels of the network's input).
const CLEAR = 24; // found in 99 % of images
const FAINT = 14; // not found, but warmer than HINT in 96 %
const HINT = 0.03;
const PROPOSE = 0.2; // heat that sends a box to the second look
const OVERVIEW = 640; // longer side of the first pass
const TILE = 896; // longest side of a scanned tile
const CELL = 96; // side of the squares that are searched again at full scale around a hint
const MARGIN = 32;
const LOOK = 192; // side of the second look
const CONTEXT = 1.5; // side of the second look in face sizes
const BATCH = 8;
const SAME = 0.4; // overlap from which two boxes are one face
const MIDDLE = 0.7; // share of a box, from its centre, in which heat is that of its own face
const VOTE = 0.5; // overlap from which a neighbouring cell has a say in a face's box and landmarks
const THRESHOLD = 0.5; // least score of a face
const MIN_FACE = 24; // longer side in photo pixels from which faces are searched, where nothing else is said

/** A face found in a photo, in the photo's pixels (centres at integers). */
export interface Face {
  /** May reach a little beyond the photo. */
  readonly box: Box;
  /** In [0, 1]. */
  readonly score: number;
  readonly points: Landmarks;
}

interface Proposal {
  readonly box: Box;
  readonly score: number;
}

interface Found {
  readonly proposals: readonly Proposal[];
  /** Faint heat, in photo pixels. */
  readonly hints: readonly Point[];
}

/** The box's longer side in pixels. */
export function size(face: { readonly box: Box }): number {
  const [left, top, right, bottom] = face.box;
  return Math.max(right - left, bottom - top);
}

/** Finds every face of a photo with CenterFace, in three looks. */
export class Detector {
  private constructor(private readonly network: CenterFace) {}

  /** Open it from the ONNX file's bytes. */
  static async open(runtime: Runtime, model: Uint8Array): Promise<Detector> {
    return new Detector(await CenterFace.open(runtime, model));
  }

  /**
   * Faces of a photo, the largest first; empty where there is none.
   *
   * @param photo - of any size
   * @param minFace - longer side in photo pixels from which faces are searched; the time falls with its square
   */
  async faces(photo: Pixels, minFace = MIN_FACE): Promise<Face[]> {
    const looked = await this.look(photo, suppress(await this.propose(photo, minFace), SAME));
    const kept = suppress(looked, SAME).sort((a, b) => size(b) - size(a));
    const found: Face[] = [];
    for (const face of kept) found.push({ ...face, points: await refine(this.network, photo, face.points) });
    return found;
  }

  /** A quick look at a camera's frame, at `side` pixels: boxes and scores of its clear faces, the largest first. */
  async glance(photo: Pixels, side = 320): Promise<Proposal[]> {
    const scale = Math.min(1, side / Math.max(photo.width, photo.height));
    const { proposals } = await this.scan(photo, scale, 0);
    return suppress(proposals, SAME)
      .filter((face) => face.score >= THRESHOLD)
      .sort((a, b) => size(b) - size(a));
  }

  private async propose(photo: Pixels, minFace: number): Promise<readonly Proposal[]> {
    const full = CLEAR / minFace;
    const scan = FAINT / minFace;
    const overview = Math.min(full, OVERVIEW / Math.max(photo.width, photo.height));
    const first = await this.scan(photo, overview, OVERVIEW);
    if (overview === full) return first.proposals;
    let { proposals, hints } = first;
    if (overview < scan) {
      // the overview saw every face of CLEAR / overview pixels; a smaller one must fit the overlap
      const second = await this.scan(photo, scan, Math.ceil((1.25 * CLEAR * scan) / overview));
      proposals = [...proposals, ...second.proposals];
      hints = second.hints;
    }
    const open = hints.filter((hint) => !proposals.some((proposal) => covers(proposal.box, hint)));
    return [...proposals, ...(await this.search(photo, full, open))];
  }

  /** The whole photo at a scale, in tiles that overlap by `shared` pixels. */
  private async scan(photo: Pixels, scale: number, shared: number): Promise<Found> {
    const height = Math.max(1, roundHalfEven(photo.height * scale));
    const width = Math.max(1, roundHalfEven(photo.width * scale));
    const small = resize(photo, height, width);
    const step: Point = [photo.width / width, photo.height / height];
    const parts: Found[] = [];
    for (const [top, bottom] of tiles(height, shared)) {
      for (const [left, right] of tiles(width, shared)) {
        const maps = await this.network.look([cutOut(small, top, bottom, left, right)]);
        parts.push(inPhoto(suppress(maps.candidates(PROPOSE), VOTE), maps, [[left, top]], step));
      }
    }
    return joined(parts);
  }

  /** The squares of the photo at a scale in which a hint lies. */
  private async search(photo: Pixels, scale: number, hints: readonly Point[]): Promise<readonly Proposal[]> {
    const step = 1 / scale;
    const cells = new Map<string, Point>();
    for (const [x, y] of hints) {
      const cell: Point = [Math.floor(((x + 0.5) * scale) / CELL), Math.floor(((y + 0.5) * scale) / CELL)];
      cells.set(cell.join(), [cell[0] * CELL - MARGIN, cell[1] * CELL - MARGIN]);
    }
    const corners = [...cells.values()];
    const side = CELL + 2 * MARGIN;
    const parts: Found[] = [];
    for (let start = 0; start < corners.length; start += BATCH) {
      const some = corners.slice(start, start + BATCH);
      const images = some.map(([x, y]) => cut(photo, [(x + 0.5) * step - 0.5, (y + 0.5) * step - 0.5], step, side));
      const maps = await this.network.look(images);
      const seen = maps.candidates(PROPOSE);
      parts.push(inPhoto(images.length === 1 ? suppress(seen, VOTE) : seen, maps, some, [step, step]));
    }
    return joined(parts).proposals;
  }

  /** The second look at proposals: those that hold, with their final boxes, scores and points. */
  private async look(photo: Pixels, proposals: readonly Proposal[]): Promise<Face[]> {
    const found: Face[] = [];
    for (let start = 0; start < proposals.length; start += BATCH) {
      const batch = proposals.slice(start, start + BATCH).map((proposal) => window(proposal));
      const images = batch.map(({ first, step }) => cut(photo, first, step, LOOK));
      const seen = (await this.network.look(images)).candidates(PROPOSE);
      batch.forEach(({ box, first, step }, place) => {
        const face = fitting(
          box,
          seen.filter((one) => one.image === place),
        );
        if (face !== undefined) found.push(moved(face, first, step));
      });
    }
    return found;
  }
}

interface Window {
  /** The proposal, in pixels of the look. */
  readonly box: Box;
  readonly first: Point;
  readonly step: number;
}

function window(proposal: Proposal): Window {
  const [left, top, right, bottom] = proposal.box;
  const step = (size(proposal) * CONTEXT) / LOOK;
  const first: Point = [(left + right) / 2 - (step * (LOOK - 1)) / 2, (top + bottom) / 2 - (step * (LOOK - 1)) / 2];
  const box: Box = [
    (left - first[0]) / step,
    (top - first[1]) / step,
    (right - first[0]) / step,
    (bottom - first[1]) / step,
  ];
  return { box, first, step };
}

/** The face that a proposal turned out to be, its neighbours' votes averaged; none where it does not hold. */
function fitting(box: Box, seen: readonly Candidate[]): Face | undefined {
  let best: Candidate | undefined;
  let fit = 0;
  for (const one of seen) {
    const fits = overlap(box, one.box) * one.score;
    if (fits > fit) [best, fit] = [one, fits];
  }
  if (best === undefined || best.score < THRESHOLD) return undefined;
  const chosen = best;
  const voters = seen.filter((one) => overlap(chosen.box, one.box) > VOTE);
  const total = voters.reduce((sum, one) => sum + one.score, 0);
  const side = (at: 0 | 1 | 2 | 3): number => voters.reduce((sum, one) => sum + one.box[at] * one.score, 0) / total;
  const points = meanLandmarks(
    voters.map((one) => one.points),
    voters.map((one) => one.score),
  );
  return { box: [side(0), side(1), side(2), side(3)], score: chosen.score, points };
}

function moved(face: Face, [x0, y0]: Point, step: number): Face {
  const [left, top, right, bottom] = face.box;
  const points = face.points.map(([x, y]) => [Math.fround(x * step + x0), Math.fround(y * step + y0)]);
  return {
    box: [left * step + x0, top * step + y0, right * step + x0, bottom * step + y0],
    score: face.score,
    points: points as unknown as Landmarks,
  };
}

/** Candidates of images that begin at `corners`, their pixels `step` photo pixels apart, in photo pixels. */
function inPhoto(seen: readonly Candidate[], maps: Maps, corners: readonly Point[], step: Point): Found {
  const place = (value: number, corner: number, axis: 0 | 1): number => (value + corner + 0.5) * step[axis] - 0.5;
  const proposals = seen.map(({ image, box, score }) => {
    const [x, y] = corners[image] as Point;
    const moved: Box = [place(box[0], x, 0), place(box[1], y, 1), place(box[2], x, 0), place(box[3], y, 1)];
    return { box: moved, score };
  });
  const hints = maps.warm(HINT).map(({ image, x, y }): Point => {
    const [left, top] = corners[image] as Point;
    return [place((x + 0.5) * STRIDE - 0.5, left, 0), place((y + 0.5) * STRIDE - 0.5, top, 1)];
  });
  return { proposals, hints };
}

function joined(parts: readonly Found[]): Found {
  return { proposals: parts.flatMap((part) => part.proposals), hints: parts.flatMap((part) => part.hints) };
}

/** Equal stretches that cover `length` pixels and overlap by at least `shared`: first and end of each. */
function tiles(length: number, shared: number): (readonly [number, number])[] {
  if (length <= TILE) return [[0, length]];
  const count = Math.ceil((length - shared) / (TILE - shared));
  const side = Math.ceil((length + (count - 1) * shared) / count);
  return Array.from({ length: count }, (_, number) => {
    const start = roundHalfEven((number * (length - side)) / (count - 1));
    return [start, start + side];
  });
}

function cutOut(image: Pixels, top: number, bottom: number, left: number, right: number): Floats {
  const [width, height] = [right - left, bottom - top];
  const data = new Float32Array(3 * width * height);
  for (let row = 0; row < height; row += 1) {
    const from = 3 * ((top + row) * image.width + left);
    data.set(image.data.subarray(from, from + 3 * width), 3 * row * width);
  }
  return { width, height, data };
}

/** The photo sampled from `first` on, `step` pixels apart; black outside. */
function cut(photo: Pixels, first: Point, step: number, side: number): Floats {
  const matrix: Matrix = [step, 0, first[0], 0, step, first[1]];
  return sample(photo, matrix, side, side, "zero");
}

/** Whether a hint lies in the middle of a face's box. */
function covers([left, top, right, bottom]: Box, [x, y]: Point): boolean {
  return (
    Math.abs(x - (left + right) / 2) < (MIDDLE * (right - left)) / 2 &&
    Math.abs(y - (top + bottom) / 2) < (MIDDLE * (bottom - top)) / 2
  );
}
