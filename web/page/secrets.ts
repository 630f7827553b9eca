// The secrets of this browser, for one collection: the one in use, and the next while a renewal puts it in its place.

import { CaptureLog, EnrolledFace, Refusal, Secret, type Store } from "../src/index.ts";

const SECRET = "secret/default";
/** By collection: where another secret is in use than the default, since that was renewed in one of several. */
const ELSEWHERE = "secret/elsewhere";
/** By collection and person: what a renewal puts in place, until it is known that it did. */
const NEXT = "secret/next";

type Kept = Readonly<Record<string, Uint8Array | undefined>>;

/** What this browser keeps of secrets; whichever goes, the photos that were sent under it go on to count. */
export class Secrets {
  constructor(
    private readonly store: Store,
    private readonly collection: string,
  ) {}

  /** The secret in use; undefined where there is none. */
  async kept(): Promise<Secret | undefined> {
    const elsewhere = await this.table(ELSEWHERE);
    const data = Object.hasOwn(elsewhere, this.collection) ? elsewhere[this.collection] : await this.main();
    return data && Secret.of(data);
  }

  /** The secret in use; refused where there is none. */
  async needed(): Promise<Secret> {
    const secret = await this.kept();
    if (secret === undefined) throw new Refusal("secret", "secret: expected one in this browser, got none yet");
    return secret;
  }

  /** Every other one that lies here. */
  async others(): Promise<readonly Secret[]> {
    const kept = await this.kept();
    const tables = [await this.table(ELSEWHERE), await this.table(NEXT)];
    const found = [await this.main(), ...tables.flatMap((table) => Object.values(table))];
    const secrets = await Promise.all(found.flatMap((data) => (data ? [Secret.of(data)] : [])));
    return secrets.filter((each) => kept === undefined || !each.equals(kept));
  }

  /** Make the first one. */
  async make(): Promise<Secret> {
    if ((await this.kept()) !== undefined) throw new Refusal("secret", "secret: expected none, got one already");
    return this.take(await Secret.make());
  }

  /** Keep a secret from another device. */
  async take(secret: Secret): Promise<Secret> {
    const old = await this.kept();
    if (old !== undefined) await new CaptureLog(this.store, secret).carryOver(old);
    await this.put(secret.data);
    return secret;
  }

  /** Remove the secret in use, and those that would come next in its collection. */
  async forget(): Promise<void> {
    const secret = await this.kept();
    const next = Object.entries(await this.table(NEXT));
    const mine = (name: string): boolean => name.startsWith(`${this.collection} `);
    const gone = next.flatMap(([name, data]) => (data && mine(name) ? [Secret.of(data)] : []));
    for (const each of [...(secret ? [secret] : []), ...(await Promise.all(gone))]) {
      await new CaptureLog(this.store, each).outlive();
    }
    await this.store.put(NEXT, Object.fromEntries(next.filter(([name]) => !mine(name))));
    await this.put(undefined);
  }

  /** The one that a person's renewal puts in place: made once, and the same until it did. */
  async next(person: string): Promise<Secret> {
    return this.store.locked("secrets", async () => {
      const begun = await this.begun(person);
      if (begun !== undefined) return begun;
      const secret = await Secret.make();
      // before anything is sent under it: a lost answer must not lose the secret too
      await this.store.put(NEXT, { ...(await this.table(NEXT)), [this.named(person)]: secret.data });
      return secret;
    });
  }

  /** The one that a person's renewal may have put in place; undefined where none was begun. */
  async begun(person: string): Promise<Secret | undefined> {
    const data = (await this.table(NEXT))[this.named(person)];
    return data && Secret.of(data);
  }

  /** Take the next one into use; the old one stays for other collections that this browser enrolled it in. */
  async promote(person: string): Promise<void> {
    const [old, next] = [await this.needed(), await this.begun(person)];
    if (next === undefined) return;
    const elsewhere = await this.table(ELSEWHERE);
    if (!Object.hasOwn(elsewhere, this.collection)) {
      const enrolled = await new EnrolledFace(this.store, old).purposes();
      const left = enrolled.filter((each) => each !== this.collection && !Object.hasOwn(elsewhere, each));
      const theirs = Object.fromEntries(left.map((each) => [each, old.data]));
      if (left.length) await this.store.put(ELSEWHERE, { ...elsewhere, ...theirs });
    }
    await new CaptureLog(this.store, next).carryOver(old);
    await this.put(next.data);
    const { [this.named(person)]: done, ...rest } = await this.table(NEXT);
    if (done) await this.store.put(NEXT, rest);
  }

  private async put(data: Uint8Array | undefined): Promise<void> {
    const elsewhere = await this.table(ELSEWHERE);
    if (Object.hasOwn(elsewhere, this.collection)) {
      await this.store.put(ELSEWHERE, { ...elsewhere, [this.collection]: data });
    } else if (data === undefined) {
      await this.store.delete(SECRET);
    } else {
      await this.store.put(SECRET, data);
    }
  }

  private named(person: string): string {
    return `${this.collection} ${person}`;
  }

  private async main(): Promise<Uint8Array | undefined> {
    return (await this.store.get(SECRET)) as Uint8Array | undefined;
  }

  private async table(name: string): Promise<Kept> {
    return ((await this.store.get(name)) as Kept | undefined) ?? {};
  }
}
