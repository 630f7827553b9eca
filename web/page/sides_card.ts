// Side by side: the face that stays here, and what is sent in its place.

import type { Form } from "../src/index.ts";
import { card, element, show } from "./element.ts";
import { drawNumbers, drawPicture } from "./pictures.ts";
import type { Engine, Look, Renewal, SentShown } from "./protocol.ts";
import { TEXTS } from "./texts.ts";
import type { Told } from "./told.ts";

const T = TEXTS.sides;

/** The card with both; `ready` is told when what is shown can be sent. */
export class SidesCard {
  readonly element: HTMLElement;
  private readonly face = element("canvas", { className: "face", role: "img", "aria-label": T.staysLabel });
  private readonly sent = element("canvas", { className: "face", role: "img", "aria-label": T.imageLabel });
  private readonly caption = element("figcaption");
  private readonly both: HTMLElement;
  private readonly none = element("p", { className: "small" }, T.none);
  private readonly radios: readonly HTMLInputElement[];
  private look: Look | undefined;
  private shown: SentShown | undefined;

  constructor(
    private readonly engine: Engine,
    private readonly told: Told,
    private readonly ready: (face: number | undefined) => unknown,
    private readonly renewal: () => Renewal | undefined,
  ) {
    const choices = [
      ["auto", T.auto, T.autoHint],
      ["image", T.picture, T.pictureHint],
    ] as const;
    this.radios = choices.map(([value], number) =>
      element("input", {
        type: "radio",
        name: "form",
        value,
        id: `form-${value}`,
        checked: number === 0,
        onchange: () => this.preview(),
      }),
    );
    const labels = choices.map(([value, label, hint], number) =>
      element(
        "p",
        {},
        this.radios[number],
        element("label", { for: `form-${value}` }, label, element("span", { className: "small" }, ` ${hint}`)),
      ),
    );
    const form = element("fieldset", {}, element("legend", {}, T.form), ...labels);
    const stays = element("figure", {}, element("h3", {}, T.stays), this.face, element("figcaption", {}, T.staysText));
    const goes = element("figure", {}, element("h3", {}, T.goes), this.sent, this.caption);
    const sides = element("div", { className: "pair" }, stays, goes);
    this.both = element("div", { hidden: true }, sides, element("p", {}, T.explained), form);
    this.element = card(T.heading, "sides", this.none, this.both);
    // bars have the colours of the mode
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  get form(): Form | "auto" {
    return (this.radios.find((radio) => radio.checked)?.value ?? "auto") as Form | "auto";
  }

  /** Show a photo's face and what would be sent of it; nothing where there is none. */
  async set(look: Look | undefined): Promise<void> {
    this.look = look;
    this.shown = undefined;
    const crop = look?.crop;
    show(this.both, crop !== undefined);
    show(this.none, crop === undefined);
    this.ready(undefined);
    if (crop === undefined) return;
    drawPicture(this.face, crop);
    await this.preview();
  }

  /** What is shown was sent: it is not sent again. */
  spend(): void {
    if (this.look !== undefined) this.look = { ...this.look, sentBefore: true };
    this.ready(undefined);
  }

  /** Show what would be sent now. */
  async preview(): Promise<void> {
    const { look } = this;
    if (look?.face === undefined) return;
    this.ready(undefined);
    try {
      const shown = await this.engine.preview(look.face, this.form, this.renewal());
      if (look !== this.look) return;
      this.shown = shown;
      this.draw();
      this.ready(look.sentBefore ? undefined : look.face);
    } catch (error) {
      this.told.refuse(error);
    }
  }

  private draw(): void {
    const { shown } = this;
    if (shown === undefined) return;
    const { image, numbers, bytes } = shown;
    this.sent.classList.toggle("numbers", image === undefined);
    if (image === undefined) drawNumbers(this.sent, numbers);
    else drawPicture(this.sent, image);
    this.sent.setAttribute("aria-label", image === undefined ? T.numbersLabel(numbers.length) : T.imageLabel);
    this.caption.textContent = image === undefined ? T.numbers(numbers.length, bytes) : T.image(bytes);
  }
}
