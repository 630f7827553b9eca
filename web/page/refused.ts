// Refusals on their way from the worker to the page.

import { Refusal } from "../src/errors.ts";
import type { Refused } from "./protocol.ts";

/** A refusal as it is told to the page. */
export function refused(error: unknown): Refused {
  if (!(error instanceof Refusal)) return { code: "failed", message: String(error), detail: undefined };
  const { code, message, detail } = error;
  return { code, message, detail };
}
