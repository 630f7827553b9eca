// The worker: photos are read and pseudonyms made here, so that the page stays quick.

import { decodeQR } from "qr/decode.js";

import type {
  Answered,
  Call,
  Engine,
  Frame,
  HeldHere,
  KeyShown,
  Look,
  Renewal,
  Said,
  SentShown,
  Session,
} from "./protocol.ts";
import { refused } from "./refused.ts";
import { openRuntime } from "./runtime.ts";
import { Secrets } from "./secrets.ts";
import { answered, frame, picture, shown, taken } from "./shown.ts";
import {
  BrowserStore,
  CaptureLog,
  Client,
  type Complaint,
  type Detector,
  Device,
  type Form,
  type Key,
  Pins,
  PossessionKey,
  Provider,
  type ReadFace,
  Refusal,
  type Runtime,
  Secret,
  complaints,
  openDetector,
  openKey,
  readPhoto,
  readSecretFile,
  secretFile,
  trust,
} from "../src/index.ts";
import { fromHex, hex } from "../src/encoding.ts";

declare const self: { postMessage(said: Said): void; onmessage: (event: MessageEvent<Call>) => void };

const CODE = "facemin-secret-1:";
const MOST_FACES = 8; // that were read and are remembered

interface Opened {
  readonly session: Session;
  readonly provider: Provider;
  readonly store: BrowserStore;
  readonly secrets: Secrets;
  /** It loads while the key does. */
  readonly runtime: Promise<Runtime>;
}

class Worker implements Engine {
  private opened: Opened | undefined;
  private key: Key | undefined;
  private detector: Promise<Detector> | undefined;
  private device: Device | undefined;
  private readonly clients = new Map<string, Client>();
  private readonly faces = new Map<number, ReadFace>();
  private last = 0;

  async start(session: Session): Promise<KeyShown> {
    this.opened ??= await opened(session);
    const { provider, store, runtime } = this.opened;
    const pin = await new Pins(store).pin(provider.url);
    const files = { provider, store, onPart: tell };
    this.detector ??= runtime.then((loaded) => openDetector({ ...files, runtime: loaded })).then(warmed);
    this.detector.catch(() => (this.detector = undefined));
    const key = await openKey(files);
    this.key = key;
    return {
      provider: key.manifest.provider,
      recogniser: key.manifest.recogniser,
      fingerprint: key.fingerprint,
      signer: key.signer && hex(key.signer),
      expires: key.manifest.expires?.toISOString(),
      known: pin !== undefined,
    };
  }

  async pinned(): Promise<string | undefined> {
    const { provider, store } = this.open;
    return (await new Pins(store).pin(provider.url))?.fingerprint;
  }

  async forgetKey(): Promise<void> {
    const { provider, store } = this.open;
    await new Pins(store).forget(provider.url);
  }

  async trust(reason: string): Promise<void> {
    if (this.key === undefined) throw new Refusal("key", "key: expected one, got none yet");
    await trust(this.open.store, this.key, reason);
  }

  async load(): Promise<{ threads: number }> {
    if (this.key === undefined) throw new Refusal("key", "key: expected one, got none yet");
    const { provider, store } = this.open;
    const runtime = await this.open.runtime;
    this.device = await Device.open({ provider, store, runtime, onPart: tell }, this.key, this.detector);
    return { threads: runtime.threads };
  }

  async secret(): Promise<string | undefined> {
    return (await this.open.secrets.kept())?.fingerprint;
  }

  async makeSecret(): Promise<string> {
    const made = await this.open.secrets.make();
    this.forget();
    return made.fingerprint;
  }

  async takeWords(words: string): Promise<string> {
    return this.taken(await Secret.fromWords(words));
  }

  async takeFile(text: string): Promise<string> {
    return this.taken(await readSecretFile(text));
  }

  async takeCode(text: string): Promise<string> {
    if (!text.startsWith(CODE)) throw new Refusal("secret", "code: expected a secret of facemin, got another code");
    return this.taken(await Secret.of(fromHex(text.slice(CODE.length))));
  }

  async readCode(bitmap: ImageBitmap): Promise<string | undefined> {
    try {
      return decodeQR(taken(bitmap));
    } catch {
      // how the decoder says that it sees none
      return undefined;
    }
  }

  async words(): Promise<string> {
    return (await this.open.secrets.needed()).words();
  }

  async nextWords(): Promise<string> {
    return (await this.open.secrets.next(this.person)).words();
  }

  async file(): Promise<string> {
    return secretFile(await this.open.secrets.needed(), new Date());
  }

  async code(): Promise<string> {
    return CODE + hex((await this.open.secrets.needed()).data);
  }

  async forgetSecret(): Promise<void> {
    await this.open.secrets.forget();
    this.forget();
  }

  async look(photo: ImageBitmap): Promise<Look> {
    const began = performance.now();
    const pixels = taken(photo);
    const { found, read } = await readPhoto(this.ready, pixels);
    const frames = [...found.faces, ...found.atEdge].map((face) => frame(face.box, pixels));
    const wrong = complaints(pixels, found);
    const milliseconds = performance.now() - began;
    if (read === undefined) {
      return { face: undefined, frames, complaints: wrong, crop: undefined, sentBefore: false, milliseconds };
    }
    this.last += 1;
    this.faces.set(this.last, read);
    this.faces.delete(this.last - MOST_FACES);
    const { store, secrets } = this.open;
    const secret = await secrets.kept();
    const log = secret && new CaptureLog(store, secret, await secrets.others());
    const sentBefore = (await log?.has(read.crop)) ?? false;
    return { face: this.last, frames, complaints: wrong, crop: picture(read.crop), sentBefore, milliseconds };
  }

  async glance(bitmap: ImageBitmap, scale: number): Promise<{ frames: Frame[]; complaints: readonly Complaint[] }> {
    const pixels = taken(bitmap);
    const found = await this.ready.detector.glance(pixels);
    const whole = ({ box: [left, top, right, bottom] }: (typeof found)[number]): boolean =>
      left >= 0 && top >= 0 && right <= pixels.width && bottom <= pixels.height;
    const seen = { faces: found.filter(whole), atEdge: found.filter((face) => !whole(face)) };
    return { frames: found.map((face) => frame(face.box, pixels)), complaints: complaints(pixels, seen, scale) };
  }

  async preview(face: number, form: Form | "auto", renewal?: Renewal): Promise<SentShown> {
    const client = await this.client(form);
    const { person, token } = this.open.session;
    const read = this.read(face);
    if (token === undefined) return shown(await client.previewOffline(read, form === "image" ? "image" : "feature"));
    return shown(await client.preview(read, person, renewal && (await this.next(client, form, renewal))));
  }

  async held(): Promise<HeldHere> {
    const { secrets, provider, session } = this.open;
    const held = await (await this.client("auto")).held(this.person);
    // a renewal whose answer was lost may have put the next secret in place
    const begun = await secrets.begun(this.person);
    const key = begun && hex((await PossessionKey.derive(begun, provider.url, session.collection)).publicKey);
    const renewed = key !== undefined && held?.templates.some((template) => template.possession === key) === true;
    if (renewed) await this.promoted();
    return { held, renewed };
  }

  async enrol(face: number, form: Form | "auto"): Promise<Answered<string>> {
    return answered(await (await this.client(form)).enrol(this.person, [this.read(face)]));
  }

  async verify(face: number, form: Form | "auto"): ReturnType<Engine["verify"]> {
    return answered(await (await this.client(form)).verify(this.person, this.read(face)));
  }

  async identify(face: number, form: Form | "auto"): ReturnType<Engine["identify"]> {
    return answered(await (await this.client(form)).identify(this.read(face)));
  }

  async renew(probe: number, face: number, form: Form | "auto", renewal: Renewal): Promise<Answered<number>> {
    const client = await this.client(form);
    const next = await this.next(client, form, renewal);
    const outcome = await client.renew(this.person, this.read(probe), [this.read(face)], next);
    if (renewal === "secret") await this.promoted();
    return answered(outcome);
  }

  async remove(): Promise<void> {
    await (await this.client("auto")).delete(this.person);
  }

  private get open(): Opened {
    if (this.opened === undefined) throw new Refusal("input", "page: expected it to have started");
    return this.opened;
  }

  private get ready(): Device {
    if (this.device === undefined) throw new Refusal("input", "page: expected its networks to be loaded");
    return this.device;
  }

  private get person(): string {
    const { person } = this.open.session;
    if (person === undefined) throw new Refusal("input", "session: expected one of a person, got another");
    return person;
  }

  private read(face: number): ReadFace {
    const read = this.faces.get(face);
    if (read === undefined) throw new Refusal("input", "photo: expected one that was chosen, got an older one");
    return read;
  }

  private async client(form: Form | "auto"): Promise<Client> {
    // another tab may have put another secret in its place
    return this.clientOf(await this.open.secrets.needed(), form);
  }

  /** The client that a renewal enrols by. */
  private async next(client: Client, form: Form | "auto", renewal: Renewal): Promise<Client> {
    return renewal === "epoch" ? client : this.clientOf(await this.open.secrets.next(this.person), form);
  }

  private async clientOf(secret: Secret, form: Form | "auto"): Promise<Client> {
    const { provider, store, session, secrets } = this.open;
    const others = await secrets.others();
    const name = `${form} ${[secret, ...others].map((each) => each.fingerprint).join(" ")}`;
    const { collection } = session;
    const options = { device: this.ready, provider, store, secret, others, collection, form };
    const client = this.clients.get(name) ?? new Client(options);
    this.clients.set(name, client);
    return client;
  }

  /** Take the next secret into use. */
  private async promoted(): Promise<void> {
    await this.open.secrets.promote(this.person);
    this.forget();
  }

  private async taken(secret: Secret): Promise<string> {
    await this.open.secrets.take(secret);
    this.forget();
    return secret.fingerprint;
  }

  /** What was made under another secret is made anew. */
  private forget(): void {
    this.clients.clear();
    this.faces.clear();
  }
}

async function opened(session: Session): Promise<Opened> {
  const provider = new Provider(session.url, session.token);
  const store = await BrowserStore.open();
  const runtime = openRuntime(new URL("ort/", session.url));
  // it is waited for later, and a refusal before that must not leave it unheard
  runtime.catch(() => undefined);
  return { session, provider, store, secrets: new Secrets(store, session.collection), runtime };
}

/** The first run of a network takes longest: not while somebody waits. */
async function warmed(detector: Detector): Promise<Detector> {
  await detector.glance({ width: 32, height: 32, data: new Uint8Array(3 * 32 * 32) });
  return detector;
}

function tell(part: "key" | "detector" | "protector", loaded: number, total: number): void {
  self.postMessage({ kind: "part", part, loaded, total });
}

const worker = new Worker();

self.onmessage = ({ data: { id, method, args } }) => {
  const work = worker[method] as (...args: readonly unknown[]) => Promise<unknown>;
  work.apply(worker, [...args]).then(
    (value) => self.postMessage({ kind: "done", id, value }),
    (error: unknown) => self.postMessage({ kind: "refused", id, refusal: refused(error) }),
  );
};
