// The enrolled face: one person a secret, checked on the device before anything is sent; facemin/pseudonym/enrolled.py.

import { asBytes, base64, fromBase64, hex, utf8 } from "./encoding.ts";
import { Refusal } from "./errors.ts";
import { dot, unit } from "./rotation.ts";
import { seal, unseal } from "./sealing.ts";
import type { Secret } from "./secret.ts";
import type { Store } from "./store.ts";

const USE = "facemin enrolled v1";

interface Entry {
  readonly space: string;
  readonly purpose: string;
  readonly faces: number;
  /** Sum of unit embeddings, float64, in base64. */
  readonly total: string;
}

/** The face that a secret stands for: sums of enrolled embeddings, before any rotation, encrypted under it. */
export class EnrolledFace {
  constructor(
    private readonly store: Store,
    private readonly secret: Secret,
  ) {}

  /** Refuse faces unlike the enrolled one, or unlike the first of themselves. */
  async check(embeddings: readonly Float64Array[], space: Uint8Array, threshold: number): Promise<void> {
    const [first] = embeddings;
    if (first === undefined) return;
    const own = (await this.read()).filter((entry) => entry.space === hex(space)).map((entry) => unit(sum(entry)));
    for (const mean of [...own, first]) {
      const lowest = Math.min(...embeddings.map((embedding) => dot(embedding, mean)));
      if (lowest < threshold) {
        throw new Refusal(
          "other_person",
          `photo: expected the face of one person (cosine ${threshold.toFixed(3)} or more), got ${lowest.toFixed(3)}: ` +
            "one secret is for one person",
        );
      }
    }
  }

  /** Take enrolled faces for the ones that this secret stands for. */
  async remember(embeddings: readonly Float64Array[], space: Uint8Array, purpose: string): Promise<void> {
    await this.store.locked("enrolled", async () => {
      const entries = await this.read();
      const mine = (entry: Entry): boolean => entry.space === hex(space) && entry.purpose === purpose;
      const old = entries.find(mine);
      const rows = [...embeddings, ...(old ? [sum(old)] : [])];
      const [first, ...others] = rows;
      if (first === undefined) return;
      const total = first.map((value, at) => others.reduce((so, row) => so + (row[at] as number), value));
      const entry: Entry = {
        space: hex(space),
        purpose,
        faces: embeddings.length + (old?.faces ?? 0),
        total: base64(new Uint8Array(total.buffer)),
      };
      await this.write([...entries.filter((each) => !mine(each)), entry]);
    });
  }

  /** Whether this browser enrolled somebody for a purpose. */
  async has(purpose: string): Promise<boolean> {
    return (await this.read()).some((entry) => entry.purpose === purpose);
  }

  /** What this browser enrolled somebody for under this secret. */
  async purposes(): Promise<readonly string[]> {
    return (await this.read()).map((entry) => entry.purpose);
  }

  /** Drop what is kept of a purpose. */
  async forget(purpose: string): Promise<void> {
    await this.store.locked("enrolled", async () => {
      await this.write((await this.read()).filter((entry) => entry.purpose !== purpose));
    });
  }

  private async read(): Promise<readonly Entry[]> {
    const sealed = (await this.store.get(this.name)) as Uint8Array | undefined;
    if (sealed === undefined) return [];
    return JSON.parse(new TextDecoder().decode(await unseal(this.secret, sealed, USE))) as Entry[];
  }

  private async write(entries: readonly Entry[]): Promise<void> {
    if (!entries.length) return this.store.delete(this.name);
    return this.store.put(this.name, await seal(this.secret, utf8(JSON.stringify(entries)), USE));
  }

  private get name(): string {
    return `enrolled/${this.secret.fingerprint}`;
  }
}

function sum(entry: Entry): Float64Array {
  return new Float64Array(asBytes(fromBase64(entry.total)).buffer);
}
