// A renewal between its two photos: under the same secret, or under a next one, whose words are shown.

import { button, element, show, wordList } from "./element.ts";
import type { Engine, Renewal } from "./protocol.ts";
import { TEXTS } from "./texts.ts";
import type { Told } from "./told.ts";

const T = TEXTS.actions;

/** What the panel needs of the rest of the page. */
interface Around {
  readonly told: Told;
  readonly changed: () => unknown;
}

/** The panel; shown while the second photo is chosen. */
export class RenewalPanel {
  readonly element: HTMLElement;
  private readonly finish: HTMLButtonElement;
  private readonly cancel: HTMLButtonElement;
  private readonly keep = this.choice("keep", true);
  private readonly change = this.choice("change", false);
  private readonly words = element("div", { hidden: true });

  constructor(
    private readonly engine: Engine,
    private readonly around: Around,
    finish: () => unknown,
    cancel: () => unknown,
  ) {
    this.finish = button(T.renewFinish, finish, "main");
    this.cancel = button(T.renewCancel, cancel);
    const choices = element(
      "fieldset",
      {},
      element("legend", {}, T.renewSecret),
      this.line(this.keep, T.renewKeep, T.renewKeepHint),
      this.line(this.change, T.renewChange, T.renewChangeHint),
    );
    const row = element("div", { className: "row" }, this.finish, this.cancel);
    const what = element("p", {}, T.renewSecond);
    this.element = element("div", { hidden: true, className: "shown" }, what, choices, this.words, row);
  }

  get renewal(): Renewal {
    return this.change.checked ? "secret" : "epoch";
  }

  begin(): void {
    show(this.element, true);
    this.cancel.focus();
  }

  end(): void {
    this.keep.checked = true;
    this.hide();
    show(this.element, false);
  }

  /** Whether finishing has to wait. */
  wait(waits: boolean): void {
    this.finish.disabled = waits;
  }

  private choice(name: string, checked: boolean): HTMLInputElement {
    const onchange = (): Promise<void> => this.chosen();
    return element("input", { type: "radio", name: "renewal", value: name, id: `renewal-${name}`, checked, onchange });
  }

  private line(radio: HTMLInputElement, label: string, hint: string): HTMLElement {
    const small = element("span", { className: "small" }, ` ${hint}`);
    return element("p", {}, radio, element("label", { for: radio.id }, label, small));
  }

  private async chosen(): Promise<void> {
    this.hide();
    if (this.renewal === "secret") {
      const list = wordList(await this.engine.nextWords(), T.renewWordsCaption);
      // the other choice may have been made meanwhile
      if (this.renewal === "secret") {
        this.words.replaceChildren(element("p", {}, T.renewWords), list);
        show(this.words, true);
      }
    }
    await this.around.changed();
  }

  private hide(): void {
    this.words.replaceChildren();
    show(this.words, false);
  }
}
