// Templates as a device enrolled them, what probes are compared with; facemin/pseudonym/probes/templates.py.

import { asBytes, base64, fromBase64, utf8 } from "./encoding.ts";
import type { Pseudonym } from "./rotation.ts";
import { seal, unseal } from "./sealing.ts";
import type { Secret } from "./secret.ts";
import type { Store } from "./store.ts";

const USE = "facemin templates v1";

interface Entry {
  /** An embedding, float64 in base64. */
  readonly row: string;
  /** Whether it was sent as numbers, which miss nothing of it. */
  readonly exact: boolean;
}

/** By a person's name. */
type People = Readonly<Record<string, readonly Entry[]>>;

/** What a device enrolled. */
export interface Templates {
  /** Before the rotation; none where it knows of nothing. */
  readonly rows: readonly Float64Array[];
  /** Whether the provider has all of them as they are; what was enrolled as an image misses its target. */
  readonly exact: boolean;
}

/** Embeddings that were enrolled under each pseudonym of a secret, before the rotation, encrypted under the secret. */
export class EnrolledTemplates {
  constructor(
    private readonly store: Store,
    private readonly secret: Secret,
  ) {}

  /**
   * Keep embeddings that a provider enrolled.
   *
   * @param pseudonym - under which
   * @param person - as the provider calls them
   * @param embeddings - before the rotation
   * @param held - templates that it has of the person under it now; where they are fewer than these and the earlier
   *   ones, the earlier ones are there no more, and are dropped
   * @param exact - whether they were sent as numbers
   */
  async add(
    pseudonym: Pseudonym,
    person: string,
    embeddings: readonly Float64Array[],
    held: number,
    exact: boolean,
  ): Promise<void> {
    const added = embeddings.map((row) => ({ row: base64(new Uint8Array(Float64Array.from(row).buffer)), exact }));
    await this.change(pseudonym, (people) => {
      const all = [...(own(people, person) ?? []), ...added];
      return { ...people, [person]: all.length <= held ? all : added };
    });
  }

  /** What this device enrolled of a person under a pseudonym, of everybody where none is named. */
  async of(pseudonym: Pseudonym, person: string | undefined): Promise<Templates> {
    const people = own(await this.read(), pseudonym.fingerprint) ?? {};
    const entries = person === undefined ? Object.values(people).flat() : (own(people, person) ?? []);
    return {
      rows: entries.map(({ row }) => new Float64Array(asBytes(fromBase64(row)).buffer)),
      exact: entries.every(({ exact }) => exact),
    };
  }

  /** Drop what is kept of a person under a pseudonym, of everybody where none is named. */
  async forget(pseudonym: Pseudonym, person: string | undefined): Promise<void> {
    await this.change(pseudonym, (people) =>
      Object.fromEntries(Object.entries(people).filter(([name]) => person !== undefined && name !== person)),
    );
  }

  private async change(pseudonym: Pseudonym, how: (people: People) => People): Promise<void> {
    await this.store.locked("templates", async () => {
      const { [pseudonym.fingerprint]: people = {}, ...others } = await this.read();
      const changed = how(people);
      const kept = Object.keys(changed).length ? { ...others, [pseudonym.fingerprint]: changed } : others;
      if (!Object.keys(kept).length) return this.store.delete(this.name);
      return this.store.put(this.name, await seal(this.secret, utf8(JSON.stringify(kept)), USE));
    });
  }

  /** By a pseudonym's fingerprint. */
  private async read(): Promise<Readonly<Record<string, People>>> {
    const sealed = (await this.store.get(this.name)) as Uint8Array | undefined;
    if (sealed === undefined) return {};
    const text = new TextDecoder().decode(await unseal(this.secret, sealed, USE));
    return JSON.parse(text) as Readonly<Record<string, People>>;
  }

  private get name(): string {
    return `templates/${this.secret.fingerprint}`;
  }
}

/** A value under a name, which may be one that every object has. */
function own<Value>(table: Readonly<Record<string, Value>>, name: string): Value | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined;
}
