// What the page says of how things went: one place that screen readers follow.

import { Failure } from "./calls.ts";
import { element } from "./element.ts";
import type { Refused } from "./protocol.ts";
import { refused } from "./refused.ts";
import { TEXTS } from "./texts.ts";

type Tone = "plain" | "good" | "bad";

/** The page's words on what happens, said politely by screen readers. */
export class Told {
  readonly element: HTMLElement;
  private readonly text = element("p");
  private readonly more = element("p", { className: "small" });
  private readonly details = element("details", { hidden: true }, element("summary", {}, TEXTS.details), this.more);

  constructor() {
    const live = element("div", { role: "status" }, this.text);
    this.element = element("div", { className: "told" }, live, this.details);
  }

  /** Say something. */
  say(text: string, tone: Tone = "plain", technical = ""): void {
    this.element.dataset["tone"] = tone;
    this.text.textContent = text;
    this.more.textContent = technical;
    this.details.hidden = !technical;
    this.details.open = false;
  }

  /** Say nothing more. */
  hush(): void {
    this.text.textContent = "";
    delete this.element.dataset["tone"];
  }

  /** Say why something was refused, in words for people; the technical ones lie behind. */
  refuse(error: unknown): void {
    this.say(inWords(error), "bad", error instanceof Error ? error.message : String(error));
    // which word is wrong is what a person needs to know
    this.details.open = asRefused(error).code === "secret";
  }
}

/** A refusal in words for people. */
export function inWords(error: unknown): string {
  const { code, detail } = asRefused(error);
  if (code !== "provider" || detail === undefined) return TEXTS.refusals[code];
  return TEXTS.provider_refusals[detail.code] ?? `${TEXTS.refusals.provider} (${detail.code})`;
}

function asRefused(error: unknown): Refused {
  return error instanceof Failure ? error.refused : refused(error);
}
