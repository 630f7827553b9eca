// The runtime beside the page: its files are checked before any of them runs.

import { Runtime } from "../src/index.ts";
import { verified } from "./verified.ts";

/** Of each file, as the build found it: its SHA-384 in base64. */
declare const RUNTIME: Readonly<Record<string, string>>;

/** Load the runtime from a folder. */
export async function openRuntime(folder: URL): Promise<Runtime> {
  const files = Object.entries(RUNTIME).map(
    async ([name, hash]) => [name, await verified(new URL(name, folder), hash)] as const,
  );
  const found = new Map(await Promise.all(files));
  const wasm = [...found].find(([name]) => name.endsWith(".wasm"))?.[1];
  return Runtime.open({ folder: folder.href, ...(wasm && { wasm }) });
}
