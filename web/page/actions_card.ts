// What a person can do: enrol, verify, renew and be deleted, or be identified; and what came of it.

import type { Decision, Form, Held, Timings } from "../src/index.ts";
import { button, card, confirm, element, facts, show } from "./element.ts";
import type { Answered, Engine, Renewal, Session } from "./protocol.ts";
import { RenewalPanel } from "./renewal_panel.ts";
import { TEXTS } from "./texts.ts";
import type { Told } from "./told.ts";

const T = TEXTS.actions;

/** What the card needs of the rest of the page. */
export interface Around {
  readonly told: Told;
  readonly form: () => Form | "auto";
  /** After something was sent: the photo is not sent again. */
  readonly spent: () => unknown;
  /** After it changed what would be sent. */
  readonly changed: () => unknown;
  /** After another secret took the old one's place. */
  readonly renewed: () => unknown;
}

/** The card of what can be done in a session. */
export class ActionsCard {
  readonly element: HTMLElement;
  private readonly rows: HTMLElement;
  private readonly renewing: RenewalPanel;
  private readonly times = element("details", { hidden: true });
  private readonly held = element("p", { className: "small" });
  private readonly sending: readonly HTMLButtonElement[];
  private face: number | undefined;
  private probe: number | undefined;
  private busy = false;

  constructor(
    private readonly engine: Engine,
    private readonly session: Session,
    private readonly around: Around,
  ) {
    const { person } = session;
    const offered: (readonly [HTMLButtonElement, string])[] =
      person === undefined
        ? [[button(T.identify, () => this.identify(), "main"), T.identifyHint]]
        : [
            [button(T.enrol, () => this.enrol(), "main"), T.enrolHint],
            [button(T.verify, () => this.verify(), "main"), T.verifyHint],
            [button(T.renew, () => this.beginRenewal()), T.renewHint],
          ];
    this.sending = offered.map(([each]) => each);
    const lines = offered.map(([each, hint], number) => line(each, hint, `hint-${number}`));
    const remove = button(T.remove, () => this.remove(), "danger");
    if (person !== undefined) lines.push(line(remove, T.removeHint, "hint-remove"));
    this.rows = element("div", { className: "actions" }, ...lines);
    this.renewing = new RenewalPanel(
      engine,
      around,
      () => this.finishRenewal(),
      () => this.endRenewal(),
    );
    this.element = card(T.heading, "actions", this.held, this.rows, this.renewing.element, this.times);
    this.update();
  }

  /** A face that can be sent now; undefined where there is none. */
  set(face: number | undefined): void {
    this.face = face;
    this.update();
  }

  /** What is being renewed; undefined where nothing is. */
  get renewal(): Renewal | undefined {
    return this.probe === undefined ? undefined : this.renewing.renewal;
  }

  /** Show what the provider holds. */
  async refresh(): Promise<void> {
    if (this.session.person === undefined) return;
    try {
      const { held, renewed } = await this.engine.held();
      this.held.textContent = `${TEXTS.held.heading}: ${heldInWords(held)}`;
      if (!renewed) return;
      this.endRenewal();
      this.around.renewed();
      this.around.told.say(TEXTS.verdict.renewedSecret(epochOf(held)), "good");
    } catch {
      // a session that may not ask is no reason to complain
      this.held.textContent = "";
    }
  }

  private enrol(): Promise<void> {
    return this.send(
      (face, form) => this.engine.enrol(face, form),
      () => [TEXTS.verdict.enrolled, "good"],
    );
  }

  private verify(): Promise<void> {
    return this.send(
      (face, form) => this.engine.verify(face, form),
      ({ accepted, score, threshold }, elsewhere) => {
        if (elsewhere) return [TEXTS.verdict.elsewhere, "bad"];
        const words = accepted ? TEXTS.verdict.accepted : TEXTS.verdict.rejected;
        return [`${words} ${TEXTS.verdict.score(score, threshold)}.`, accepted ? "good" : "bad"];
      },
    );
  }

  private identify(): Promise<void> {
    return this.send(
      (face, form) => this.engine.identify(face, form),
      (decisions, elsewhere) => (elsewhere ? [TEXTS.verdict.elsewhere, "bad"] : identified(decisions)),
    );
  }

  private beginRenewal(): void {
    this.probe = this.face;
    this.face = undefined;
    show(this.rows, false);
    this.renewing.begin();
    this.around.told.say(T.renewSecond);
    this.around.spent();
    this.update();
  }

  private async finishRenewal(): Promise<void> {
    const { probe } = this;
    const { renewal } = this.renewing;
    if (probe === undefined) return;
    await this.send(
      (face, form) => this.engine.renew(probe, face, form, renewal),
      (epoch) => {
        this.endRenewal();
        if (renewal === "secret") this.around.renewed();
        const words = renewal === "secret" ? TEXTS.verdict.renewedSecret : TEXTS.verdict.renewed;
        return [words(epoch), "good"];
      },
    );
  }

  private endRenewal(): void {
    this.probe = undefined;
    show(this.rows, true);
    this.renewing.end();
    this.update();
    this.element.querySelector("h2")?.focus();
  }

  private async remove(): Promise<void> {
    const { told } = this.around;
    if (!(await confirm(T.removeAsk(this.session.person ?? ""), T.removeYes, T.removeNo))) return;
    try {
      await this.engine.remove();
    } catch (error) {
      told.refuse(error);
      await this.refresh();
      return;
    }
    // the session has ended with what it was made for
    this.held.textContent = T.ended;
    this.rows.remove();
    this.renewing.element.remove();
    this.element.querySelector("h2")?.focus();
    told.say(TEXTS.verdict.removed, "good");
  }

  private async send<A>(
    work: (face: number, form: Form | "auto") => Promise<Answered<A>>,
    verdict: (answer: A, elsewhere: boolean) => readonly [string, "good" | "bad"],
  ): Promise<void> {
    const { told, form, spent } = this.around;
    const { face } = this;
    if (face === undefined || this.busy) return;
    this.busy = true;
    this.update();
    told.say(T.working);
    try {
      const { answer, timings, elsewhere } = await work(face, form());
      told.say(...verdict(answer, elsewhere));
      this.showTimes(timings);
      this.face = undefined;
      spent();
    } catch (error) {
      told.refuse(error);
    }
    this.busy = false;
    this.update();
    await this.refresh();
  }

  private showTimes(timings: Timings): void {
    const stages = Object.entries(TEXTS.times.stages) as [keyof Timings, string][];
    const rows = stages.flatMap(([stage, name]) => {
      const value = timings[stage];
      return value === undefined ? [] : [[name, TEXTS.times.milliseconds(value)] as const];
    });
    const total = Object.values(timings).reduce((sum, value) => sum + value, 0);
    const all = [...rows, [TEXTS.times.total, TEXTS.times.milliseconds(total)] as const];
    const heading = `${TEXTS.times.heading}: ${TEXTS.times.milliseconds(total)}`;
    this.times.replaceChildren(element("summary", {}, heading), facts(all));
    show(this.times, true);
  }

  private update(): void {
    const waits = this.face === undefined || this.busy;
    for (const each of this.sending) each.disabled = waits;
    this.renewing.wait(waits);
  }
}

function line(action: HTMLButtonElement, hint: string, id: string): HTMLElement {
  action.setAttribute("aria-describedby", id);
  return element("div", { className: "line" }, action, element("p", { id, className: "small" }, hint));
}

function identified(decisions: readonly Decision[]): readonly [string, "good" | "bad"] {
  const [best] = decisions;
  if (best === undefined) return [TEXTS.verdict.nobody, "bad"];
  const words = best.accepted ? TEXTS.verdict.identified(best.person) : TEXTS.verdict.nobody;
  return [`${words} ${TEXTS.verdict.score(best.score, best.threshold)}.`, best.accepted ? "good" : "bad"];
}

function heldInWords(held: Held | undefined): string {
  if (held === undefined || !held.templates.length) return TEXTS.held.none;
  return TEXTS.held.some(held.templates.length, epochOf(held));
}

function epochOf(held: Held | undefined): number {
  return Math.max(0, ...(held?.templates ?? []).map((template) => template.epoch ?? 0));
}
