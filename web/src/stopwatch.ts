// How long each part of an operation takes.

/** Milliseconds by what was done. */
export type Timings = Partial<Record<"detect" | "embed" | "rotate" | "encode" | "ask" | "send", number>>;

/** Adds up what is timed until it is read. */
export class Stopwatch {
  private timings: Timings = {};

  /** Do something and add its time. */
  async timed<T>(what: keyof Timings, work: () => Promise<T>): Promise<T> {
    const began = performance.now();
    try {
      return await work();
    } finally {
      this.add(what, performance.now() - began);
    }
  }

  add(what: keyof Timings, milliseconds: number): void {
    this.timings[what] = (this.timings[what] ?? 0) + milliseconds;
  }

  /** What was added up; it begins anew. */
  read(): Timings {
    const { timings } = this;
    this.timings = {};
    return timings;
  }
}
