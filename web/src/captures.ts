// Captures already sent: none is sent under two rotations, and none twice; as facemin/pseudonym/captures.py.

import { SIDE } from "./align.ts";
import { type Bytes, concat, fromHex, hex } from "./encoding.ts";
import { Refusal } from "./errors.ts";
import type { Pixels } from "./image.ts";
import { seal, unseal } from "./sealing.ts";
import { Secret } from "./secret.ts";
import type { Store } from "./store.ts";

/** Share of differing bits up to which two faces are one capture. */
export const SAME_CAPTURE = 0.2;
const BITS = 256;
const FREQUENCIES = 16;
const HASH_BYTES = BITS / 8;
const USE = "facemin captures v1";

const KEEPER = "captures/keeper";

/**
 * What was sent under a secret: a perceptual hash of each face, encrypted under the secret.
 *
 * What was sent under secrets that were removed from this browser counts as well. It is encrypted under a key that lies
 * in the browser beside it: whoever has the unlocked device can read 256 signs of each face that was sent.
 */
export class CaptureLog {
  constructor(
    private readonly store: Store,
    private readonly secret: Secret,
    /** The person's other secrets: the same photo links across secrets too. */
    private readonly others: readonly Secret[] = [],
  ) {}

  /**
   * Note faces of one upload as sent, before it is sent; refuse where one was sent before.
   *
   * @param faces - aligned; they may be alike among themselves
   * @param pseudonym - fingerprint of the rotation they are sent under
   */
  async claim(faces: readonly Pixels[], pseudonym: string): Promise<void> {
    const hashes = faces.map(captureHash);
    const name = fromHex(pseudonym);
    await this.store.locked("captures", async () => {
      await this.checkHashes(hashes, pseudonym);
      await this.append(hashes.map((own) => concat([own, name])));
    });
  }

  /** Refuse faces that claiming would refuse, and note nothing. */
  async check(faces: readonly Pixels[], pseudonym: string): Promise<void> {
    await this.checkHashes(faces.map(captureHash), pseudonym);
  }

  private async checkHashes(hashes: readonly Bytes[], pseudonym: string): Promise<void> {
    for (const record of await this.read()) {
      if (!hashes.some((own) => hashDistance(own, record.subarray(0, HASH_BYTES)) <= SAME_CAPTURE)) continue;
      const same = hex(record.subarray(HASH_BYTES)) === pseudonym;
      const why = same
        ? "it was sent already, and nothing is sent twice"
        : "it was sent under another pseudonym, and the same photo under two links them";
      throw new Refusal("reused", `photo: expected one that was not sent before, got one whose copy was: ${why}`);
    }
  }

  /** Whether a face was sent before, under any pseudonym of this secret, another or a removed one. */
  async has(face: Pixels): Promise<boolean> {
    const own = captureHash(face);
    return (await this.read()).some((known) => hashDistance(own, known.subarray(0, HASH_BYTES)) <= SAME_CAPTURE);
  }

  /** Take what was sent under an old secret into this one's log, and delete the old one's. */
  async carryOver(old: Secret): Promise<void> {
    if (old.equals(this.secret)) return;
    await this.store.locked("captures", () => this.take(old));
  }

  /** Let what was sent go on to count once this secret is removed, whatever secret comes next. */
  async outlive(): Promise<void> {
    await this.store.locked("captures", async () => {
      const keeper = (await this.keeper()) ?? (await Secret.make());
      await this.store.put(KEEPER, keeper.data);
      await new CaptureLog(this.store, keeper).take(this.secret);
    });
  }

  private async take(old: Secret): Promise<void> {
    const from = new CaptureLog(this.store, old);
    await this.append(await from.own());
    await this.store.delete(from.name);
  }

  private async append(records: readonly Uint8Array[]): Promise<void> {
    const sealed = await Promise.all(records.map((record) => seal(this.secret, record, USE)));
    await this.store.put(this.name, [...(await this.sealed()), ...sealed]);
  }

  private async read(): Promise<Bytes[]> {
    const others = this.others.filter((other) => !other.equals(this.secret));
    const keeper = await this.keeper();
    const logs = [...others, ...(keeper ? [keeper] : [])].map((other) => new CaptureLog(this.store, other).own());
    return [...(await this.own()), ...(await Promise.all(logs)).flat()];
  }

  /** What was sent under this very secret. */
  private async own(): Promise<Bytes[]> {
    return Promise.all((await this.sealed()).map((record) => unseal(this.secret, record, USE)));
  }

  /** The key of what was sent under removed secrets; undefined where none was removed. */
  private async keeper(): Promise<Secret | undefined> {
    const data = (await this.store.get(KEEPER)) as Uint8Array | undefined;
    return data && Secret.of(data);
  }

  private async sealed(): Promise<readonly Uint8Array[]> {
    return ((await this.store.get(this.name)) as readonly Uint8Array[] | undefined) ?? [];
  }

  private get name(): string {
    return `captures/${this.secret.fingerprint}`;
  }
}

/**
 * Perceptual hash of an aligned face: signs of the 16 x 16 lowest frequencies of its luma, the mean left out; 32 bytes.
 *
 * Source: the DCT hash of Zauner, Implementation and benchmarking of perceptual image hash functions, 2010.
 */
export function captureHash(face: Pixels): Bytes {
  if (face.width !== SIDE || face.height !== SIDE) {
    throw new Refusal("input", `face: expected ${SIDE} x ${SIDE}, got ${face.width} x ${face.height}`);
  }
  const luma = Float64Array.from({ length: SIDE * SIDE }, (_, at) => {
    const [r, g, b] = face.data.subarray(3 * at, 3 * at + 3) as unknown as [number, number, number];
    return 0.299 * r + 0.587 * g + 0.114 * b;
  });
  // columns first: sums[f][x] of the rows, weighed by the vertical wave f
  const sums = WAVES.map((wave) =>
    Float64Array.from({ length: SIDE }, (_, x) => wave.reduce((sum, weight, y) => sum + weight * at(luma, y, x), 0)),
  );
  const hash = new Uint8Array(HASH_BYTES);
  sums.forEach((line, vertical) => {
    WAVES.forEach((wave, horizontal) => {
      const coefficient = wave.reduce((sum, weight, x) => sum + weight * (line[x] as number), 0);
      const bit = vertical * FREQUENCIES + horizontal;
      if (coefficient > 0) hash[bit >> 3] = (hash[bit >> 3] as number) | (128 >> (bit & 7));
    });
  });
  return hash;
}

const at = (luma: Float64Array, y: number, x: number): number => luma[y * SIDE + x] as number;

const WAVES = Array.from({ length: FREQUENCIES }, (_, frequency) =>
  Float64Array.from({ length: SIDE }, (_unused, place) => Math.cos((Math.PI / SIDE) * (frequency + 1) * (place + 0.5))),
);

/** Share of differing bits of two hashes, or of one and the other's mirror image if that is less. */
export function hashDistance(first: Uint8Array, second: Uint8Array): number {
  let [plain, mirror] = [0, 0];
  first.forEach((byte, place) => {
    const apart = byte ^ (second[place] as number);
    plain += ones(apart);
    // bits that a mirror image inverts: odd horizontal frequencies, which stand first, third, ... in each row
    mirror += ones(apart ^ 0b10101010);
  });
  return Math.min(plain, mirror) / BITS;
}

function ones(byte: number): number {
  let count = 0;
  for (let rest = byte; rest; rest &= rest - 1) count += 1;
  return count;
}
