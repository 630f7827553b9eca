// Refusals, each with a stable code for programs and words for people.

/** What a client refuses to do, or a provider refused. */
export type RefusalCode =
  | "photo" // unreadable or too large
  | "no_face"
  | "other_person"
  | "reused" // the photo was sent before
  | "key" // not a key, or changed since it was made
  | "damaged" // other bytes of a file than its hash says
  | "key_expired"
  | "key_changed" // not the pinned one, nor its successor
  | "no_space"
  | "untrusted" // a network that is not on the published list
  | "protector"
  | "not_reached" // an image misses its target
  | "secret"
  | "stored" // what this browser keeps is damaged
  | "browser" // it lacks something
  | "input"
  | "insecure" // plain http, to another machine
  | "token" // not a session's
  | "unreachable"
  | "provider";

/** What a provider said. */
export interface RefusalDetail {
  readonly code: string;
  readonly status: number;
  readonly tries?: number;
}

/** Something that was refused, and nothing was sent; or what a provider refused. */
export class Refusal extends Error {
  override readonly name = "Refusal";

  /**
   * @param code - for programs
   * @param message - what was expected and what came
   * @param detail - of a provider's refusal: its own code, the HTTP status, and how often the request was sent
   */
  constructor(
    readonly code: RefusalCode,
    message: string,
    readonly detail: RefusalDetail | undefined = undefined,
  ) {
    super(message);
  }
}
