// The client: reads photos on this device, and sends only what a pseudonym made of them; as facemin/client/client.py.

import type { Device } from "./device.ts";
import { type Bytes, hex, sha256 } from "./encoding.ts";
import { Refusal } from "./errors.ts";
import type { Pixels } from "./image.ts";
import { renewalDigest } from "./possession.ts";
import { type Challenge, type Decision, type Held, type Provider, collectionPath } from "./provider.ts";
import { type ReadFace, readPhoto } from "./read.ts";
import type { Secret } from "./secret.ts";
import { type Form, type Probe, Sender, type Sent } from "./sender.ts";
import { Stopwatch, type Timings } from "./stopwatch.ts";
import type { Store } from "./store.ts";

/** An answer, what was sent for it, and how long that took. */
export interface Outcome<T> {
  readonly answer: T;
  readonly sent: readonly Sent[];
  readonly timings: Timings;
  /** Whether a refusal came of another device's enrolment in the place of this one's: another photo will do. */
  readonly elsewhere: boolean;
}

/** What a client is made of. */
export interface ClientOptions {
  readonly device: Device;
  readonly provider: Provider;
  readonly store: Store;
  readonly secret: Secret;
  /** The person's other secrets, under which no photo may be sent again. */
  readonly others?: readonly Secret[];
  readonly collection: string;
  /** "auto" sends features where the provider takes them, else images. */
  readonly form?: Form | "auto";
}

/** Refusals that a newer key cures. */
const STALE = new Set(["key_ended", "key_revoked", "unknown_key"]);

/** One person's secret at one provider, for one collection. */
export class Client {
  private readonly watch = new Stopwatch();
  private readonly sender: Sender;

  constructor(private readonly options: ClientOptions) {
    const { provider, others = [] } = options;
    this.sender = new Sender({ ...options, origin: provider.url, others }, this.watch);
  }

  /** Find, align and embed the largest face of a photo, on this device. */
  async read(photo: Pixels): Promise<ReadFace> {
    const { read } = await readPhoto(this.options.device, photo);
    if (read === undefined) throw new Refusal("no_face", "photo: no face found that could be protected");
    return read;
  }

  /**
   * What would be sent of a face at the epoch that the provider says; sending it sends the same bytes, to be compared
   * where this device knows of what was enrolled, else to be enrolled as well.
   *
   * @param face - as read
   * @param person - as enrolled; undefined for identifying
   * @param next - as for `renew`, of a face that is to be enrolled by it
   */
  async preview(face: ReadFace, person: string | undefined, next?: Client): Promise<Sent> {
    const { ask, form } = await this.ask(person);
    if (next !== undefined) return next.sender.encodeOne(face, ask.epoch + 1, form);
    return this.sender.encodeOne(face, ask.epoch, form, probe(ask, person));
  }

  /** What would be sent of a face at epoch 0, without a word to the provider. */
  async previewOffline(face: ReadFace, form: Form): Promise<Sent> {
    return this.sender.encodeOne(face, 0, form);
  }

  /** Enrol a person by faces; with `replace` in place of the earlier ones, under the next epoch. */
  async enrol(person: string, faces: readonly ReadFace[], replace = false): Promise<Outcome<string>> {
    return this.operation(faces, async (claimed) => {
      const { ask, form } = await this.ask(person);
      await this.sender.checkPerson(faces);
      const epoch = replace ? ask.epoch + 1 : ask.epoch;
      const sent = await this.sender.encode(faces, epoch, form);
      await this.sender.claim(faces, epoch, claimed);
      const uploads = await this.sender.uploads(sent, epoch, ask.challenge, "enrol", person);
      const body = { person, uploads, replace, challenge: ask.challenge };
      const said = (await this.post("persons", body)) as { person?: unknown; templates?: unknown };
      await this.sender.remember(faces, epoch, form, person, held(said.templates, epoch));
      return [typeof said.person === "string" ? said.person : person, sent];
    });
  }

  /** Ask whether a face is a person's. */
  async verify(person: string, face: ReadFace): Promise<Outcome<Decision>> {
    return this.operation([face], async (claimed) => {
      const { ask, form } = await this.ask(person);
      await this.sender.checkPerson([face]);
      const sent = await this.sender.encode([face], ask.epoch, form, probe(ask, person));
      await this.sender.claim([face], ask.epoch, claimed);
      const [upload] = await this.sender.uploads(sent, ask.epoch, ask.challenge, "verify", person);
      const decided = decision(await this.post("verify", { person, upload, challenge: ask.challenge }));
      return [decided, sent, await this.elsewhere([decided], sent, ask.epoch, person)];
    });
  }

  /** Ask who a face is, among those enrolled under the same secret. */
  async identify(face: ReadFace, top = 5): Promise<Outcome<readonly Decision[]>> {
    return this.operation([face], async (claimed) => {
      const { ask, form } = await this.ask(undefined);
      await this.sender.checkPerson([face]);
      const sent = await this.sender.encode([face], ask.epoch, form, probe(ask, undefined));
      await this.sender.claim([face], ask.epoch, claimed);
      const uploads = await this.sender.uploads(sent, ask.epoch, ask.challenge, "identify", "");
      const said = (await this.post("identify", { uploads, challenge: ask.challenge, top })) as { results?: unknown };
      const [first] = Array.isArray(said.results) ? (said.results as unknown[]) : [];
      if (!Array.isArray(first)) throw new Refusal("provider", "provider: expected results, got something else");
      const decided = first.map(decision);
      return [decided, sent, await this.elsewhere(decided, sent, ask.epoch, undefined)];
    });
  }

  /**
   * Put a fresh pseudonym in place of the old one: under the next epoch, or under another secret.
   *
   * @param person - as enrolled
   * @param first - verified under the old one
   * @param faces - enrolled under the new one; all of photos that were never sent
   * @param next - a client with the new secret; under the old one, at the next epoch, when left out
   * @returns the new epoch
   */
  async renew(
    person: string,
    first: ReadFace,
    faces: readonly ReadFace[],
    next: Client = this,
  ): Promise<Outcome<number>> {
    return this.operation([first, ...faces], async (claimed) => {
      const { ask, form } = await this.ask(person);
      await this.sender.checkPerson([first, ...faces]);
      const epoch = ask.epoch + 1;
      // it is decided at a stricter FAR than the threshold that was told
      const old = await this.sender.encode([first], ask.epoch, form, { person, threshold: undefined });
      const sent = await next.sender.encode(faces, epoch, form);
      // before the first is noted: a call that sends nothing uses no photo up
      await next.sender.checkUnsent(faces, epoch, claimed);
      await this.sender.claim([first], ask.epoch, claimed);
      await next.sender.claim(faces, epoch, claimed);
      const key = (await next.sender.possession()).publicKey;
      const hashes = await Promise.all(sent.map((each) => sha256(each.data)));
      const replaced = (digest: Bytes): Promise<Bytes> => renewalDigest(digest, hashes, key);
      const [upload] = await this.sender.uploads(old, ask.epoch, ask.challenge, "renew", person, replaced);
      const uploads = await next.sender.uploads(sent, epoch, ask.challenge, "renew", person);
      await this.post(`persons/${encodeURIComponent(person)}/renew`, { upload, uploads, challenge: ask.challenge });
      await next.sender.remember(faces, epoch, form, person, faces.length);
      if (next !== this) await this.sender.enrolled.forget(this.options.collection);
      return [epoch, [...old, ...sent]];
    });
  }

  /** What the provider holds of a person; undefined for nobody. */
  held(person: string): Promise<Held | undefined> {
    return this.options.provider.held(this.options.collection, person);
  }

  /** Delete a person at the provider, and what this device kept of their enrolment. */
  async delete(person: string): Promise<void> {
    const { provider, collection } = this.options;
    await provider.delete(collection, person);
    await this.sender.enrolled.forget(collection);
  }

  private async operation<T>(
    faces: readonly ReadFace[],
    work: (claimed: Set<string>) => Promise<readonly [answer: T, sent: Sent[], elsewhere?: boolean]>,
  ): Promise<Outcome<T>> {
    const claimed = new Set<string>();
    for (const { timings } of faces) {
      this.watch.add("detect", timings.detect);
      this.watch.add("embed", timings.embed);
    }
    try {
      const [answer, sent, elsewhere = false] = await this.fresh(() => work(claimed));
      return { answer, sent, timings: this.watch.read(), elsewhere };
    } finally {
      // what a failed one took is no part of the next
      this.watch.read();
    }
  }

  /** Do it; once more with a new key where the provider has taken the old one out of force. */
  private async fresh<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof Refusal) || !STALE.has(error.detail?.code ?? "")) throw error;
    }
    await this.options.device.refresh();
    return work();
  }

  private async ask(person: string | undefined): Promise<{ ask: Challenge; form: Form }> {
    const { provider, collection, form = "auto" } = this.options;
    const who = person === undefined ? { possession: hex((await this.sender.possession()).publicKey) } : { person };
    const ask = await this.watch.timed("ask", () => provider.challenge(collection, who));
    const refused = (code: string, message: string): Refusal =>
      new Refusal("provider", `provider: ${message}`, { code, status: 422 });
    if (ask.pseudonyms === "off") {
      throw refused("pseudonyms_off", `${collection} takes no pseudonyms, and nothing was sent without one`);
    }
    if (form === "feature" && !ask.features) throw refused("features_off", "it takes images only");
    return { ask, form: ask.features && form !== "image" ? "feature" : "image" };
  }

  /** Whether a refusal came of other templates than this device's, which are forgotten then. */
  private async elsewhere(
    decisions: readonly Decision[],
    [sent]: readonly Sent[],
    epoch: number,
    person: string | undefined,
  ): Promise<boolean> {
    if (sent === undefined || decisions.some((each) => each.accepted)) return false;
    const score = Math.max(-1, ...decisions.map((each) => each.score));
    return this.sender.checkTemplates(sent, epoch, person, score);
  }

  private post(what: string, body: unknown): Promise<unknown> {
    const { provider, collection } = this.options;
    return this.watch.timed("send", () => provider.post(collectionPath(collection, what), body));
  }
}

function probe(ask: Challenge, person: string | undefined): Probe {
  return { person, threshold: ask.threshold ?? undefined };
}

/** How many templates of an answer are under an epoch. */
function held(templates: unknown, epoch: number): number {
  const all = Array.isArray(templates) ? (templates as { epoch?: unknown }[]) : [];
  return all.filter((each) => each.epoch === epoch).length;
}

function decision(said: unknown): Decision {
  const { person, accepted, score, threshold, far } = (said ?? {}) as Record<string, unknown>;
  const numbers = [score, threshold, far];
  if (typeof person !== "string" || typeof accepted !== "boolean" || !numbers.every(Number.isFinite)) {
    throw new Refusal("provider", "provider: expected a decision, got something else");
  }
  return { person, accepted, score: score as number, threshold: threshold as number, far: far as number };
}
