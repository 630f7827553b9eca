// What a device needs of a provider before it can do anything: its key, checked and pinned, and the networks.

import { Detector } from "./detect.ts";
import { Embedder } from "./embed.ts";
import { hex, sha256 } from "./encoding.ts";
import { Refusal } from "./errors.ts";
import type { Key } from "./key.ts";
import { Painter } from "./paint.ts";
import { Pins } from "./pins.ts";
import type { File, Provider } from "./provider.ts";
import type { Runtime } from "./runtime.ts";
import type { Store } from "./store.ts";
import { DEFAULT_SPACE, SHIPPED_PROTECTOR, isTrusted } from "./trust.ts";

/** The parts that are loaded. */
export type Part = "key" | "detector" | "protector";

/** Told how much of a part is there. */
export type OnPart = (part: Part, loaded: number, total: number) => void;

/** What a device is opened with. */
export interface DeviceOptions {
  readonly provider: Provider;
  readonly store: Store;
  readonly runtime: Runtime;
  /** Ed25519 key of the provider where it is known from elsewhere, 32 bytes. */
  readonly signer?: Uint8Array;
  readonly onPart?: OnPart;
}

/** What a file of the provider is fetched with: it may come while the runtime loads. */
export type FileOptions = Omit<DeviceOptions, "runtime"> & Partial<Pick<DeviceOptions, "runtime">>;

/** The provider's current key, checked against what was pinned at its first use. */
export async function openKey(options: FileOptions): Promise<Key> {
  const { provider, store, signer } = options;
  const judged = signer === undefined ? {} : { signer };
  return opened(options, "key", "v1/key", (data) => new Pins(store).accept(provider.url, data, judged));
}

/** The detector, which needs no key: begun early it comes while the key does. */
export async function openDetector(options: DeviceOptions): Promise<Detector> {
  const { runtime } = options;
  return opened(options, "detector", "models/centerface.onnx", (data) => Detector.open(runtime, data));
}

/** A provider's key and the networks that run on this device. */
export class Device {
  private painter: Promise<Painter> | undefined;

  private constructor(
    private readonly options: DeviceOptions,
    private current: Key,
    private network: Embedder,
    readonly detector: Detector,
  ) {}

  /** Open the networks of a key; refused where its network is not trusted. */
  static async open(options: DeviceOptions, key: Key, detector = openDetector(options)): Promise<Device> {
    // it is waited for last, and a refusal before that must not leave it unheard
    detector.catch(() => undefined);
    await check(options.store, key);
    return new Device(options, key, await Embedder.open(options.runtime, key), await detector);
  }

  get key(): Key {
    return this.current;
  }

  get embedder(): Embedder {
    return this.network;
  }

  /** Identity of the key's space. */
  get space(): Uint8Array {
    if (this.current.space === undefined) throw noSpace();
    return this.current.space;
  }

  /** Ask for the key anew, where the provider has taken the old one out of force. */
  async refresh(): Promise<void> {
    const key = await openKey(this.options);
    await check(this.options.store, key);
    if (key.manifest.sha256 !== this.current.manifest.sha256) {
      this.network = await Embedder.open(this.options.runtime, key);
    }
    this.current = key;
    this.painter = undefined;
  }

  /** The one-pass network: the provider's, whose hash its key names, or the one that comes with facemin. */
  paint(): Promise<Painter> {
    this.painter ??= this.openPainter();
    this.painter.catch(() => (this.painter = undefined));
    return this.painter;
  }

  private async openPainter(): Promise<Painter> {
    const named = this.current.manifest.protector;
    if (named === undefined && hex(this.space) !== DEFAULT_SPACE) {
      throw new Refusal("protector", "protector: expected the provider to offer one for its space, got none");
    }
    const path = named === undefined ? SHIPPED_PROTECTOR.path : "v1/key/protector";
    const { runtime } = this.options;
    return opened(this.options, "protector", path, (data) =>
      Painter.open(runtime, data, named ?? SHIPPED_PROTECTOR.sha256, this.current, this.network),
    );
  }
}

async function check(store: Store, key: Key): Promise<void> {
  if (key.space === undefined) throw noSpace();
  if (!(await isTrusted(store, key))) {
    const { sha256: graph, recogniser } = key.manifest;
    throw new Refusal("untrusted", `key: expected a network on the published list, got ${graph} (${recogniser})`);
  }
}

function noSpace(): Refusal {
  return new Refusal("no_space", "key: expected one with a space, which a pseudonym needs, got an older one without");
}

/**
 * What a file of the provider is opened as.
 *
 * It is kept here once it was found whole, by its tag and by what opens it. One that fails is dropped and fetched once
 * more: that the provider's own has not changed says nothing of what came, or of what lies here.
 */
async function opened<T>(
  options: FileOptions,
  part: Part,
  path: string,
  open: (data: Uint8Array) => Promise<T>,
): Promise<T> {
  const { provider, store, onPart } = options;
  const name = `file/${provider.url}${path}`;
  const held = (await store.get(name)) as File | undefined;
  const fetched = (tag?: string): Promise<File | undefined> =>
    provider.file(path, tag, (loaded, total) => onPart?.(part, loaded, total));
  const use = async (file: File | undefined): Promise<T> => {
    if (file === undefined) throw new Refusal("provider", `${path}: expected a file, got none`);
    const known = await isNamed(path, file);
    const made = await open(file.data);
    if (known && file !== held) await store.put(name, file);
    onPart?.(part, file.data.length, file.data.length);
    return made;
  };
  const file = await fetched(held?.tag);
  try {
    return await use(file ?? held);
  } catch (error) {
    // what the provider has is refused for what it is, and stays what it is
    if (file !== undefined && !(error instanceof Refusal && error.code === "damaged")) throw error;
    await store.delete(name);
  }
  return use(await fetched());
}

/** Whether a file's tag is its SHA-256, as a provider of facemin writes it; refused where it is that of other bytes. */
async function isNamed(path: string, { data, tag }: File): Promise<boolean> {
  const [, expected] = /^(?:W\/)?"([0-9a-f]{64})"$/.exec(tag) ?? [];
  if (expected === undefined) return false;
  const digest = hex(await sha256(data));
  if (digest !== expected) throw new Refusal("damaged", `${path}: expected SHA-256 ${expected}, got ${digest}`);
  return true;
}
