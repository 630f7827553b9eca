// The client: reads photos on this device, and sends only what a pseudonym made of them; as facemin/client/client.py.

import { CaptureLog } from "./captures.ts";
import type { Device } from "./device.ts";
import { type Bytes, base64, hex, sha256, utf8 } from "./encoding.ts";
import { EnrolledFace } from "./enrolled.ts";
import { Refusal } from "./errors.ts";
import { encodeFeature } from "./feature.ts";
import type { Pixels } from "./image.ts";
import { encodePng } from "./png.ts";
import { type Operation, PossessionKey, renewalDigest } from "./possession.ts";
import { type Challenge, type Decision, type Held, type Provider, collectionPath } from "./provider.ts";
import { type ReadFace, readPhoto } from "./read.ts";
import { Pseudonym } from "./rotation.ts";
import type { Secret } from "./secret.ts";
import type { Store } from "./store.ts";
import { strangerThreshold } from "./stranger.ts";
import { DEFAULT_SPACE, SAME_PERSON } from "./trust.ts";

/** In which form uploads go: numbers, or an image painted for them. */
export type Form = "feature" | "image";

/** What is sent of one face. */
export interface Sent {
  readonly form: Form;
  /** The very bytes. */
  readonly data: Bytes;
  /** The target: what is sent as numbers, or what the image was painted for. */
  readonly target: Float32Array;
  /** The image, where one is sent. */
  readonly image: Pixels | undefined;
  /** Distance of the image to its target. */
  readonly residual: number | undefined;
}

/** Milliseconds by what was done. */
export type Timings = Partial<Record<"detect" | "embed" | "rotate" | "encode" | "ask" | "send", number>>;

/** An answer, what was sent for it, and how long that took. */
export interface Outcome<T> {
  readonly answer: T;
  readonly sent: readonly Sent[];
  readonly timings: Timings;
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
const STRANGERS = 1e-3;

interface Upload {
  readonly kind: Form;
  readonly key_id: string;
  readonly data: string;
  readonly pseudonym: { readonly space: string; readonly epoch: number };
  readonly possession: { readonly public_key: string; readonly signature: string };
}

/** One person's secret at one provider, for one collection. */
export class Client {
  private readonly made = new WeakMap<ReadFace, Map<string, Promise<Sent>>>();
  private timings: Timings = {};

  constructor(private readonly options: ClientOptions) {}

  /** Find, align and embed the largest face of a photo, on this device. */
  async read(photo: Pixels): Promise<ReadFace> {
    const { read } = await readPhoto(this.options.device, photo);
    if (read === undefined) throw new Refusal("no_face", "photo: no face found that could be protected");
    return read;
  }

  /** What would be sent of a face at the epoch that the provider says; sending it sends the same bytes. */
  async preview(face: ReadFace, person: string | undefined): Promise<Sent> {
    const { ask, form } = await this.ask(person);
    const [sent] = await this.encode([face], ask.epoch, form);
    if (sent === undefined) throw new Refusal("input", "faces: expected at least one, got none");
    return sent;
  }

  /** What would be sent of a face at epoch 0, without a word to the provider. */
  async previewOffline(face: ReadFace, form: Form): Promise<Sent> {
    return this.encoded(face, 0, form);
  }

  /** Enrol a person by faces; with `replace` in place of the earlier ones, under the next epoch. */
  async enrol(person: string, faces: readonly ReadFace[], replace = false): Promise<Outcome<string>> {
    return this.operation(faces, async (claimed) => {
      const { ask, form } = await this.ask(person);
      await this.checkPerson(faces);
      const epoch = replace ? ask.epoch + 1 : ask.epoch;
      const sent = await this.encode(faces, epoch, form);
      await this.claim(faces, epoch, claimed);
      const uploads = await this.uploads(sent, epoch, ask.challenge, "enrol", person);
      const body = { person, uploads, replace, challenge: ask.challenge };
      const said = (await this.post("persons", body)) as { person?: unknown };
      await this.remember(faces);
      return [typeof said.person === "string" ? said.person : person, sent];
    });
  }

  /** Ask whether a face is a person's. */
  async verify(person: string, face: ReadFace): Promise<Outcome<Decision>> {
    return this.operation([face], async (claimed) => {
      const { ask, form } = await this.ask(person);
      await this.checkPerson([face]);
      const sent = await this.encode([face], ask.epoch, form);
      await this.claim([face], ask.epoch, claimed);
      const [upload] = await this.uploads(sent, ask.epoch, ask.challenge, "verify", person);
      return [decision(await this.post("verify", { person, upload, challenge: ask.challenge })), sent];
    });
  }

  /** Ask who a face is, among those enrolled under the same secret. */
  async identify(face: ReadFace, top = 5): Promise<Outcome<readonly Decision[]>> {
    return this.operation([face], async (claimed) => {
      const { ask, form } = await this.ask(undefined);
      await this.checkPerson([face]);
      const sent = await this.encode([face], ask.epoch, form);
      await this.claim([face], ask.epoch, claimed);
      const uploads = await this.uploads(sent, ask.epoch, ask.challenge, "identify", "");
      const said = (await this.post("identify", { uploads, challenge: ask.challenge, top })) as { results?: unknown };
      const [first] = Array.isArray(said.results) ? (said.results as unknown[]) : [];
      if (!Array.isArray(first)) throw new Refusal("provider", "provider: expected results, got something else");
      return [first.map(decision), sent];
    });
  }

  /**
   * Put a fresh pseudonym in place of the old one: under the next epoch, or under another secret.
   *
   * @param person - as enrolled
   * @param probe - verified under the old one
   * @param faces - enrolled under the new one; all of photos that were never sent
   * @param next - a client with the new secret; under the old one, at the next epoch, when left out
   * @returns the new epoch
   */
  async renew(
    person: string,
    probe: ReadFace,
    faces: readonly ReadFace[],
    next: Client = this,
  ): Promise<Outcome<number>> {
    return this.operation([probe, ...faces], async (claimed) => {
      const { ask, form } = await this.ask(person);
      await this.checkPerson([probe, ...faces]);
      const epoch = ask.epoch + 1;
      const old = await this.encode([probe], ask.epoch, form);
      const sent = await next.encode(faces, epoch, form);
      await this.claim([probe], ask.epoch, claimed);
      await next.claim(faces, epoch, claimed);
      const key = (await next.possession()).publicKey;
      const hashes = await Promise.all(sent.map((each) => sha256(each.data)));
      const replaced = (digest: Bytes): Promise<Bytes> => renewalDigest(digest, hashes, key);
      const [upload] = await this.uploads(old, ask.epoch, ask.challenge, "renew", person, replaced);
      const uploads = await next.uploads(sent, epoch, ask.challenge, "renew", person);
      await this.post(`persons/${encodeURIComponent(person)}/renew`, { upload, uploads, challenge: ask.challenge });
      await next.remember(faces);
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
    await this.enrolled.forget(collection);
  }

  private async operation<T>(
    faces: readonly ReadFace[],
    work: (claimed: Set<string>) => Promise<readonly [T, Sent[]]>,
  ): Promise<Outcome<T>> {
    const claimed = new Set<string>();
    const sum = (what: "detect" | "embed"): number => faces.reduce((total, face) => total + face.timings[what], 0);
    this.timings = { ...this.timings, detect: sum("detect"), embed: sum("embed") };
    let done: readonly [T, Sent[]];
    try {
      done = await work(claimed);
    } catch (error) {
      if (!(error instanceof Refusal) || !STALE.has(error.detail?.code ?? "")) throw error;
      await this.options.device.refresh();
      done = await work(claimed);
    }
    const { timings } = this;
    this.timings = {};
    return { answer: done[0], sent: done[1], timings };
  }

  private async ask(person: string | undefined): Promise<{ ask: Challenge; form: Form }> {
    const { provider, collection, form = "auto" } = this.options;
    const who = person === undefined ? { possession: hex((await this.possession()).publicKey) } : { person };
    const ask = await this.timed("ask", () => provider.challenge(collection, who));
    const refused = (code: string, message: string): Refusal =>
      new Refusal("provider", `provider: ${message}`, { code, status: 422 });
    if (ask.pseudonyms === "off") {
      throw refused("pseudonyms_off", `${collection} takes no pseudonyms, and nothing was sent without one`);
    }
    if (form === "feature" && !ask.features) throw refused("features_off", "it takes images only");
    return { ask, form: ask.features && form !== "image" ? "feature" : "image" };
  }

  private async checkPerson(faces: readonly ReadFace[]): Promise<void> {
    const { device } = this.options;
    const space = hex(device.space);
    const limit = space === DEFAULT_SPACE ? SAME_PERSON : strangerThreshold(STRANGERS, device.embedder.dimension);
    const rows = faces.map((face) => face.embedding);
    await this.enrolled.check(rows, device.space, limit);
  }

  private async remember(faces: readonly ReadFace[]): Promise<void> {
    const rows = faces.map((face) => face.embedding);
    await this.enrolled.remember(rows, this.options.device.space, this.options.collection);
  }

  private encode(faces: readonly ReadFace[], epoch: number, form: Form): Promise<Sent[]> {
    return Promise.all(faces.map((face) => this.encoded(face, epoch, form)));
  }

  /** Made once for each face and pseudonym, so that what was shown is what is sent. */
  private encoded(face: ReadFace, epoch: number, form: Form): Promise<Sent> {
    const own = this.made.get(face) ?? new Map<string, Promise<Sent>>();
    this.made.set(face, own);
    const name = `${epoch} ${form} ${this.options.device.key.manifest.keyId}`;
    const found = own.get(name) ?? this.encodeNow(face, epoch, form);
    own.set(name, found);
    found.catch(() => own.delete(name));
    return found;
  }

  private async encodeNow(face: ReadFace, epoch: number, form: Form): Promise<Sent> {
    const { device } = this.options;
    const target = await this.timed("rotate", async () => (await this.pseudonym(epoch)).target(face.embedding));
    return this.timed("encode", async () => {
      if (form === "feature") {
        return { form, data: encodeFeature(target, device.key), target, image: undefined, residual: undefined };
      }
      const { pixels: image, residual } = await (await device.paint()).make(target);
      return { form, data: await encodePng(image), target, image, residual };
    });
  }

  private async claim(faces: readonly ReadFace[], epoch: number, claimed: Set<string>): Promise<void> {
    const { store, secret, others } = this.options;
    const name = (await this.pseudonym(epoch)).fingerprint;
    if (claimed.has(name)) return;
    const log = new CaptureLog(store, secret, others);
    await log.claim(
      faces.map((face) => face.crop),
      name,
    );
    claimed.add(name);
  }

  private pseudonym(epoch: number): Promise<Pseudonym> {
    const { device, provider, collection, secret } = this.options;
    return Pseudonym.derive(secret, {
      origin: provider.url,
      signer: device.key.signer ?? new Uint8Array(),
      space: device.space,
      dimension: device.embedder.dimension,
      purpose: collection,
      epoch,
    });
  }

  private possession(): Promise<PossessionKey> {
    return PossessionKey.derive(this.options.secret, this.options.provider.url, this.options.collection);
  }

  private async uploads(
    sent: readonly Sent[],
    epoch: number,
    challenge: string,
    operation: Operation,
    person: string,
    digest: (of: Bytes) => Promise<Bytes> = async (of) => of,
  ): Promise<Upload[]> {
    const key = await this.possession();
    const { device, collection } = this.options;
    return Promise.all(
      sent.map(async ({ form, data }) => {
        const statement = {
          challenge: utf8(challenge),
          operation,
          purpose: collection,
          upload: await digest(await sha256(data)),
          person,
          epoch,
        };
        return {
          kind: form,
          key_id: device.key.manifest.keyId,
          data: base64(data),
          pseudonym: { space: hex(device.space), epoch },
          possession: { public_key: hex(key.publicKey), signature: hex(await key.sign(statement)) },
        };
      }),
    );
  }

  private post(what: string, body: unknown): Promise<unknown> {
    const { provider, collection } = this.options;
    return this.timed("send", () => provider.post(collectionPath(collection, what), body));
  }

  private get enrolled(): EnrolledFace {
    return new EnrolledFace(this.options.store, this.options.secret);
  }

  private async timed<T>(what: keyof Timings, work: () => Promise<T>): Promise<T> {
    const began = performance.now();
    try {
      return await work();
    } finally {
      this.timings[what] = (this.timings[what] ?? 0) + performance.now() - began;
    }
  }
}

function decision(said: unknown): Decision {
  const { person, accepted, score, threshold, far } = (said ?? {}) as Record<string, unknown>;
  const numbers = [score, threshold, far];
  if (typeof person !== "string" || typeof accepted !== "boolean" || !numbers.every(Number.isFinite)) {
    throw new Refusal("provider", "provider: expected a decision, got something else");
  }
  return { person, accepted, score: score as number, threshold: threshold as number, far: far as number };
}
