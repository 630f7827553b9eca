// Templates as a device enrolled them, what probes are compared with; facemin/pseudonym/templates.py.

import { asBytes, base64, fromBase64, utf8 } from "./encoding.ts";
import type { Pseudonym } from "./rotation.ts";
import { seal, unseal } from "./sealing.ts";
import type { Secret } from "./secret.ts";
import type { Store } from "./store.ts";

const USE = "facemin templates v1";

/** By a pseudonym's fingerprint, float64 embeddings in base64. */
type Kept = Readonly<Record<string, readonly string[]>>;

/** Embeddings that were enrolled under each pseudonym of a secret, before the rotation, encrypted under the secret. */
export class EnrolledTemplates {
  constructor(
    private readonly store: Store,
    private readonly secret: Secret,
  ) {}

  /** Keep embeddings that a provider enrolled under a pseudonym. */
  async add(pseudonym: Pseudonym, embeddings: readonly Float64Array[]): Promise<void> {
    const more = embeddings.map((row) => base64(new Uint8Array(Float64Array.from(row).buffer)));
    await this.change((kept) => ({ ...kept, [pseudonym.fingerprint]: [...(kept[pseudonym.fingerprint] ?? []), ...more] }));
  }

  /** What this device enrolled under a pseudonym; none where it knows of nothing. */
  async of(pseudonym: Pseudonym): Promise<readonly Float64Array[]> {
    const rows = (await this.read())[pseudonym.fingerprint] ?? [];
    return rows.map((row) => new Float64Array(asBytes(fromBase64(row)).buffer));
  }

  /** Drop what is kept of a pseudonym. */
  async forget(pseudonym: Pseudonym): Promise<void> {
    await this.change((kept) => Object.fromEntries(Object.entries(kept).filter(([name]) => name !== pseudonym.fingerprint)));
  }

  private async change(how: (kept: Kept) => Kept): Promise<void> {
    await this.store.locked("templates", async () => {
      const kept = how(await this.read());
      if (!Object.keys(kept).length) return this.store.delete(this.name);
      return this.store.put(this.name, await seal(this.secret, utf8(JSON.stringify(kept)), USE));
    });
  }

  private async read(): Promise<Kept> {
    const sealed = (await this.store.get(this.name)) as Uint8Array | undefined;
    return sealed === undefined ? {} : (JSON.parse(new TextDecoder().decode(await unseal(this.secret, sealed, USE))) as Kept);
  }

  private get name(): string {
    return `templates/${this.secret.fingerprint}`;
  }
}
