// Uploads under a pseudonym: checked, rotated and signed on the person's own device; facemin/client/pseudonymous.py.

import { CaptureLog } from "./captures.ts";
import type { Device } from "./device.ts";
import { type Bytes, base64, hex, sha256, utf8 } from "./encoding.ts";
import { EnrolledFace } from "./enrolled.ts";
import { encodeFeature } from "./feature.ts";
import type { Pixels } from "./image.ts";
import { encodePng } from "./png.ts";
import { type Operation, PossessionKey } from "./possession.ts";
import type { ReadFace } from "./read.ts";
import { Pseudonym, dot } from "./rotation.ts";
import { scorePreserving } from "./score_preserving.ts";
import type { Secret } from "./secret.ts";
import type { Stopwatch } from "./stopwatch.ts";
import type { Store } from "./store.ts";
import { strangerThreshold } from "./stranger.ts";
import { EnrolledTemplates, type Templates } from "./templates.ts";
import { DEFAULT_SPACE, SAME_PERSON } from "./trust.ts";

/** In which form uploads go: numbers, or an image painted for them. */
export type Form = "feature" | "image";

/** A face that is sent to be compared, not to be enrolled. */
export interface Probe {
  /** With whose templates; everybody's when undefined. */
  readonly person: string | undefined;
  /** Cosine that decides; undefined to keep all cosines, for a decision by another one. */
  readonly threshold: number | undefined;
}

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

/** One face's upload as the provider takes it. */
export interface Upload {
  readonly kind: Form;
  readonly key_id: string;
  readonly data: string;
  readonly pseudonym: { readonly space: string; readonly epoch: number };
  readonly possession: { readonly public_key: string; readonly signature: string };
}

/** What a sender is made of. */
export interface SenderOptions {
  readonly device: Device;
  /** URL of the provider. */
  readonly origin: string;
  readonly store: Store;
  readonly secret: Secret;
  /** The person's other secrets, under which no photo may be sent again. */
  readonly others: readonly Secret[];
  readonly collection: string;
}

/** FAR of strangers from which a device takes two faces for one person's, in a space that nobody measured. */
const STRANGERS = 1e-3;
/** How far above the threshold a score is kept, so that neither rounding nor a painted image changes a decision: by the
 * less exact of the forms in which the probe goes and the templates went. */
const FEATURE_MARGIN = 0.01;
const IMAGE_MARGIN = 0.2;
/** How far a provider's score lies below the probe's own, at most, where both compare with the same templates. */
const FEATURE_TOLERANCE = 0.01;
const IMAGE_TOLERANCE = 0.15;

/** One secret at one provider, for one collection. */
export class Sender {
  private readonly made = new WeakMap<ReadFace, Map<string, Promise<Sent>>>();

  constructor(
    private readonly options: SenderOptions,
    private readonly watch: Stopwatch,
  ) {}

  /** Refuse faces unlike each other, or unlike the enrolled one. */
  async checkPerson(faces: readonly ReadFace[]): Promise<void> {
    const { device } = this.options;
    const space = hex(device.space);
    const limit = space === DEFAULT_SPACE ? SAME_PERSON : strangerThreshold(STRANGERS, device.embedder.dimension);
    const rows = faces.map((face) => face.embedding);
    await this.enrolled.check(rows, device.space, limit);
  }

  /**
   * Take enrolled faces for the ones that this secret stands for, and for what a person is compared with.
   *
   * @param faces - as they were enrolled
   * @param epoch - of the pseudonym
   * @param form - in which they were sent
   * @param person - as the provider calls them
   * @param held - templates that it has of them under it now
   */
  async remember(faces: readonly ReadFace[], epoch: number, form: Form, person: string, held: number): Promise<void> {
    const rows = faces.map((face) => face.embedding);
    await this.enrolled.remember(rows, this.options.device.space, this.options.collection);
    await this.templates.add(await this.pseudonym(epoch), person, rows, held, form === "feature");
  }

  /** What is sent of each of several faces. */
  encode(faces: readonly ReadFace[], epoch: number, form: Form, probe?: Probe): Promise<Sent[]> {
    return Promise.all(faces.map((face) => this.encodeOne(face, epoch, form, probe)));
  }

  /**
   * What is sent of a face: made once for each face, pseudonym and use, so that what was shown is what is sent.
   *
   * @param face - as read
   * @param epoch - of the pseudonym
   * @param form - in which it is sent
   * @param probe - of a face that is to be compared: no more of it than the decision needs, where this device knows of
   *   what was enrolled; all of it when left out
   */
  async encodeOne(face: ReadFace, epoch: number, form: Form, probe?: Probe): Promise<Sent> {
    const templates = probe && (await this.templates.of(await this.pseudonym(epoch), probe.person));
    const use = templates?.rows.length ? `${templates.rows.length} ${probe?.threshold}` : "whole";
    const own = this.made.get(face) ?? new Map<string, Promise<Sent>>();
    this.made.set(face, own);
    const name = `${epoch} ${form} ${this.options.device.key.manifest.keyId} ${use}`;
    const found = own.get(name) ?? this.encodeNow(face, epoch, form, templates, probe?.threshold);
    own.set(name, found);
    found.catch(() => own.delete(name));
    return found;
  }

  private async encodeNow(
    face: ReadFace,
    epoch: number,
    form: Form,
    templates: Templates | undefined,
    threshold: number | undefined,
  ): Promise<Sent> {
    const { device } = this.options;
    const target = await this.watch.timed("rotate", async () => {
      const known = templates?.rows.length ? templates : undefined;
      const kept = known ? await reduced(face.embedding, known, form, threshold) : face.embedding;
      return (await this.pseudonym(epoch)).target(kept);
    });
    return this.watch.timed("encode", async () => {
      if (form === "feature") {
        return { form, data: encodeFeature(target, device.key), target, image: undefined, residual: undefined };
      }
      const { pixels: image, residual } = await (await device.paint()).make(target);
      return { form, data: await encodePng(image), target, image, residual };
    });
  }

  /**
   * Forget templates with which a refused probe has a higher score than the provider's: another device has put others
   * in their place. What is sent next is the whole embedding again.
   *
   * @param sent - the probe
   * @param epoch - of the pseudonym
   * @param person - as for `Probe`
   * @param score - of the provider
   * @returns whether so it was
   */
  async checkTemplates(sent: Sent, epoch: number, person: string | undefined, score: number): Promise<boolean> {
    const pseudonym = await this.pseudonym(epoch);
    const { rows, exact } = await this.templates.of(pseudonym, person);
    const own = rows.map((row) => dot(pseudonym.target(row), sent.target));
    const tolerance = exact && sent.form === "feature" ? FEATURE_TOLERANCE : IMAGE_TOLERANCE;
    if (!(Math.max(...own) - score > tolerance)) return false;
    await this.templates.forget(pseudonym, person);
    return true;
  }

  /** Note faces as sent, once for each call, which may be sent again for a rotated key. */
  async claim(faces: readonly ReadFace[], epoch: number, claimed: Set<string>): Promise<void> {
    const name = (await this.pseudonym(epoch)).fingerprint;
    if (claimed.has(name)) return;
    await this.captures.claim(crops(faces), name);
    claimed.add(name);
  }

  /** Refuse faces that claiming would refuse, unless this call claimed them. */
  async checkUnsent(faces: readonly ReadFace[], epoch: number, claimed: ReadonlySet<string>): Promise<void> {
    const name = (await this.pseudonym(epoch)).fingerprint;
    if (!claimed.has(name)) await this.captures.check(crops(faces), name);
  }

  private get captures(): CaptureLog {
    const { store, secret, others } = this.options;
    return new CaptureLog(store, secret, others);
  }

  private pseudonym(epoch: number): Promise<Pseudonym> {
    const { device, origin, collection, secret } = this.options;
    return Pseudonym.derive(secret, {
      origin,
      signer: device.key.signer ?? new Uint8Array(),
      space: device.space,
      dimension: device.embedder.dimension,
      purpose: collection,
      epoch,
    });
  }

  /** What uploads are signed with: the same for every key, space and epoch. */
  possession(): Promise<PossessionKey> {
    return PossessionKey.derive(this.options.secret, this.options.origin, this.options.collection);
  }

  /**
   * Uploads as they are sent, each signed.
   *
   * @param sent - as `encode` gave it
   * @param epoch - as for `encode`
   * @param challenge - of the provider
   * @param operation - that they are for
   * @param person - as the provider calls them; empty where that is asked
   * @param digest - what is signed in place of an upload's SHA-256, for the probe of a renewal
   */
  async uploads(
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

  /** The face that the secret stands for. */
  get enrolled(): EnrolledFace {
    return new EnrolledFace(this.options.store, this.options.secret);
  }

  private get templates(): EnrolledTemplates {
    return new EnrolledTemplates(this.options.store, this.options.secret);
  }
}

function crops(faces: readonly ReadFace[]): Pixels[] {
  return faces.map((face) => face.crop);
}

/** What a probe keeps of an embedding. */
function reduced(
  embedding: Float64Array,
  { rows, exact }: Templates,
  form: Form,
  threshold: number | undefined,
): Promise<Float64Array> {
  const margin = exact && form === "feature" ? FEATURE_MARGIN : IMAGE_MARGIN;
  const most = threshold === undefined ? undefined : Math.min(Math.max(threshold + margin, 0), 1);
  return scorePreserving(embedding, rows, crypto.getRandomValues(new Uint8Array(32)), most);
}
