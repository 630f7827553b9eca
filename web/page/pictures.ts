// Drawing: photos with boxes, aligned faces, numbers as bars, codes.

import { encodeQR } from "qr";

import type { Frame, Picture } from "./protocol.ts";

const BARS = { width: 448, height: 448 } as const;
const CODE = { margin: 4, scale: 6 } as const; // modules, pixels

/** Put a picture on a canvas. */
export function drawPicture(canvas: HTMLCanvasElement, picture: Picture): void {
  canvas.width = picture.width;
  canvas.height = picture.height;
  canvas.getContext("2d")?.putImageData(new ImageData(picture.data, picture.width, picture.height), 0, 0);
}

/** Draw boxes over a photo of a size: the first stronger than the others. */
export function drawFrames(canvas: HTMLCanvasElement, width: number, height: number, frames: readonly Frame[]): void {
  canvas.width = width;
  canvas.height = height;
  const pen = canvas.getContext("2d");
  if (pen === null) return;
  const unit = Math.max(width, height) / 200;
  frames.forEach(([left, top, right, bottom], number) => {
    const box = [left * width, top * height, (right - left) * width, (bottom - top) * height] as const;
    // dark below light, so that it is seen on any photo
    for (const [colour, line] of [
      ["#000000", number ? 2 : 3.6],
      [number ? "#c8c8c8" : "#39e07a", number ? 0.8 : 1.8],
    ] as const) {
      pen.strokeStyle = colour;
      pen.lineWidth = line * unit;
      pen.setLineDash(number ? [4 * unit, 3 * unit] : []);
      pen.strokeRect(...box);
    }
  });
}

/** Numbers as bars, up and down from a line, in the colours of the page. */
export function drawNumbers(canvas: HTMLCanvasElement, numbers: Float32Array): void {
  canvas.width = BARS.width;
  canvas.height = BARS.height;
  const pen = canvas.getContext("2d");
  if (pen === null) return;
  const style = getComputedStyle(canvas);
  const largest = Math.max(...numbers.map(Math.abs));
  const wide = BARS.width / numbers.length;
  numbers.forEach((number, at) => {
    const tall = (number / largest) * 0.46 * BARS.height;
    pen.fillStyle = style.getPropertyValue(number > 0 ? "--bar-up" : "--bar-down");
    pen.fillRect(at * wide + wide * 0.12, BARS.height / 2 - Math.max(tall, 0), wide * 0.76, Math.abs(tall));
  });
  pen.fillStyle = style.color;
  pen.fillRect(0, BARS.height / 2 - 1, BARS.width, 2);
}

/** A text as a QR code, black on white in any mode. */
export function drawCode(canvas: HTMLCanvasElement, text: string): void {
  const rows = encodeQR(text, "raw", { ecc: "medium", border: CODE.margin });
  canvas.width = canvas.height = rows.length * CODE.scale;
  const pen = canvas.getContext("2d");
  if (pen === null) return;
  pen.fillStyle = "#ffffff";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.fillStyle = "#000000";
  rows.forEach((row, down) =>
    row.forEach((dark, right) => {
      if (dark) pen.fillRect(right * CODE.scale, down * CODE.scale, CODE.scale, CODE.scale);
    }),
  );
}
