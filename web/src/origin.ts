// Web origins in their canonical form; spec/pseudonym.md.

import { Refusal } from "./errors.ts";

/** Stands for no provider. */
export const LOCAL = "local";
const LABEL = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/;

/** The origin of a URL of https or http, or `LOCAL` as it is. */
export function normaliseOrigin(url: string): string {
  if (url === LOCAL) return url;
  if (/[\u0000-\u0020\u007f\\]/.test(url) || !URL.canParse(url)) {
    throw new Refusal("input", "origin: expected an absolute URL of https or http, got something else");
  }
  const { origin, protocol, hostname, username, password } = new URL(url);
  const named = hostname.startsWith("[") || hostname.split(".").every((label) => LABEL.test(label));
  if (!["https:", "http:"].includes(protocol) || username || password || !named) {
    throw new Refusal("input", "origin: expected an absolute URL of https or http with a host, got something else");
  }
  return origin;
}
