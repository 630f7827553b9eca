// Calls of the worker, as promises.

import type { Call, Engine, Refused, Said } from "./protocol.ts";
import type { Part } from "../src/index.ts";

/** What the worker refused. */
export class Failure extends Error {
  constructor(readonly refused: Refused) {
    super(refused.message);
  }
}

/** The worker's methods; `onPart` is told how much of a file is there. */
export function engine(onPart: (part: Part, loaded: number, total: number) => void): Engine {
  const worker = new Worker(new URL("engine.js", document.baseURI), { type: "module", name: "facemin" });
  const waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: Failure) => void }>();
  let last = 0;
  const failed = (message: string): Failure => new Failure({ code: "failed", message, detail: undefined });

  worker.onmessage = ({ data: said }: MessageEvent<Said>) => {
    if (said.kind === "part") {
      onPart(said.part, said.loaded, said.total);
      return;
    }
    const call = waiting.get(said.id);
    waiting.delete(said.id);
    if (said.kind === "done") call?.resolve(said.value);
    else call?.reject(new Failure(said.refusal));
  };
  worker.onerror = (event) => {
    for (const call of waiting.values()) call.reject(failed(event.message || "the worker did not start"));
    waiting.clear();
  };

  const call = (method: keyof Engine, args: readonly unknown[]): Promise<unknown> =>
    new Promise((resolve, reject) => {
      last += 1;
      waiting.set(last, { resolve, reject });
      const message: Call = { id: last, method, args };
      worker.postMessage(
        message,
        args.filter((each) => each instanceof ImageBitmap),
      );
    });

  return new Proxy({} as Engine, {
    get:
      (_, method: string) =>
      (...args: readonly unknown[]) =>
        call(method as keyof Engine, args),
  });
}
