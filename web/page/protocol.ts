// What the page asks its worker for, and how the two talk.

import type { Complaint, Decision, Form, Held, Part, RefusalCode, RefusalDetail, Timings } from "../src/index.ts";

/** An image as it goes to a canvas. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  /** RGBA. */
  readonly data: Uint8ClampedArray<ArrayBuffer>;
}

/** Left, top, right, bottom, as parts of the photo's sides. */
export type Frame = readonly [number, number, number, number];

/** What was seen in a photo. */
export interface Look {
  /** Names the face that was read; undefined where there is none. */
  readonly face: number | undefined;
  readonly frames: readonly Frame[];
  readonly complaints: readonly Complaint[];
  /** The aligned face, which stays here. */
  readonly crop: Picture | undefined;
  /** Whether the photo was sent before. */
  readonly sentBefore: boolean;
  readonly milliseconds: number;
}

/** The provider's key, for people. */
export interface KeyShown {
  readonly provider: string;
  readonly recogniser: string;
  readonly fingerprint: string;
  readonly signer: string | undefined;
  readonly expires: string | undefined;
  /** Whether it was known before. */
  readonly known: boolean;
}

/** What is sent of a face. */
export interface SentShown {
  readonly form: Form;
  readonly bytes: number;
  readonly numbers: Float32Array;
  readonly image: Picture | undefined;
  readonly residual: number | undefined;
}

/** An answer of the provider, and how long each part of it took, milliseconds. */
export interface Answered<T> {
  readonly answer: T;
  readonly timings: Timings;
  /** Whether a refusal came of another device's enrolment in the place of this one's. */
  readonly elsewhere: boolean;
}

/** What a renewal changes: the epoch alone, or the secret too. */
export type Renewal = "epoch" | "secret";

/** What the provider holds, and whether that showed that a renewal did put the next secret in place. */
export interface HeldHere {
  readonly held: Held | undefined;
  readonly renewed: boolean;
}

/** A session with a provider, as the page was opened with it. */
export interface Session {
  readonly url: string;
  readonly token: string | undefined;
  readonly collection: string;
  /** Undefined where the session is for identifying. */
  readonly person: string | undefined;
}

/** What the worker does. */
export interface Engine {
  /** Load the runtime and the provider's key, checked and pinned. */
  start(session: Session): Promise<KeyShown>;
  /** Fingerprint of the pinned key. */
  pinned(): Promise<string | undefined>;
  /** Trust the provider's next key. */
  forgetKey(): Promise<void>;
  /** Trust the key's network, although it is not on the published list. */
  trust(reason: string): Promise<void>;
  /** Load the networks. */
  load(): Promise<{ readonly threads: number }>;
  /** Fingerprint of this browser's secret; undefined where there is none. */
  secret(): Promise<string | undefined>;
  makeSecret(): Promise<string>;
  takeWords(words: string): Promise<string>;
  takeFile(text: string): Promise<string>;
  takeCode(text: string): Promise<string>;
  /** The text of a QR code in a camera's frame; undefined where there is none. The bitmap is closed. */
  readCode(frame: ImageBitmap): Promise<string | undefined>;
  words(): Promise<string>;
  /** Words of the secret that a renewal puts in place; they are the same until it did. */
  nextWords(): Promise<string>;
  file(): Promise<string>;
  code(): Promise<string>;
  forgetSecret(): Promise<void>;
  /** Find and read the face of a photo; the bitmap is closed. */
  look(photo: ImageBitmap): Promise<Look>;
  /** A quick look at a camera's frame, made smaller by `scale`; the bitmap is closed. */
  glance(frame: ImageBitmap, scale: number): Promise<Pick<Look, "frames" | "complaints">>;
  /** What would be sent; of a face that a renewal enrols, what would be sent for that. */
  preview(face: number, form: Form | "auto", renewal?: Renewal): Promise<SentShown>;
  held(): Promise<HeldHere>;
  enrol(face: number, form: Form | "auto"): Promise<Answered<string>>;
  verify(face: number, form: Form | "auto"): Promise<Answered<Decision>>;
  identify(face: number, form: Form | "auto"): Promise<Answered<readonly Decision[]>>;
  renew(probe: number, face: number, form: Form | "auto", renewal: Renewal): Promise<Answered<number>>;
  remove(): Promise<void>;
}

/** A call of the page. */
export interface Call {
  readonly id: number;
  readonly method: keyof Engine;
  readonly args: readonly unknown[];
}

/** What the worker says. */
export type Said =
  | { readonly kind: "done"; readonly id: number; readonly value: unknown }
  | { readonly kind: "refused"; readonly id: number; readonly refusal: Refused }
  | { readonly kind: "part"; readonly part: Part; readonly loaded: number; readonly total: number };

/** A refusal on its way from the worker. */
export interface Refused {
  readonly code: RefusalCode | "failed";
  readonly message: string;
  readonly detail: RefusalDetail | undefined;
}
