// Trusted networks: those that pseudonyms are made for without asking; the published list and the person's decisions.

import type { Key } from "./key.ts";
import type { Store } from "./store.ts";

/** The published list, as facemin/keys/trusted_spaces.json has it: SHA-256 of a graph, and its name. */
export const PUBLISHED: ReadonlyMap<string, string> = new Map([
  ["78f8fdc9396a696d7f33adad655fef146ae70ba85f8102afe055c4117763407e", "dlib-resnet29-space66"],
]);

/** Identity of the default key's space. */
export const DEFAULT_SPACE = "554a7ccca1ab3614208451ced9e2219a32a1f26313c964ce6c11d462ef2fcbde";

/** Of the one-pass protector that comes with facemin for the default space, and where a provider serves it. */
export const SHIPPED_PROTECTOR = {
  sha256: "06c765d65927c312b222d4e4f533857d75001682b8ac1a9e82730dafcb9e91e9",
  path: "models/protectors/dlib-resnet29-space66.onnx",
} as const;

/** Cosine from which a device takes two faces for one person's, in the default space: measured at FAR 1e-2. */
export const SAME_PERSON = 0.323510080575943;

interface Decision {
  readonly graph: string;
  readonly name: string;
  readonly reason: string;
  readonly time: string;
}

const NAME = "trusted";

/** Whether pseudonyms are made for a key's network. */
export async function isTrusted(store: Store, key: Key): Promise<boolean> {
  if (PUBLISHED.has(key.manifest.sha256)) return true;
  return (await decisions(store)).some((decision) => decision.graph === key.manifest.sha256);
}

/**
 * Trust a key's network from now on, for the reason that the person gave.
 *
 * From the second upload on a dishonest network can identify the person: say so before.
 */
export async function trust(store: Store, key: Key, reason: string): Promise<void> {
  const { sha256: graph, recogniser: name } = key.manifest;
  await store.locked(NAME, async () => {
    const made: Decision = { graph, name, reason, time: new Date().toISOString() };
    await store.put(NAME, [...(await decisions(store)), made]);
  });
}

async function decisions(store: Store): Promise<readonly Decision[]> {
  return ((await store.get(NAME)) as readonly Decision[] | undefined) ?? [];
}
