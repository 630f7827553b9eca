// The worker: photos are read and pseudonyms made here, so that the page stays quick.

import type { Answered, Call, Engine, Frame, KeyShown, Look, Said, SentShown, Session } from "./protocol.ts";
import { answered, frame, picture, shown, taken } from "./shown.ts";
import {
  BrowserStore,
  CaptureLog,
  Client,
  type Complaint,
  type Detector,
  Device,
  type Form,
  type Held,
  type Key,
  Pins,
  Provider,
  type ReadFace,
  Refusal,
  Runtime,
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

const SECRET = "secret/default";
const CODE = "facemin-secret-1:";
const MOST_FACES = 8; // that were read and are remembered

interface Opened {
  readonly session: Session;
  readonly provider: Provider;
  readonly store: BrowserStore;
  readonly runtime: Runtime;
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
    this.opened ??= {
      session,
      provider: new Provider(session.url, session.token),
      store: await BrowserStore.open(),
      runtime: await Runtime.open({ folder: new URL("ort/", session.url).href }),
    };
    const { provider, store } = this.opened;
    const pin = await new Pins(store).pin(provider.url);
    const options = { ...this.opened, onPart: tell };
    this.detector ??= openDetector(options).then(warmed);
    this.detector.catch(() => (this.detector = undefined));
    const key = await openKey(options);
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
    this.device = await Device.open({ ...this.open, onPart: tell }, this.key, this.detector);
    return { threads: this.open.runtime.threads };
  }

  async secret(): Promise<string | undefined> {
    return (await this.kept())?.fingerprint;
  }

  async makeSecret(): Promise<string> {
    if ((await this.kept()) !== undefined) throw new Refusal("secret", "secret: expected none, got one already");
    return this.keep(await Secret.make());
  }

  async takeWords(words: string): Promise<string> {
    return this.keep(await Secret.fromWords(words));
  }

  async takeFile(text: string): Promise<string> {
    return this.keep(await readSecretFile(text));
  }

  async takeCode(text: string): Promise<string> {
    if (!text.startsWith(CODE)) throw new Refusal("secret", "code: expected a secret of facemin, got another code");
    return this.keep(await Secret.of(fromHex(text.slice(CODE.length))));
  }

  async words(): Promise<string> {
    return (await this.needed()).words();
  }

  async file(): Promise<string> {
    return secretFile(await this.needed(), new Date());
  }

  async code(): Promise<string> {
    return CODE + hex((await this.needed()).data);
  }

  async forgetSecret(): Promise<void> {
    await this.open.store.delete(SECRET);
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
    const secret = await this.kept();
    const sentBefore = secret !== undefined && (await new CaptureLog(this.open.store, secret).has(read.crop));
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

  async preview(face: number, form: Form | "auto"): Promise<SentShown> {
    const client = await this.client(form);
    const { person, token } = this.open.session;
    const read = this.read(face);
    if (token === undefined) return shown(await client.previewOffline(read, form === "image" ? "image" : "feature"));
    return shown(await client.preview(read, person));
  }

  async held(): Promise<Held | undefined> {
    return (await this.client("auto")).held(this.person);
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

  async renew(probe: number, face: number, form: Form | "auto"): Promise<Answered<number>> {
    return answered(await (await this.client(form)).renew(this.person, this.read(probe), [this.read(face)]));
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
    const { provider, store, session } = this.open;
    const secret = await this.needed();
    // another tab may have put another secret in its place
    const name = `${secret.fingerprint} ${form}`;
    const found = this.clients.get(name);
    if (found !== undefined) return found;
    const { collection } = session;
    const made = new Client({ device: this.ready, provider, store, secret, collection, form });
    this.clients.set(name, made);
    return made;
  }

  private async kept(): Promise<Secret | undefined> {
    const data = (await this.open.store.get(SECRET)) as Uint8Array | undefined;
    return data && Secret.of(data);
  }

  private async needed(): Promise<Secret> {
    const secret = await this.kept();
    if (secret === undefined) throw new Refusal("secret", "secret: expected one in this browser, got none yet");
    return secret;
  }

  /** Keep a secret, in place of another whose sent captures go on to count. */
  private async keep(secret: Secret): Promise<string> {
    const { store } = this.open;
    const old = await this.kept();
    if (old !== undefined) await new CaptureLog(store, secret).carryOver(old);
    await store.put(SECRET, secret.data);
    this.forget();
    return secret.fingerprint;
  }

  /** What was made under another secret is made anew. */
  private forget(): void {
    this.clients.clear();
    this.faces.clear();
  }
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
    (error: unknown) => {
      const refusal =
        error instanceof Refusal
          ? { code: error.code, message: error.message, detail: error.detail }
          : { code: "failed" as const, message: String(error), detail: undefined };
      self.postMessage({ kind: "refused", id, refusal });
    },
  );
};
