// The last look at a face: landmarks from upright and mirrored views, averaged; as facemin/face/refine.py.

import { similarity } from "./align.ts";
import { type CenterFace, type Landmarks, type Point, meanLandmarks } from "./centerface.ts";
import type { Pixels } from "./image.ts";
import { type Matrix, inverse, sample, transform } from "./sample.ts";

const VIEW = 192; // side of a view, pixels
const ZOOM = 1.25; // pixels of the view per pixel of the aligned face
const CENTRE: Point = [56, 64]; // place in the aligned face that comes to the middle of the view
const PROPOSE = 0.2;
const NEAR = 30; // distance from the middle of the view within which landmarks are this face's

/** Landmarks of a face that was found, looked at again; a face that neither view shows keeps its own. */
export async function refine(network: CenterFace, photo: Pixels, points: Landmarks): Promise<Landmarks> {
  const backs = views(similarity(points)).map(inverse);
  const maps = await network.look(backs.map((back) => sample(photo, back, VIEW, VIEW, "zero")));
  const candidates = maps.candidates(PROPOSE);
  const found = backs.flatMap((back, view) => {
    const mine = candidates.filter((seen) => seen.image === view && isCentral(seen.points));
    if (!mine.length) return [];
    const seen = meanLandmarks(
      mine.map((one) => one.points),
      mine.map((one) => one.score),
    );
    const [a, b, c, d, e] = seen.map(([x, y]) => transform(back, x, y)) as unknown as Landmarks;
    const placed: Landmarks = view ? [b, a, c, e, d] : [a, b, c, d, e];
    return [placed];
  });
  if (!found.length) return points;
  const weights = found.map(() => 1);
  return meanLandmarks(found, weights).map(([x, y]) => [Math.fround(x), Math.fround(y)]) as unknown as Landmarks;
}

function isCentral(points: Landmarks): boolean {
  return [0, 1].every((axis) => {
    const mean = points.reduce((sum, point) => sum + (point[axis] as number), 0) / points.length;
    return Math.abs(mean - (VIEW - 1) / 2) < NEAR;
  });
}

/** Photo to view, plain and mirrored, for the transform of the photo to the aligned face. */
function views(upright: Matrix): readonly [Matrix, Matrix] {
  const shiftX = ZOOM * (upright[2] - CENTRE[0]) + (VIEW - 1) / 2;
  const shiftY = ZOOM * (upright[5] - CENTRE[1]) + (VIEW - 1) / 2;
  const [a, b, c, d] = [upright[0], upright[1], upright[3], upright[4]].map((value) => ZOOM * value) as [
    number,
    number,
    number,
    number,
  ];
  return [
    [a, b, shiftX, c, d, shiftY],
    [-a, -b, VIEW - 1 - shiftX, c, d, shiftY],
  ];
}
