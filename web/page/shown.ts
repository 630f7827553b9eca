// From what the library gives to what the page shows, and from bitmaps to what the library takes.

import type { Answered, Frame, Picture, SentShown } from "./protocol.ts";
import { type Outcome, type Pixels, type Sent, fromBitmap, toRgba } from "../src/index.ts";

export function taken(bitmap: ImageBitmap): Pixels {
  try {
    return fromBitmap(bitmap);
  } finally {
    bitmap.close();
  }
}

export function frame([left, top, right, bottom]: readonly [number, number, number, number], photo: Pixels): Frame {
  return [left / photo.width, top / photo.height, right / photo.width, bottom / photo.height];
}

export function picture(pixels: Pixels): Picture {
  return { width: pixels.width, height: pixels.height, data: toRgba(pixels) };
}

export function shown(sent: Sent): SentShown {
  return {
    form: sent.form,
    bytes: sent.data.length,
    numbers: sent.target,
    image: sent.image && picture(sent.image),
    residual: sent.residual,
  };
}

export function answered<T>({ answer, timings, elsewhere }: Outcome<T>): Answered<T> {
  return { answer, timings, elsewhere };
}
