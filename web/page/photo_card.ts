// The photo: chosen, a sample, or from the camera; with a box around each face, and what is wrong with it.

import type { Complaint } from "../src/index.ts";
import { Camera } from "./camera.ts";
import { button, card, element, show } from "./element.ts";
import { drawFrames } from "./pictures.ts";
import type { Engine, Look } from "./protocol.ts";
import { TEXTS } from "./texts.ts";
import { inWords } from "./told.ts";

const T = TEXTS.photo;
const GLANCE_SIDE = 480; // pixels of a frame that is only glanced at
const GLANCE_PAUSE = 120; // milliseconds between two glances

/** A photo of somebody who gave it for trying out. */
export interface Sample {
  readonly name: string;
  readonly url: string;
}

/** The card of the photo; `looked` is told what was seen, undefined while nothing is chosen. */
export class PhotoCard {
  readonly element: HTMLElement;
  private readonly image = element("img", { alt: "" });
  private readonly video = element("video", { muted: true, playsInline: true, hidden: true });
  private readonly frames = element("canvas", { className: "frames", "aria-hidden": "true" });
  private readonly stage = element("div", { className: "stage", hidden: true }, this.image, this.video, this.frames);
  private readonly words = element("p", { role: "status", className: "hint" });
  private readonly camera = new Camera(this.video);
  private readonly use = button(T.camera, () => this.startCamera());
  private readonly take = button(T.take, () => this.takePicture(), "main");
  private readonly stop = button(T.stop, () => this.stopCamera());
  private readonly file = element("input", { type: "file", id: "photo-file", accept: "image/*" });
  private readonly samples = element("div", { className: "row", role: "group", "aria-label": T.samples, hidden: true });
  private url = "";
  private count = 0;
  private ready = false;

  constructor(
    private readonly engine: Engine,
    private readonly looked: (look: Look | undefined) => unknown,
  ) {
    const label = element("label", { for: "photo-file", className: "button main" }, T.choose);
    this.file.addEventListener("change", async () => {
      const [chosen] = this.file.files ?? [];
      if (chosen !== undefined) await this.choose(chosen);
      this.file.value = "";
    });
    const choices = element("div", { className: "row" }, this.file, label, this.use, this.take, this.stop);
    this.stage.setAttribute("role", "img");
    this.stage.setAttribute("aria-label", T.label);
    this.element = card(T.heading, "photo", choices, this.samples, this.stage, this.words);
    this.cameraRuns(false);
  }

  /** Offer photos for trying out. */
  offer(samples: readonly Sample[]): void {
    const buttons = samples.map(({ name, url }) => {
      const made = button(name, async () => this.choose(await (await fetch(url)).blob()));
      made.setAttribute("aria-label", T.sample(name));
      made.className = "plain light";
      return made;
    });
    this.samples.replaceChildren(element("span", { className: "small" }, T.samples), ...buttons);
    show(this.samples, true);
    this.allow();
  }

  /** Say what a photo has to wait for, or that it need not. */
  enable(ready: boolean, why = ""): void {
    this.ready = ready;
    this.allow();
    if (!ready) this.stopCamera();
    this.say(why);
  }

  /** Take away what is shown. */
  clear(): void {
    this.stopCamera();
    show(this.stage, false);
    this.say("");
    this.looked(undefined);
  }

  private allow(): void {
    for (const each of this.element.querySelectorAll("button, input")) {
      (each as HTMLButtonElement | HTMLInputElement).disabled = !this.ready;
    }
    this.element.querySelector("label")?.toggleAttribute("data-disabled", !this.ready);
  }

  private async choose(photo: Blob): Promise<void> {
    this.stopCamera();
    URL.revokeObjectURL(this.url);
    this.url = URL.createObjectURL(photo);
    this.image.src = this.url;
    let bitmap: ImageBitmap;
    try {
      bitmap = await createImageBitmap(photo, { imageOrientation: "from-image" });
    } catch {
      show(this.stage, false);
      this.looked(undefined);
      this.say(TEXTS.refusals.photo, "bad");
      return;
    }
    await this.look(bitmap);
  }

  private async look(bitmap: ImageBitmap): Promise<void> {
    const { width, height } = bitmap;
    this.count += 1;
    const mine = this.count;
    show(this.image, true);
    show(this.stage, true);
    drawFrames(this.frames, width, height, []);
    this.looked(undefined);
    this.say(T.looking);
    try {
      const look = await this.engine.look(bitmap);
      // another one was chosen meanwhile
      if (mine !== this.count) return;
      drawFrames(this.frames, width, height, look.frames);
      this.complain(look.complaints, T.found, look.sentBefore ? T.sentBefore : "");
      this.looked(look);
    } catch (error) {
      if (mine === this.count) this.say(inWords(error), "bad");
    }
  }

  private async startCamera(): Promise<void> {
    try {
      await this.camera.start("user");
    } catch {
      this.say(T.noCamera, "bad");
      return;
    }
    this.count += 1;
    this.looked(undefined);
    this.cameraRuns(true);
    this.take.focus();
    await this.glance();
  }

  private async glance(): Promise<void> {
    let before = "";
    while (this.camera.running) {
      try {
        const bitmap = await this.camera.frame(GLANCE_SIDE);
        const scale = this.video.videoWidth / bitmap.width;
        const seen = await this.engine.glance(bitmap, scale);
        if (!this.camera.running) return;
        drawFrames(this.frames, this.video.videoWidth, this.video.videoHeight, seen.frames);
        // said once it is so twice: a screen reader must not stutter
        const now = seen.complaints.join();
        if (now === before) this.complain(seen.complaints, T.holdStill);
        before = now;
      } catch (error) {
        this.say(inWords(error), "bad");
        this.stopCamera();
      }
      await new Promise((resolve) => setTimeout(resolve, GLANCE_PAUSE));
    }
  }

  private async takePicture(): Promise<void> {
    const bitmap = await this.camera.frame();
    const canvas = element("canvas", { width: bitmap.width, height: bitmap.height });
    canvas.getContext("2d")?.drawImage(bitmap, 0, 0);
    this.stopCamera();
    // what is shown and what is read are one picture
    canvas.toBlob((blob) => {
      URL.revokeObjectURL(this.url);
      this.url = blob === null ? "" : URL.createObjectURL(blob);
      this.image.src = this.url;
    });
    await this.look(bitmap);
  }

  private stopCamera(): void {
    const focused = document.activeElement === this.take || document.activeElement === this.stop;
    this.camera.stop();
    this.cameraRuns(false);
    // a button that goes must not take the keyboard's place along
    if (focused) this.use.focus();
  }

  private cameraRuns(runs: boolean): void {
    show(this.take, runs);
    show(this.stop, runs);
    show(this.use, !runs);
    show(this.video, runs);
    show(this.image, !runs && this.image.src !== "");
    this.stage.classList.toggle("mirrored", runs);
    if (runs) show(this.stage, true);
    else if (this.image.src === "") show(this.stage, false);
  }

  private complain(wrong: readonly Complaint[], good: string, more = ""): void {
    const words = [...(wrong.length ? wrong.map((each) => T.complaints[each]) : [good]), more].filter(Boolean);
    this.say(words.join(" "), wrong.length || more ? "bad" : "good");
  }

  private say(text: string, tone: "plain" | "good" | "bad" = "plain"): void {
    // said again only when it is something else
    if (this.words.textContent !== text) this.words.textContent = text;
    this.words.dataset["tone"] = tone;
  }
}
