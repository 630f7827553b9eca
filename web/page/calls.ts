// Calls of the worker, as promises.

import type { Part } from "../src/index.ts";
import type { Call, Engine, Refused, Said } from "./protocol.ts";
import { refused } from "./refused.ts";
import { verified } from "./verified.ts";

/** SHA-384 of the worker's script in base64, as the build found it. */
declare const ENGINE: string;

/** What the worker refused. */
export class Failure extends Error {
  constructor(readonly refused: Refused) {
    super(refused.message);
  }
}

/** The worker's methods; `onPart` is told how much of a file is there. */
export function engine(onPart: (part: Part, loaded: number, total: number) => void): Engine {
  const waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: Failure) => void }>();
  let last = 0;
  const end = (error: unknown): void => {
    for (const call of waiting.values()) call.reject(new Failure(refused(error)));
    waiting.clear();
  };
  const listen = ({ data: said }: MessageEvent<Said>): void => {
    if (said.kind === "part") {
      onPart(said.part, said.loaded, said.total);
      return;
    }
    const call = waiting.get(said.id);
    waiting.delete(said.id);
    if (said.kind === "done") call?.resolve(said.value);
    else call?.reject(new Failure(said.refusal));
  };
  const started = start(listen, end);
  // each call is told
  started.catch(() => undefined);

  const call = (method: keyof Engine, args: readonly unknown[]): Promise<unknown> =>
    new Promise((resolve, reject) => {
      last += 1;
      waiting.set(last, { resolve, reject });
      const message: Call = { id: last, method, args };
      const given = args.filter((each) => each instanceof ImageBitmap);
      started.then((worker) => worker.postMessage(message, given)).catch(end);
    });

  return new Proxy({} as Engine, {
    get:
      (_, method: string) =>
      (...args: readonly unknown[]) =>
        call(method as keyof Engine, args),
  });
}

async function start(listen: (event: MessageEvent<Said>) => void, end: (error: unknown) => void): Promise<Worker> {
  const script = new URL("engine.js", document.baseURI);
  await verified(script, ENGINE);
  const worker = new Worker(script, { type: "module", name: "facemin" });
  worker.onmessage = listen;
  worker.onerror = (event) => end(event.message || "the worker did not start");
  return worker;
}
