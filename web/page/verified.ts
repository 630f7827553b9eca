// Files that no HTML vouches for, the worker's script and the runtime: fetched, and held to the hashes of the build.

import { Refusal } from "../src/errors.ts";

/** A file of that URL; refused where its SHA-384, in base64, is another one. */
export async function verified(url: URL, expected: string): Promise<ArrayBuffer> {
  let digest = "";
  // once more past the browser's own cache, which may hold a spoilt one that the server calls unchanged
  for (const cache of ["no-cache", "reload"] as const) {
    const reply = await fetch(url, { cache, credentials: "omit" }).catch(() => undefined);
    if (reply?.ok !== true) break;
    const data = await reply.arrayBuffer();
    digest = btoa(String.fromCharCode(...new Uint8Array(await crypto.subtle.digest("SHA-384", data))));
    if (digest === expected) return data;
  }
  if (!digest) throw new Refusal("unreachable", `${url.pathname}: expected a file, got none`);
  throw new Refusal("damaged", `${url.pathname}: expected SHA-384 ${expected}, got ${digest}`);
}
