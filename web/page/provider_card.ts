// The provider's key: shown with its fingerprint; what a person is asked when it changed or nobody vouches for it.

import { button, card, element, facts, grouped } from "./element.ts";
import type { Engine, KeyShown } from "./protocol.ts";
import { TEXTS } from "./texts.ts";

const T = TEXTS.provider;

/** The key as it is pinned. */
export function providerCard(key: KeyShown): HTMLElement {
  const rows: (readonly [string, string])[] = [
    [T.name, key.provider],
    [T.recogniser, key.recogniser],
    [T.signer, key.signer === undefined ? T.unsigned : grouped(key.signer)],
    ...(key.expires === undefined ? [] : [[T.expires, new Date(key.expires).toLocaleDateString("en-GB")] as const]),
    [T.fingerprint, grouped(key.fingerprint)],
  ];
  return card(
    T.heading,
    "provider",
    element("p", {}, key.provider),
    element("p", { className: "mono" }, `${T.fingerprint}: ${grouped(key.fingerprint.slice(0, 16))}`),
    element("p", { className: "small" }, key.known ? T.known : T.first),
    element(
      "details",
      {},
      element("summary", {}, T.details),
      facts(rows),
      element("p", { className: "small" }, T.compare),
    ),
  );
}

/** Asked where the key is not the pinned one; resolved once the person wants the new one. */
export async function changedCard(engine: Engine, place: HTMLElement): Promise<void> {
  const known = (await engine.pinned()) ?? "";
  const words = TEXTS.changed;
  await new Promise<void>((resolve) => {
    const accept = button(
      words.trust,
      async () => {
        await engine.forgetKey();
        asked.remove();
        resolve();
      },
      "danger",
    );
    accept.disabled = true;
    const box: HTMLInputElement = element("input", {
      type: "checkbox",
      id: "confirmed",
      onchange: (): boolean => (accept.disabled = !box.checked),
    });
    const asked = card(
      words.heading,
      "changed",
      element("p", {}, words.text),
      element("p", { className: "mono" }, `${words.known}: ${grouped(known.slice(0, 16))}`),
      element("p", {}, words.ask),
      element("p", {}, box, element("label", { for: "confirmed" }, words.confirm)),
      accept,
    );
    asked.classList.add("warning");
    place.append(asked);
  });
}

/** Asked where the network is not on the published list; resolved once the person trusts it. */
export function untrustedCard(engine: Engine, place: HTMLElement): Promise<void> {
  const words = TEXTS.untrusted;
  return new Promise((resolve) => {
    const reason = element("input", { type: "text", id: "reason", maxLength: 200, required: true });
    const accept = button(
      words.trust,
      async () => {
        if (!reason.reportValidity()) return;
        await engine.trust(reason.value);
        asked.remove();
        resolve();
      },
      "danger",
    );
    const asked = card(
      words.heading,
      "untrusted",
      element("p", {}, words.text),
      element("label", { for: "reason" }, words.reason),
      reason,
      accept,
    );
    asked.classList.add("warning");
    place.append(asked);
  });
}
