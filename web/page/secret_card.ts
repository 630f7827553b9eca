// The secret: made, shown as words, saved and taken as a file or a code, removed.

import { Camera } from "./camera.ts";
import { button, card, confirm, element, show, wordList } from "./element.ts";
import { drawCode } from "./pictures.ts";
import type { Engine } from "./protocol.ts";
import { TEXTS } from "./texts.ts";
import type { Told } from "./told.ts";

const T = TEXTS.secret;
const SCAN_PAUSE = 150; // milliseconds between two looks for a code
const SCAN_SIDE = 800; // pixels of a frame that is looked at

/** The card of this browser's secret; `changed` is told whether there is one. */
export class SecretCard {
  readonly element: HTMLElement;
  private readonly absent = element("div");
  private readonly present = element("div", { hidden: true });
  private readonly kept = element("p");
  private readonly open = element("div", { className: "shown", hidden: true });
  private count = 0;

  constructor(
    private readonly engine: Engine,
    private readonly told: Told,
    private readonly changed: (there: boolean) => unknown,
  ) {
    this.element = card(T.heading, "secret", this.absent, this.present);
    this.fillAbsent();
    this.fillPresent();
  }

  /** Show what there is. */
  async refresh(): Promise<void> {
    this.count += 1;
    const mine = this.count;
    const fingerprint = await this.engine.secret();
    // a later look tells more
    if (mine !== this.count) return;
    show(this.absent, fingerprint === undefined);
    show(this.present, fingerprint !== undefined);
    this.close();
    if (fingerprint !== undefined) this.kept.textContent = T.kept(fingerprint.slice(0, 8));
    this.changed(fingerprint !== undefined);
  }

  private fillAbsent(): void {
    const make = button(T.make, () => this.take(this.engine.makeSecret(), T.made), "main");
    const words = element("textarea", { id: "words", rows: 3, autocomplete: "off", spellcheck: false });
    words.setAttribute("aria-describedby", "words-hint");
    const hint = element("p", { id: "words-hint", className: "small" }, T.wordsHint);
    const useWords = button(T.takeWords, async () => {
      await this.take(this.engine.takeWords(words.value), T.taken);
      words.value = "";
    });
    const file = element("input", {
      type: "file",
      id: "secret-file",
      accept: "application/json,.json",
      onchange: async () => {
        const [chosen] = file.files ?? [];
        if (chosen !== undefined) await this.take(this.engine.takeFile(await chosen.text()), T.taken);
        file.value = "";
      },
    });
    const bring = element(
      "details",
      {},
      element("summary", {}, T.have),
      element("label", { for: "words" }, T.wordsLabel),
      words,
      hint,
      useWords,
      element("label", { for: "secret-file" }, T.fileLabel),
      file,
      this.scanner(),
    );
    this.absent.append(element("p", {}, T.none), make, bring);
  }

  private scanner(): HTMLElement {
    const video = element("video", { muted: true, playsInline: true });
    const camera = new Camera(video);
    const end = (): void => {
      camera.stop();
      show(panel, false);
    };
    const stop = button(T.stopScan, () => {
      end();
      start.focus();
    });
    const panel = element("div", { hidden: true }, element("p", { role: "status" }, T.scanning), video, stop);
    const start = button(T.scan, async () => {
      try {
        await camera.start("environment");
      } catch {
        this.told.say(TEXTS.photo.noCamera, "bad");
        return;
      }
      show(panel, true);
      stop.focus();
      while (camera.running) {
        const found = await this.engine.readCode(await camera.frame(SCAN_SIDE));
        if (found !== undefined && camera.running) {
          end();
          await this.take(this.engine.takeCode(found), T.taken);
        }
        await new Promise((resolve) => setTimeout(resolve, SCAN_PAUSE));
      }
    });
    return element("div", {}, start, panel);
  }

  private fillPresent(): void {
    const words = button(T.showWords, async () => {
      this.reveal(T.hideWords, wordList(await this.engine.words(), T.wordsCaption));
    });
    const file = button(T.saveFile, async () => {
      const url = URL.createObjectURL(new Blob([await this.engine.file()], { type: "application/json" }));
      element("a", { href: url, download: T.fileName }).click();
      URL.revokeObjectURL(url);
    });
    const code = button(T.showCode, async () => {
      const canvas = element("canvas", { className: "code", role: "img", "aria-label": T.codeLabel });
      drawCode(canvas, await this.engine.code());
      this.reveal(T.hideCode, canvas);
    });
    const forget = button(
      T.forget,
      async () => {
        if (!(await confirm(T.forgetAsk, T.forgetYes, T.forgetNo))) return;
        await this.engine.forgetSecret();
        await this.refresh();
        this.told.say(T.forgotten);
      },
      "danger",
    );
    const row = element("div", { className: "row" }, words, code, file, forget);
    this.present.append(this.kept, element("details", {}, element("summary", {}, T.more), row, this.open));
  }

  private reveal(hide: string, what: HTMLElement): void {
    this.open.replaceChildren(
      element("p", { className: "small" }, T.private),
      what,
      button(hide, () => this.close()),
    );
    show(this.open, true);
  }

  private close(): void {
    this.open.replaceChildren();
    show(this.open, false);
  }

  private async take(work: Promise<string>, said: string): Promise<void> {
    try {
      await work;
    } catch (error) {
      this.told.refuse(error);
      return;
    }
    await this.refresh();
    this.told.say(said, "good");
    // what had the keyboard's place is gone
    this.element.querySelector("h2")?.focus();
  }
}
