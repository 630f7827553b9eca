// The page: what is loaded, in which order its cards come, and how they hang together.

import { Refusal } from "../src/errors.ts";
import type { Part } from "../src/index.ts";
import { ActionsCard } from "./actions_card.ts";
import { Failure, engine as openEngine } from "./calls.ts";
import { element } from "./element.ts";
import { PhotoCard, type Sample } from "./photo_card.ts";
import type { Engine, KeyShown, Session } from "./protocol.ts";
import { changedCard, providerCard, untrustedCard } from "./provider_card.ts";
import { SecretCard } from "./secret_card.ts";
import { SidesCard } from "./sides_card.ts";
import { TEXTS } from "./texts.ts";
import { Told } from "./told.ts";

/** The session that the page was opened with; its token stays in memory and leaves the address bar at once. */
function opened(): { readonly session: Session; readonly samples: boolean } {
  const given = new URLSearchParams(location.hash.slice(1));
  history.replaceState(null, "", location.pathname + location.search);
  const session: Session = {
    url: new URL(".", location.href).href,
    token: given.get("session") ?? undefined,
    collection: given.get("collection") ?? "main",
    person: given.get("person") ?? undefined,
  };
  return { session, samples: given.get("samples") === "1" };
}

/** What is being loaded, in one line. */
class Loading {
  private readonly words = element("p");
  private readonly bar = element("progress", { max: 1, "aria-label": TEXTS.loading.heading });
  readonly element = element("div", { className: "loading" }, this.words, this.bar);
  private ended = false;
  private readonly parts = new Map<Part, readonly [number, number]>();

  part(part: Part, loaded: number, total: number): void {
    this.parts.set(part, [loaded, Math.max(loaded, total)]);
    const [done, all] = [0, 1].map((at) => [...this.parts.values()].reduce((sum, each) => sum + (each[at] ?? 0), 0));
    // what comes later is said where it is wanted
    if (this.ended || done === undefined || all === undefined) return;
    this.words.textContent = done < all ? TEXTS.loading.files(done, all) : TEXTS.loading.starting;
    if (done < all) this.bar.value = done / all;
    else this.bar.removeAttribute("value");
  }

  end(threads: number): void {
    this.ended = true;
    this.bar.remove();
    this.words.textContent = TEXTS.loading.ready(performance.now() / 1000, threads);
  }

  fail(): void {
    this.element.remove();
  }
}

async function keyOf(engine: Engine, session: Session, place: HTMLElement, told: Told): Promise<KeyShown> {
  for (;;) {
    try {
      return await engine.start(session);
    } catch (error) {
      if (!(error instanceof Failure) || error.refused.code !== "key_changed") throw error;
      told.refuse(error);
      await changedCard(engine, place);
      told.hush();
    }
  }
}

async function load(engine: Engine, place: HTMLElement, told: Told): Promise<number> {
  for (;;) {
    try {
      return (await engine.load()).threads;
    } catch (error) {
      if (!(error instanceof Failure) || error.refused.code !== "untrusted") throw error;
      told.refuse(error);
      await untrustedCard(engine, place);
      told.hush();
    }
  }
}

async function samplesOf(url: string): Promise<Sample[]> {
  const listed = (await (await fetch(new URL("samples/index.json", url))).json()) as { name: string; file: string }[];
  return listed.map(({ name, file }) => ({ name, url: new URL(`samples/${file}`, url).href }));
}

/** Another link in the same tab changes the fragment alone: its session begins anew, and leaves the address bar. */
function begunAnew(): void {
  addEventListener("hashchange", () => {
    if (location.hash.length > 1) location.reload();
  });
}

async function run(): Promise<void> {
  begunAnew();
  const { session, samples } = opened();
  const told = new Told();
  // what a button began and nobody waits for
  addEventListener("unhandledrejection", ({ reason }) => told.refuse(reason));
  const loading = new Loading();
  const engine = openEngine((part, loaded, total) => loading.part(part, loaded, total));
  const main = element("main", {}, loading.element, told.element);
  const { token, person, collection } = session;
  const here =
    token === undefined
      ? TEXTS.session.none
      : person === undefined
        ? TEXTS.session.identify(collection)
        : TEXTS.session.person(person, collection);
  const head = element(
    "header",
    {},
    element("h1", {}, TEXTS.claim),
    element("p", {}, TEXTS.intro),
    element("p", {}, here),
  );
  const about = element("a", { href: "about" }, TEXTS.about);
  const foot = element("footer", { className: "small" }, TEXTS.footer, " ", about);
  document.body.append(head, main, foot);

  try {
    if (!isSecureContext) throw new Refusal("insecure", `page: expected https, got ${location.origin}`);
    const key = await keyOf(engine, session, main, told);
    let actions: ActionsCard | undefined;
    let ready = false;
    const sendable = (face: number | undefined): void => actions?.set(token === undefined ? undefined : face);
    const sides = new SidesCard(engine, told, sendable, () => actions?.renewal);
    const photo = new PhotoCard(engine, (look) => sides.set(look));
    const secret = new SecretCard(engine, told, (there) => {
      photo.clear();
      photo.enable(there && ready, there ? (ready ? "" : TEXTS.loading.starting) : TEXTS.photo.needsSecret);
      if (there && ready) void actions?.refresh();
    });
    if (token !== undefined) {
      actions = new ActionsCard(engine, session, {
        told,
        form: () => sides.form,
        spent: () => sides.spend(),
        changed: () => sides.preview(),
        renewed: () => secret.refresh(),
      });
    }
    const column = (...cards: readonly HTMLElement[]): HTMLElement => element("div", { className: "column" }, ...cards);
    const rest = [...(actions ? [actions.element] : []), providerCard(key)];
    const columns = [column(secret.element), column(photo.element, sides.element), column(...rest)];
    main.append(element("div", { className: "columns" }, ...columns));
    await secret.refresh();
    if (samples) photo.offer(await samplesOf(session.url));
    const threads = await load(engine, main, told);
    ready = true;
    await secret.refresh();
    // last: what is said to be ready is
    loading.end(threads);
  } catch (error) {
    loading.fail();
    told.refuse(error);
  }
}

void run();
