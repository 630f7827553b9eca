// What a browser keeps: values by name, in IndexedDB, or in memory for tests and private windows.

import { Refusal } from "./errors.ts";

/** Values by name; whatever a structured clone copies. */
export interface Store {
  get(name: string): Promise<unknown>;
  put(name: string, value: unknown): Promise<void>;
  delete(name: string): Promise<void>;
  /** Do something while nobody else does anything under the same lock, in any tab. */
  locked<T>(lock: string, work: () => Promise<T>): Promise<T>;
}

/** Kept until the page is closed. */
export class MemoryStore implements Store {
  private readonly values = new Map<string, unknown>();
  private readonly queues = new Queues();

  get(name: string): Promise<unknown> {
    return Promise.resolve(structuredClone(this.values.get(name)));
  }

  put(name: string, value: unknown): Promise<void> {
    this.values.set(name, structuredClone(value));
    return Promise.resolve();
  }

  delete(name: string): Promise<void> {
    this.values.delete(name);
    return Promise.resolve();
  }

  locked<T>(lock: string, work: () => Promise<T>): Promise<T> {
    return this.queues.run(lock, work);
  }
}

const TABLE = "kept";

/** Kept in IndexedDB until the person deletes it, or the site's data. */
export class BrowserStore implements Store {
  private readonly queues = new Queues();

  private constructor(private readonly database: IDBDatabase) {}

  /** Open it; refused where the browser keeps nothing. */
  static async open(name = "facemin"): Promise<BrowserStore> {
    try {
      const request = indexedDB.open(name, 1);
      request.onupgradeneeded = () => request.result.createObjectStore(TABLE);
      return new BrowserStore(await done(request));
    } catch {
      throw new Refusal("browser", "browser: expected it to keep a secret (IndexedDB), got one that keeps nothing");
    }
  }

  get(name: string): Promise<unknown> {
    return done(this.table("readonly").get(name));
  }

  async put(name: string, value: unknown): Promise<void> {
    const table = this.table("readwrite");
    table.put(value, name);
    await committed(table.transaction);
  }

  async delete(name: string): Promise<void> {
    const table = this.table("readwrite");
    table.delete(name);
    await committed(table.transaction);
  }

  async locked<T>(lock: string, work: () => Promise<T>): Promise<T> {
    if (globalThis.navigator?.locks === undefined) return this.queues.run(lock, work);
    return (await navigator.locks.request(`facemin ${lock}`, work)) as T;
  }

  private table(mode: IDBTransactionMode): IDBObjectStore {
    return this.database.transaction(TABLE, mode, { durability: "strict" }).objectStore(TABLE);
  }
}

class Queues {
  private readonly last = new Map<string, Promise<unknown>>();

  run<T>(lock: string, work: () => Promise<T>): Promise<T> {
    const mine = (this.last.get(lock) ?? Promise.resolve()).then(work);
    this.last.set(
      lock,
      mine.catch(() => undefined),
    );
    return mine;
  }
}

function done<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error("IndexedDB"));
  });
}

function committed(transaction: IDBTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onerror = () => reject(transaction.error ?? new Error("IndexedDB"));
    transaction.onabort = () => reject(transaction.error ?? new Error("IndexedDB"));
  });
}
