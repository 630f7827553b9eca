// Refusals, each with a stable code for programs and words for people.

/** What a client refuses to do, or a provider refused. */
export type RefusalCode =
  | "photo" // unreadable or too large
  | "no_face"
  | "other_person"
  | "reused" // the photo was sent before
  | "key" // not a key, or changed since it was made
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
  | "unreachable"
  | "provider";

/** Something that was refused, and nothing was sent; or what a provider refused. */
export class Refusal extends Error {
  override readonly name = "Refusal";

  /**
   * @param code - for programs
   * @param message - what was expected and what came
   * @param detail - of a provider's refusal: its own code and the HTTP status
   */
  constructor(
    readonly code: RefusalCode,
    message: string,
    readonly detail: { readonly code: string; readonly status: number } | undefined = undefined,
  ) {
    super(message);
  }
}
