// What is wrong with a camera's frame, judged on boxes alone, while it is being held.

import { BRIGHT, DARK, LEAST_FACE, brightness } from "../src/crop.ts";
import { size } from "../src/detect.ts";
import type { Box } from "../src/centerface.ts";
import type { Complaint, Pixels } from "../src/index.ts";

/** Complaints about the faces of a frame, the largest first. */
export function complaintsOfGlance(frame: Pixels, faces: readonly { readonly box: Box }[]): readonly Complaint[] {
  const [first, second] = faces;
  if (first === undefined) return ["no_face"];
  const wrong: Complaint[] = [];
  const [left, top, right, bottom] = first.box;
  if (left < 0 || top < 0 || right > frame.width || bottom > frame.height) wrong.push("at_edge");
  if (second !== undefined && size(second) > size(first) / 2) wrong.push("several");
  if (size(first) < LEAST_FACE) wrong.push("small");
  const light = brightness(frame, first);
  if (light < DARK) wrong.push("dark");
  if (light > BRIGHT) wrong.push("bright");
  return wrong;
}
