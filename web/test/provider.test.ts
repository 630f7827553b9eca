// Requests to a provider: what a page may hold, and deletions whose answer was lost. A real server answers.

import assert from "node:assert/strict";
import { type ServerResponse, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";

import type { Refusal } from "../src/errors.ts";
import { Provider } from "../src/provider.ts";

const SESSION = `fms_${"0a".repeat(8)}_${"x".repeat(43)}`;
type Answer = (reply: ServerResponse) => unknown;

const refusal =
  (status: number, code: string): Answer =>
  (reply) =>
    reply.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify({ code, message: "no" }));
const done: Answer = (reply) => reply.writeHead(204).end();
const lost: Answer = (reply) => reply.destroy();

/** Delete somebody at a server that gives these answers, one after another; how many requests came. */
async function deleted(...answers: readonly Answer[]): Promise<number> {
  let requests = 0;
  const server = createServer((_, reply) => (answers[requests++] ?? done)(reply));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    await new Provider(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`, SESSION).delete("main", "ann");
    return requests;
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

for (const [what, answers] of [
  ["an answer", [done]],
  ["a second try", [lost, done]],
  ["a second try that finds nobody", [lost, refusal(404, "person_not_found")]],
  ["a second try after a proxy's error", [refusal(502, "bad_gateway"), refusal(404, "person_not_found")]],
  ["a session that ended with its person", [lost, refusal(401, "session_deleted")]],
  ["the next click after all answers were lost", [refusal(401, "session_deleted")]],
] as const) {
  test(`whoever is gone was deleted: ${what}`, async () => {
    assert.equal(await deleted(...answers), answers.length);
  });
}

for (const [what, answers, code] of [
  ["nobody of that name", [refusal(404, "person_not_found")], "person_not_found"],
  ["no such collection", [lost, refusal(404, "collection_not_found")], "collection_not_found"],
  ["a session that ended by itself", [lost, refusal(401, "unauthorised")], "unauthorised"],
  ["another enrolment in the place of theirs", [lost, refusal(401, "session_replaced")], "session_replaced"],
] as const) {
  test(`what is no deletion is refused: ${what}`, async () => {
    await assert.rejects(deleted(...answers), (error: Refusal) => error.detail?.code === code);
  });
}

test("a page holds sessions and no long-lived token", () => {
  const url = "https://faces.example/";
  new Provider(url, SESSION);
  new Provider(url);
  for (const token of ["", SESSION.replace("fms", "fmt"), SESSION.slice(0, -1), `${SESSION} `, "nonsense"]) {
    assert.throws(
      () => new Provider(url, token),
      (error: Refusal) => error.code === "token" && !(token && error.message.includes(token)),
    );
  }
  assert.throws(() => new Provider("http://192.168.1.5:8470/", SESSION), { code: "insecure" });
});
