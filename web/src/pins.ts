// Whom a key must come from: remembered at its first use, checked at every later one; as facemin/client/pins.py.

import { hex } from "./encoding.ts";
import { Refusal } from "./errors.ts";
import { type Key, type KeyOptions, readKey } from "./key.ts";
import type { Store } from "./store.ts";

/** What is trusted of one provider. */
export interface Pin {
  readonly url: string;
  /** In hexadecimal; undefined where the first key was not signed. */
  readonly signer: string | undefined;
  /** SHA-256 of the latest key file. */
  readonly fingerprint: string;
  /** Of that key, milliseconds: an older one is not taken any more. */
  readonly created: number;
  readonly provider: string;
  readonly recogniser: string;
  readonly space: string | undefined;
  readonly cut: string;
  readonly layers: string;
  readonly features: string;
  readonly residual: number;
}

/** A residual may change by this factor: providers measure anew. */
const RECALIBRATED = 2;
const WORDS = {
  provider: "the provider's name",
  recogniser: "the recogniser",
  space: "the embedding space",
  cut: "the place where the recogniser is cut",
  layers: "the layers that are matched",
  features: "the shape of the features",
} as const;

/** Pins of providers, by URL. */
export class Pins {
  constructor(private readonly store: Store) {}

  /** What is trusted of a provider; undefined before its first use. */
  async pin(url: string): Promise<Pin | undefined> {
    return (await this.store.get(name(url))) as Pin | undefined;
  }

  /**
   * Check a key that a provider sent, and remember it.
   *
   * Any valid key is trusted at the first use. Later a signed one has to be by the same signer, not older, and of the
   * same provider, recogniser, space and cut; an unsigned one the very same.
   */
  async accept(url: string, data: Uint8Array, options: KeyOptions = {}): Promise<Key> {
    const key = await readKey(data, options);
    const pin = await this.pin(url);
    if (pin !== undefined) compare(pin, key);
    await this.store.put(name(url), described(url, key));
    return key;
  }

  /** Trust the provider's next key, whoever made it. */
  async forget(url: string): Promise<void> {
    await this.store.delete(name(url));
  }
}

const name = (url: string): string => `pin/${url}`;

function described(url: string, key: Key): Pin {
  const { manifest } = key;
  return {
    url,
    signer: key.signer && hex(key.signer),
    fingerprint: key.fingerprint,
    created: manifest.created.getTime(),
    provider: manifest.provider,
    recogniser: manifest.recogniser,
    space: key.space && hex(key.space),
    cut: manifest.cut,
    layers: manifest.layers.join(", "),
    features: manifest.features.join(" x "),
    residual: manifest.residual,
  };
}

function compare(pin: Pin, key: Key): void {
  if (key.fingerprint === pin.fingerprint) return;
  const now = described(pin.url, key);
  const changed = (what: string): Refusal => new Refusal("key_changed", `key of ${pin.url}: expected ${what}`);
  if (pin.signer === undefined) {
    throw changed(`the pinned one (${pin.fingerprint.slice(0, 16)}), got ${key.fingerprint.slice(0, 16)}`);
  }
  if (now.signer !== pin.signer) {
    const by = now.signer ?? "nobody: its signature was taken away";
    throw changed(`one signed by ${pin.signer}, got one signed by ${by}`);
  }
  if (now.created < pin.created) {
    throw changed(`one made on ${new Date(pin.created).toISOString()} or later, got an older one`);
  }
  const others = (Object.keys(WORDS) as (keyof typeof WORDS)[]).filter((field) => now[field] !== pin[field]);
  if (others.length) {
    throw changed(`a successor of the pinned one, got another value of ${others.map((at) => WORDS[at]).join(", ")}`);
  }
  const ratio = now.residual / pin.residual;
  if (ratio > RECALIBRATED || ratio < 1 / RECALIBRATED) {
    throw changed(`a residual near ${pin.residual}, got ${now.residual}`);
  }
}
