// Requests to a provider: never redirected, bounded in time, tried again where that is safe.

import { Refusal } from "./errors.ts";

/** What a request has to bring along, and the epoch that its pseudonym is under. */
export interface Challenge {
  readonly challenge: string;
  readonly epoch: number;
  /** Whether features are taken, beside images. */
  readonly features: boolean;
  readonly pseudonyms: "required" | "allowed" | "off" | null;
  /** Cosine that decides on a pseudonym at the collection's FAR. */
  readonly threshold: number | null;
}

/** What a provider decided on one person. */
export interface Decision {
  readonly person: string;
  readonly accepted: boolean;
  /** Cosine. */
  readonly score: number;
  readonly threshold: number;
  readonly far: number;
}

/** What a provider holds of a person. */
export interface Held {
  readonly person: string;
  readonly created: string;
  readonly templates: readonly {
    readonly kind: string;
    readonly epoch: number | null;
    /** Ed25519 key that signs the person's uploads, in hexadecimal; null for no pseudonym. */
    readonly possession: string | null;
    readonly created: string;
  }[];
}

/** A file, and the tag it is asked for again by. */
export interface File {
  readonly data: Uint8Array<ArrayBuffer>;
  readonly tag: string;
}

/** Told how much of a file is there; `total` is 0 where that is not known. */
export type OnProgress = (loaded: number, total: number) => void;

/** Whoever opens a page could read a long-lived token there; those have another form. */
const SESSION = /^fms_[0-9a-f]{16}_[A-Za-z0-9_-]{43}$/;
const AGAIN = new Set([429, 502, 503, 504]);
const TRIES = 4;
const PAUSE = 500; // milliseconds before the second try; each further one is twice as long
const LONGEST_WAIT = 30_000;
const TIMEOUT = 60_000;
const FILE_TIMEOUT = 300_000;
const MOST_FILE = 257 * 2 ** 20;

/** One provider, and the session with it. */
export class Provider {
  /** Absolute, without query and fragment, with a slash at its end. */
  readonly url: string;

  /**
   * @param url - of the provider
   * @param token - of the session, in memory only; undefined for what is open; a long-lived one is refused
   */
  constructor(
    url: string,
    private readonly token?: string,
  ) {
    const parts = new URL(url);
    const local = ["localhost", "127.0.0.1", "[::1]"].includes(parts.hostname);
    if (parts.protocol !== "https:" && !(parts.protocol === "http:" && local)) {
      throw new Refusal("insecure", "url: expected https://HOST, or http:// on this machine, got another");
    }
    if (token !== undefined && !SESSION.test(token)) {
      throw new Refusal("token", "token: expected a session's (POST /v1/sessions, by the app's backend), got another");
    }
    this.url = parts.origin + parts.pathname.replace(/[^/]*$/, "");
  }

  /** A file; undefined where it is still the one of `tag`. */
  async file(path: string, tag?: string, onProgress?: OnProgress): Promise<File | undefined> {
    const reply = await this.send("GET", path, { timeout: FILE_TIMEOUT, ...(tag !== undefined && { tag }) });
    if (reply.status === 304) return undefined;
    const total = Number(reply.headers.get("Content-Length") ?? 0);
    const parts: Uint8Array<ArrayBuffer>[] = [];
    let loaded = 0;
    // by its reader: Safari iterates over no stream
    const reader = reply.body?.getReader();
    for (let part = await reader?.read(); part?.value !== undefined; part = await reader?.read()) {
      parts.push(part.value as Uint8Array<ArrayBuffer>);
      loaded += part.value.length;
      onProgress?.(loaded, total);
      if (loaded > MOST_FILE) throw new Refusal("provider", `${path}: expected at most ${MOST_FILE} bytes, got more`);
    }
    const data = new Uint8Array(await new Blob(parts).arrayBuffer());
    return { data, tag: reply.headers.get("ETag") ?? "" };
  }

  /** A challenge for one operation; with a person or a possession key it comes with their epoch. */
  async challenge(collection: string, who: { person?: string; possession?: string }): Promise<Challenge> {
    const query = new URLSearchParams({ collection, ...who });
    const said = await this.json("POST", `v1/challenges?${query}`);
    const { challenge, epoch = 0, features = true, pseudonyms = null, threshold = null } = said as Partial<Challenge>;
    const known = threshold === null || Number.isFinite(threshold);
    if (typeof challenge !== "string" || !Number.isSafeInteger(epoch) || !known) throw wrong("a challenge");
    return { challenge, epoch, features, pseudonyms, threshold };
  }

  /** Post what changes or asks something; sent again it does nothing twice. */
  async post(path: string, body: unknown): Promise<unknown> {
    const letters = crypto.getRandomValues(new Uint8Array(16));
    const key = Array.from(letters, (byte) => byte.toString(16).padStart(2, "0")).join("");
    return this.json("POST", path, body, { "Idempotency-Key": key });
  }

  /** What the provider holds of a person; undefined where there is nobody of that name. */
  async held(collection: string, person: string): Promise<Held | undefined> {
    try {
      const held = (await this.json("GET", personPath(collection, person))) as Partial<Held>;
      if (!Array.isArray(held.templates)) throw wrong("a person");
      return held as Held;
    } catch (error) {
      if (error instanceof Refusal && error.detail?.status === 404) return undefined;
      throw error;
    }
  }

  /** Delete a person with every template of theirs; whom an earlier try deleted, whose answer was lost, is gone. */
  async delete(collection: string, person: string): Promise<void> {
    try {
      await this.send("DELETE", personPath(collection, person), {});
    } catch (error) {
      const { code, tries = 1 } = (error instanceof Refusal && error.detail) || { code: "" };
      // the session ends with its person, so that a later try may be told of that alone
      if (code !== "session_deleted" && !(code === "person_not_found" && tries > 1)) throw error;
    }
  }

  private async json(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<unknown> {
    const reply = await this.send(method, path, { body, headers });
    try {
      return await reply.json();
    } catch {
      throw wrong("JSON");
    }
  }

  private async send(method: string, path: string, options: SendOptions): Promise<Response> {
    for (let number = 1; ; number += 1) {
      let reply: Response | undefined;
      try {
        reply = await this.once(method, path, options);
      } catch (error) {
        if (number >= TRIES) throw unreachable(error);
      }
      if (reply !== undefined) {
        if (reply.ok || reply.status === 304) return reply;
        if (!AGAIN.has(reply.status) || number >= TRIES) throw await refusal(reply, number);
      }
      const asked = Number(reply?.headers.get("Retry-After") ?? NaN) * 1000;
      const wait = Math.min(Number.isFinite(asked) ? asked : PAUSE * 2 ** (number - 1), LONGEST_WAIT);
      await new Promise((resolve) => setTimeout(resolve, wait * (0.5 + Math.random() / 2)));
    }
  }

  private once(method: string, path: string, options: SendOptions): Promise<Response> {
    const { body, headers = {}, tag, timeout = TIMEOUT } = options;
    const sent = new Headers({ Accept: "application/json, application/octet-stream", ...headers });
    if (this.token !== undefined) sent.set("Authorization", `Bearer ${this.token}`);
    if (tag) sent.set("If-None-Match", tag);
    if (body !== undefined) sent.set("Content-Type", "application/json");
    return fetch(new URL(path, this.url), {
      method,
      headers: sent,
      body: body === undefined ? null : JSON.stringify(body),
      // a redirect would carry the token to somebody else
      redirect: "error",
      credentials: "omit",
      referrerPolicy: "no-referrer",
      cache: "no-store",
      signal: AbortSignal.timeout(timeout),
    });
  }
}

interface SendOptions {
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly tag?: string;
  readonly timeout?: number;
}

const part = encodeURIComponent;

/** Of a collection's endpoint. */
export function collectionPath(collection: string, what: string): string {
  return `v1/collections/${part(collection)}/${what}`;
}

function personPath(collection: string, person: string): string {
  return collectionPath(collection, `persons/${part(person)}`);
}

async function refusal(reply: Response, tries: number): Promise<Refusal> {
  const said = (await reply.json().catch(() => ({}))) as { code?: unknown; message?: unknown };
  const code = typeof said.code === "string" ? said.code.slice(0, 60) : "refused";
  const text = typeof said.message === "string" ? said.message : `HTTP status ${reply.status}`;
  const message = text.replace(/\p{C}/gu, " ").slice(0, 500);
  return new Refusal("provider", `provider: ${message}`, { code, status: reply.status, tries });
}

function unreachable(error: unknown): Refusal {
  return new Refusal("unreachable", `provider: expected an answer, got: ${String(error).slice(0, 200)}`);
}

function wrong(what: string): Refusal {
  return new Refusal("provider", `provider: expected ${what}, got something else`);
}
