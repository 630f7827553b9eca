// ONNX files as bytes: the graph, and facemin's metadata behind it; the operators and shapes a graph is refused for.

import { type Bytes, concat, equal, utf8 } from "./encoding.ts";
import { Refusal } from "./errors.ts";
import { ALLOWED } from "./operators.ts";

/** A file taken apart; the SHA-256 of a key or protector covers `graph`. */
export interface OnnxFile {
  /** The model's bytes as they lie in the file, metadata excluded. */
  readonly graph: Uint8Array;
  readonly metadata: ReadonlyMap<string, string>;
}

interface Field {
  readonly number: number;
  /** 0 for a varint, 1 for 64 bits, 2 for bytes, 5 for 32 bits. */
  readonly wire: number;
  /** Where its tag begins. */
  readonly start: number;
  /** Of bytes: themselves; else empty. */
  readonly bytes: Uint8Array;
  /** Of a varint: its value, as far as numbers go. */
  readonly value: number;
}

const METADATA = 14;
const MOST_FIELDS = 500_000;
const MOST_NODES = 4096;

/** Take a file apart; its metadata must lie at its end, each entry once. */
export function readOnnxFile(data: Uint8Array, name: string): OnnxFile {
  const fields = fieldsOf(data, name);
  const tail = fields.filter((field) => field.number === METADATA);
  const start = tail[0]?.start ?? data.length;
  const entries = tail.map((field) => entryOf(field.bytes, name));
  const metadata = new Map(entries);
  const written = concat(entries.map(([key, value]) => message(METADATA, [utf8(key), utf8(value)])));
  if (metadata.size !== entries.length || !equal(data.subarray(start), written)) {
    throw new Refusal("key", `${name}: expected the metadata at the end of the file, each entry once, got otherwise`);
  }
  return { graph: data.subarray(0, start), metadata };
}

/**
 * Refuse a network that a stranger wrote for what it is made of: other operators than facemin's, weights outside the
 * file, graphs in graphs. It runs in the browser's sandbox in any case.
 *
 * @param graph - the model's bytes
 * @param outputs - names that its outputs must have
 * @param unit - whether it must end in a normalisation to unit length
 * @param name - what to call it
 */
export function checkGraph(graph: Uint8Array, outputs: readonly string[], unit: boolean, name: string): void {
  const model = fieldsOf(graph, name);
  const bodies = model.filter((field) => field.number === 7);
  if (bodies.length !== 1 || model.some((field) => field.number === 20 || field.number === 25)) {
    throw new Refusal("key", `${name}: expected one plain graph, got functions, training information or none`);
  }
  const fields = fieldsOf((bodies[0] as Field).bytes, name);
  const nodes = fields.filter((field) => field.number === 1).map((field) => fieldsOf(field.bytes, name));
  if (!nodes.length || nodes.length > MOST_NODES) {
    throw new Refusal("key", `${name}: expected 1 to ${MOST_NODES} nodes, got ${nodes.length}`);
  }
  if (fields.some((field) => field.number === 15)) {
    throw new Refusal("key", `${name}: expected dense weights, got sparse ones`);
  }
  nodes.forEach((node) => checkNode(node, name));
  fields.filter((field) => field.number === 5).forEach((tensor) => checkTensor(tensor.bytes, name));
  const found = fields.filter((field) => field.number === 12).map((field) => text(fieldsOf(field.bytes, name), 1));
  if (found.join() !== outputs.join()) {
    throw new Refusal("key", `${name}: expected the graph outputs ${outputs.join()}, got ${found.join()}`);
  }
  const last = nodes.find((node) => texts(node, 2).includes(found[found.length - 1] ?? ""));
  if (unit && (last === undefined || !normalises(last, name))) {
    throw new Refusal("key", `${name}: expected a graph that ends in a normalisation to unit length, got another end`);
  }
}

function checkNode(node: readonly Field[], name: string): void {
  const operator = text(node, 4);
  if (!ALLOWED.has(operator) || !["", "ai.onnx"].includes(text(node, 7))) {
    throw new Refusal("key", `${name}: expected operators that facemin runs, got ${operator.slice(0, 60)}`);
  }
  for (const attribute of node.filter((field) => field.number === 5).map((field) => fieldsOf(field.bytes, name))) {
    if (attribute.some((field) => field.number === 6 || field.number === 11)) {
      throw new Refusal("key", `${name}: expected a flat graph, got a graph within ${operator}`);
    }
    attribute
      .filter((field) => field.number === 5 || field.number === 10)
      .forEach((tensor) => checkTensor(tensor.bytes, name));
  }
}

function checkTensor(bytes: Uint8Array, name: string): void {
  if (fieldsOf(bytes, name).some((field) => field.number === 13 || (field.number === 14 && field.value !== 0))) {
    throw new Refusal("key", `${name}: expected its weights inside the file, got external data`);
  }
}

function normalises(node: readonly Field[], name: string): boolean {
  const attributes = node.filter((field) => field.number === 5).map((field) => fieldsOf(field.bytes, name));
  const settings = new Map(attributes.map((fields) => [text(fields, 1), integer(fields, 3)]));
  return (
    text(node, 4) === "LpNormalization" &&
    (settings.get("p") ?? 2) === 2 &&
    [-1, 1].includes(settings.get("axis") ?? -1)
  );
}

function entryOf(bytes: Uint8Array, name: string): readonly [string, string] {
  const fields = fieldsOf(bytes, name);
  return [text(fields, 1), text(fields, 2)];
}

/** A message of strings numbered from 1, as field `number` of another one. */
function message(number: number, strings: readonly Uint8Array[]): Bytes {
  const parts = strings.map((bytes, at) => concat([Uint8Array.of(((at + 1) << 3) | 2), varint(bytes.length), bytes]));
  const body = concat(parts);
  return concat([Uint8Array.of((number << 3) | 2), varint(body.length), body]);
}

function varint(value: number): Bytes {
  const bytes = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return Uint8Array.from([...bytes, rest]);
    bytes.push((rest % 128) | 128);
  }
}

function texts(fields: readonly Field[], number: number): string[] {
  const read = new TextDecoder("utf-8", { fatal: false });
  return fields.filter((field) => field.number === number && field.wire === 2).map((field) => read.decode(field.bytes));
}

const text = (fields: readonly Field[], number: number): string => texts(fields, number).at(-1) ?? "";
/** A signed 64-bit field, as far as small numbers go. */
function integer(fields: readonly Field[], number: number): number | undefined {
  const value = fields.filter((field) => field.number === number).at(-1)?.value;
  return value !== undefined && value > 2 ** 62 ? value - 2 ** 64 : value;
}

/** The fields of a protobuf message; refused where it is none. Source: protobuf's encoding. */
function fieldsOf(data: Uint8Array, name: string): Field[] {
  const refused = new Refusal("key", `${name}: expected an ONNX key file, got bytes that do not parse as one`);
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const fields: Field[] = [];
  let at = 0;
  const read = (): number => {
    for (let value = 0, scale = 1, count = 0; count < 10; scale *= 128, count += 1) {
      if (at >= data.length) throw refused;
      const byte = view.getUint8(at);
      at += 1;
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
    throw refused;
  };
  while (at < data.length) {
    const start = at;
    const tag = read();
    const [number, wire] = [Math.floor(tag / 8), tag % 8];
    let [value, bytes] = [0, new Uint8Array() as Uint8Array];
    if (wire === 0) value = read();
    else if (wire === 1) at += 8;
    else if (wire === 5) at += 4;
    else if (wire === 2) {
      const length = read();
      bytes = data.subarray(at, at + length);
      at += length;
    } else throw refused;
    if (at > data.length || number < 1 || fields.length >= MOST_FIELDS) throw refused;
    fields.push({ number, wire, start, bytes, value });
  }
  return fields;
}
