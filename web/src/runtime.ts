// ONNX Runtime Web: networks run on WebAssembly, or on a GPU where the caller brings that build.

import type * as Ort from "onnxruntime-web/wasm";

import { asBytes } from "./encoding.ts";
import { Refusal } from "./errors.ts";

/** Numbers and their shape. */
export interface Tensor {
  readonly data: Float32Array;
  readonly dims: readonly number[];
}

/** A network that is ready to run. */
export interface Network {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** Run it; runs of one network follow one another. */
  run(feeds: Readonly<Record<string, Tensor>>): Promise<Readonly<Record<string, Tensor>>>;
}

/** How networks are run. */
export interface RuntimeOptions {
  /** Folder of the runtime's .mjs and .wasm, such as "/ort/"; where the bundler put them when left out. */
  readonly folder?: string;
  /** The runtime's .wasm itself, where it was fetched and checked before; from `folder` when left out. */
  readonly wasm?: ArrayBuffer;
  /** Threads; more than one needs cross-origin isolation. As many as there are cores, at most four, when left out. */
  readonly threads?: number;
  /** The runtime itself: `await import("onnxruntime-web/webgpu")` for a GPU; that for WebAssembly when left out. */
  readonly ort?: typeof Ort;
  /** Where networks run; "webgpu" needs the runtime for it. */
  readonly device?: "wasm" | "webgpu";
}

const MOST_THREADS = 4;

/** Opens networks. */
export class Runtime {
  private constructor(
    private readonly ort: typeof Ort,
    readonly device: "wasm" | "webgpu",
    readonly threads: number,
  ) {}

  /** Load the runtime. */
  static async open(options: RuntimeOptions = {}): Promise<Runtime> {
    const { device = "wasm", folder, wasm, threads = threadsHere() } = options;
    let ort: typeof Ort;
    try {
      ort = options.ort ?? (await import("onnxruntime-web/wasm"));
    } catch {
      throw new Refusal("browser", "runtime: expected the files of onnxruntime-web beside the page, got none");
    }
    if (folder !== undefined) ort.env.wasm.wasmPaths = folder;
    if (wasm !== undefined) ort.env.wasm.wasmBinary = wasm;
    ort.env.wasm.numThreads = threads;
    ort.env.logLevel = "error";
    return new Runtime(ort, device, threads);
  }

  /** Open a network from an ONNX file's bytes. */
  async network(model: Uint8Array): Promise<Network> {
    const { ort, device } = this;
    let session: Ort.InferenceSession;
    try {
      session = await ort.InferenceSession.create(asBytes(model), {
        executionProviders: [device],
        graphOptimizationLevel: "all",
        logSeverityLevel: 3,
      });
    } catch (error) {
      throw new Refusal("browser", `network: expected one that this browser runs, got: ${String(error)}`);
    }
    let last: Promise<unknown> = Promise.resolve();
    const run = async (feeds: Readonly<Record<string, Tensor>>): Promise<Readonly<Record<string, Tensor>>> => {
      const given = Object.entries(feeds).map(([name, { data, dims }]) => [
        name,
        new ort.Tensor("float32", data, [...dims]),
      ]);
      const made = await session.run(Object.fromEntries(given) as Record<string, Ort.Tensor>);
      const read = Object.entries(made).map(async ([name, tensor]) => {
        const data = (await tensor.getData()) as Float32Array;
        return [name, { data, dims: tensor.dims }] as const;
      });
      return Object.fromEntries(await Promise.all(read));
    };
    return {
      inputs: session.inputNames,
      outputs: session.outputNames,
      run: (feeds) => {
        const mine = last.then(() => run(feeds));
        last = mine.catch(() => undefined);
        return mine;
      },
    };
  }
}

function threadsHere(): number {
  if (!globalThis.crossOriginIsolated) return 1;
  return Math.min(Math.max(navigator.hardwareConcurrency || 1, 1), MOST_THREADS);
}

/** The output of a name, or a refusal. */
export function output(made: Readonly<Record<string, Tensor>>, name: string): Tensor {
  const found = made[name];
  if (found === undefined) throw new Refusal("browser", `network: expected an output ${name}, got none`);
  return found;
}
