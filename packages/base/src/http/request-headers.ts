/**
 * Headers of a request. Clients send the same names in the same order repeatedly: results that
 * depend on the names alone are computed once for each shape, and a request adds only its values.
 *
 * Promises  Names are compared case-insensitively; repeated headers keep their order.
 * Limits    `SHAPES_MAX` shapes are cached, then all are dropped, so that names that were sent once use no memory.
 */
const SHAPES_MAX = 64

/** The names of a request's headers, in the order of the wire. */
export class HeaderShape {
  /** In lower case. */
  readonly names: readonly string[]
  /** Each name once, in the order of its first place. */
  readonly uniqueNames: readonly string[]
  /** The index of each name, or `REPEATED`. */
  private readonly places = new Map<string, number>()

  constructor(
    /** The header names with the case, order and repetitions that they have on the wire. */
    readonly rawNames: readonly string[],
  ) {
    this.names = rawNames.map(name => name.toLowerCase())
    this.names.forEach((name, i) => this.places.set(name, this.places.has(name) ? REPEATED : i))
    this.uniqueNames = [...this.places.keys()]
  }

  /** The index of a header that occurs once, else `ABSENT` or `REPEATED`. */
  placeOf(name: string): number {
    return this.places.get(name) ?? ABSENT
  }
}

export const ABSENT = -1
const REPEATED = -2

/** A header as it is sent. */
export type HeaderField = readonly [name: string, value: string]
export type HeaderFields = readonly HeaderField[]

/** Headers by lower-case name; values are bytes, one character a byte, and repeated ones are joined by ",". */
export interface Headers {
  get(name: string): string | undefined
  has(name: string): boolean
  keys(): Iterable<string>
  [Symbol.iterator](): Iterator<readonly [name: string, value: string]>
}

export class RequestHeaders implements Headers {
  constructor(
    readonly shape: HeaderShape,
    readonly values: readonly string[],
  ) {}

  /** The value, repeated ones joined by ","; name in lower case. */
  get(name: string): string | undefined {
    const place = this.shape.placeOf(name)
    if (place >= 0) return this.values[place]
    return place === ABSENT ? undefined : this.all(name).join(",")
  }

  has(name: string): boolean {
    return this.shape.placeOf(name) !== ABSENT
  }

  /** Each name once, in lower case. */
  keys(): readonly string[] {
    return this.shape.uniqueNames
  }

  *[Symbol.iterator](): Generator<readonly [name: string, value: string]> {
    for (const name of this.shape.uniqueNames) yield [name, this.get(name) ?? ""]
  }

  all(name: string): readonly string[] {
    return this.values.filter((_, i) => this.shape.names[i] === name)
  }

  /** Name, value, name, value … in the order of the wire. */
  flat(): readonly string[] {
    return this.shape.rawNames.flatMap((name, i) => [name, this.values[i] ?? ""])
  }
}

/** The shapes that clients have sent recently. */
export class HeaderShapes {
  private readonly known: HeaderShape[] = []

  of(rawNames: readonly string[]): HeaderShape {
    for (const shape of this.known) if (isSame(shape.rawNames, rawNames)) return shape
    if (this.known.length >= SHAPES_MAX) this.known.length = 0
    const shape = new HeaderShape(rawNames)
    this.known.push(shape)
    return shape
  }

  /** Headers as Node has read them: name, value, name, value … */
  ofFlat(rawHeaders: readonly string[]): RequestHeaders {
    const names: string[] = []
    const values: string[] = []
    for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
      names.push(rawHeaders[i] ?? "")
      values.push(rawHeaders[i + 1] ?? "")
    }
    return new RequestHeaders(this.of(names), values)
  }
}

function isSame(a: readonly string[], b: readonly string[]): boolean {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i += 1) if (a[i] !== b[i]) return false
  return true
}
