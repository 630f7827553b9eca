// The manifest of a provider key, checked field by field; as facemin/keys/manifest.py.

import { type Bytes, encodeFields, sha256 } from "./encoding.ts";
import { LARGEST_DIMENSION } from "./derivation.ts";
import { Refusal } from "./errors.ts";

/** What a device averages before it rotates. */
export type Views = "face" | "face+mirror";

/** What a key says of the space that its last layer gives. */
export interface SpaceDeclaration {
  readonly dimension: number;
  /** On whose faces and how, in words. */
  readonly fitted: string;
  readonly views: Views;
}

/** What a key says of itself. */
export interface Manifest {
  readonly version: 1 | 2;
  readonly keyId: string;
  readonly provider: string;
  readonly recogniser: string;
  readonly cut: string;
  readonly features: readonly number[];
  readonly layers: readonly string[];
  readonly residual: number;
  readonly created: Date;
  readonly expires: Date | undefined;
  /** Of the graph's bytes in the file. */
  readonly sha256: string;
  readonly space: SpaceDeclaration | undefined;
  /** SHA-256 of the one-pass protector that the provider offers. */
  readonly protector: string | undefined;
}

const INPUT = "face 3x112x112 RGB [0,1] insightface-5-point";
const HEX_32 = /^[0-9a-f]{64}$/;
const KEY_ID = /^[A-Za-z0-9._-]{1,64}$/;
const PRINTABLE = /^[^\p{C}]+$/u;
const MOMENT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$/;
const NEEDED = "version key_id provider recogniser cut input features layers residual created expires sha256".split(
  " ",
);
const OPTIONAL = ["space", "protector"];

/** Read a manifest's JSON; whatever is not as documented is refused, and so is what is not known. */
export function readManifest(text: string, name: string): Manifest {
  let values: unknown;
  try {
    values = JSON.parse(text);
  } catch {
    throw new Refusal("key", `${name}: expected a manifest in JSON, got something else`);
  }
  const from = new Fields(values, NEEDED, OPTIONAL, name);
  const version = from.one("version", (value) => value === 1 || value === 2) as 1 | 2;
  from.one("input", (value) => value === INPUT);
  const manifest: Manifest = {
    version,
    keyId: from.text("key_id", KEY_ID, 64),
    provider: from.text("provider", PRINTABLE, 200),
    recogniser: from.text("recogniser", PRINTABLE, 200),
    cut: from.text("cut", PRINTABLE, 200),
    features: from.list("features", 4, (value) => Number.isSafeInteger(value)) as number[],
    layers: from.list("layers", 64, (value) => typeof value === "string") as string[],
    residual: from.number("residual", 0, 2),
    created: from.moment("created"),
    expires: from.is("expires", null) ? undefined : from.moment("expires"),
    sha256: from.text("sha256", HEX_32, 64),
    space: from.is("space", null) ? undefined : spaceOf(from.value("space"), name),
    protector: from.is("protector", null) ? undefined : from.text("protector", HEX_32, 64),
  };
  const { space, features, layers, cut, protector } = manifest;
  const fits =
    (space !== undefined) === (version === 2) &&
    (space === undefined || (features.join() === String(space.dimension) && layers.join("\n") === cut)) &&
    (space !== undefined || protector === undefined);
  if (!fits) throw new Refusal("key", `${name}: expected a manifest whose fields fit one another, got another`);
  return manifest;
}

function spaceOf(values: unknown, name: string): SpaceDeclaration {
  const from = new Fields(values, ["dimension", "isotropy", "fitted"], ["views"], name);
  const isotropy = new Fields(
    from.value("isotropy"),
    ["mean", "last_over_first", "effective_dimension", "faces"],
    [],
    name,
  );
  isotropy.number("mean", -1, 1);
  isotropy.number("last_over_first", -1, 1);
  isotropy.number("effective_dimension", -1, LARGEST_DIMENSION);
  isotropy.number("faces", 1, Number.MAX_SAFE_INTEGER);
  const views = from.is("views", undefined)
    ? "face+mirror"
    : from.one("views", (value) => value === "face" || value === "face+mirror");
  return {
    dimension: from.one("dimension", (value) => isDimension(value)) as number,
    fitted: from.text("fitted", PRINTABLE, 500),
    views: views as Views,
  };
}

const isDimension = (value: unknown): boolean =>
  Number.isInteger(value) && (value as number) >= 8 && (value as number) <= LARGEST_DIMENSION;

/** Identity of a manifest's space, 32 bytes: over what is computed, not over who offers it and until when. */
export async function spaceId(manifest: Manifest): Promise<Bytes | undefined> {
  const { space, sha256: graph, cut } = manifest;
  if (space === undefined) return undefined;
  return sha256(encodeFields("facemin space v1", graph, INPUT, cut, String(space.dimension), space.views));
}

/** An object's fields, each asked for once. */
class Fields {
  private readonly values: Readonly<Record<string, unknown>>;

  constructor(
    values: unknown,
    needed: readonly string[],
    optional: readonly string[],
    private readonly name: string,
  ) {
    if (typeof values !== "object" || values === null || Array.isArray(values)) this.refuse("it");
    this.values = values as Record<string, unknown>;
    const names = Object.keys(this.values);
    const unknown = names.find((each) => !needed.includes(each) && !optional.includes(each));
    if (unknown !== undefined) this.refuse(unknown.slice(0, 40));
    // what may be null may be left out
    const missing = needed.find((each) => !names.includes(each) && each !== "expires");
    if (missing !== undefined) this.refuse(missing);
  }

  value(field: string): unknown {
    return this.values[field];
  }

  is(field: string, value: null | undefined): boolean {
    const own = this.values[field];
    return own === undefined || (value === null && own === null);
  }

  one(field: string, check: (value: unknown) => boolean): unknown {
    const value = this.values[field];
    if (!check(value)) this.refuse(field);
    return value;
  }

  text(field: string, form: RegExp, longest: number): string {
    const value = this.values[field];
    if (typeof value !== "string" || !form.test(value) || [...value].length > longest) this.refuse(field);
    return value as string;
  }

  /** A moment that is in the calendar: others have no time to compare with, or turn into another day's. */
  moment(field: string): Date {
    const text = this.text(field, MOMENT, 40);
    const day = new Date(`${text.slice(0, 10)}T00:00:00Z`);
    const real = !Number.isNaN(day.getTime()) && day.toISOString().startsWith(text.slice(0, 10));
    const moment = new Date(text);
    if (!real || Number.isNaN(moment.getTime())) this.refuse(field);
    return moment;
  }

  /** A number above `low`, or equal where `low` is negative, up to `high`. */
  number(field: string, low: number, high: number): number {
    const value = this.values[field];
    const least = low < 0 ? 0 : low;
    const within = typeof value === "number" && (low < 0 ? value >= least : value > least) && value <= high;
    if (!within) this.refuse(field);
    return value as number;
  }

  list(field: string, most: number, check: (value: unknown) => boolean): unknown[] {
    const value = this.values[field];
    if (!Array.isArray(value) || !value.length || value.length > most || !value.every(check)) this.refuse(field);
    return value as unknown[];
  }

  private refuse(field: string): never {
    throw new Refusal("key", `${this.name}: expected a manifest of version 1 or 2, got another value of ${field}`);
  }
}
