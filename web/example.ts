// An app's page in twenty lines; README.md shows it, and the type check reads it.

import { BrowserStore, Client, Device, Provider, Runtime, Secret, decode, openKey } from "facemin-web";

export async function demonstrate(session: string, monday: Blob, today: Blob): Promise<boolean> {
  const provider = new Provider("https://faces.example/", session); // minted by your backend: POST /v1/sessions
  const store = await BrowserStore.open();
  const runtime = await Runtime.open({ folder: "/ort/" }); // onnxruntime-web's .mjs and .wasm
  const key = await openKey({ provider, store, runtime }); // checked and pinned: show key.fingerprint
  const device = await Device.open({ provider, store, runtime }, key); // refused where nobody vouches for its network

  const kept = (await store.get("secret")) as Uint8Array | undefined;
  const secret = kept ? await Secret.of(kept) : await Secret.make();
  await store.put("secret", secret.data); // and once: show await secret.words(), for paper

  const client = new Client({ device, provider, store, secret, collection: "main" });
  await client.enrol("u-4711", [await client.read(await decode(monday))]);
  const { answer, sent, timings } = await client.verify("u-4711", await client.read(await decode(today)));
  console.log(answer.score, sent[0]?.form, timings); // what was sent: 66 numbers, no photo
  return answer.accepted;
}
