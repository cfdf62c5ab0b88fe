/**
 * WebAssembly modules for tests of steps, assembled from a few bytes: `allocate` gives fresh pages for each call, and
 * `transform` does what its body says.
 */

type Bytes = readonly number[]

interface Parts {
  /** The body of `transform`, without its end. */
  readonly body: Bytes
  /** Flags, minimum and maximum. */
  readonly memory?: Bytes
  readonly memories?: readonly Bytes[]
  /** Sections in their whole, after that of types, after that of functions' numbers, and after that of exports. */
  readonly imports?: Bytes
  readonly start?: Bytes
  /** The name of what is exported instead of `transform`. */
  readonly name?: string
  /** Its type. */
  readonly type?: Bytes
}

const [I32, I64] = [0x7f, 0x7e]
const unsigned = (value: number): Bytes => (value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...unsigned(value >>> 7)])
const list = (items: readonly Bytes[]): Bytes => [...unsigned(items.length), ...items.flat()]
const text = (value: string): Bytes => [...unsigned(value.length), ...Buffer.from(value)]
const section = (id: number, content: Bytes): Bytes => [id, ...unsigned(content.length), ...content]
const code = (body: Bytes): Bytes => [...unsigned(body.length + 2), 0, ...body, 0x0b]

/** The number of the first page that the memory grows by for so many bytes, as an address. */
const ALLOCATE = [0x20, 0, 0x41, 0xff, 0xff, 3, 0x6a, 0x41, 16, 0x76, 0x40, 0, 0x41, 16, 0x74]

export function testModule({ body, memory = [0, 1], memories = [memory], ...parts }: Parts): Uint8Array {
  const type = parts.type ?? [0x60, ...list([[I32], [I32], [I32], [I32]]), ...list([[I64]])]
  return Uint8Array.from([
    0,
    0x61,
    0x73,
    0x6d,
    1,
    0,
    0,
    0,
    ...section(1, list([[0x60, ...list([[I32]]), ...list([[I32]])], type, [0x60, 0, 0]])),
    ...(parts.imports ?? []),
    ...section(3, list([[0], [1], [2]])),
    ...section(5, list(memories)),
    ...section(
      7,
      list([
        [...text("memory"), 2, 0],
        [...text("allocate"), 0, 0],
        [...text(parts.name ?? "transform"), 0, 1],
      ]),
    ),
    ...(parts.start ?? []),
    ...section(10, list([code(ALLOCATE), code(body), code([])])),
  ])
}

/** The pair of a local with an address and one with a length, as a result. */
const pair = (at: number, length: number): Bytes => [0x20, at, 0xad, 0x42, 32, 0x86, 0x20, length, 0xad, 0x84]

export const BODIES = {
  input: pair(0, 1),
  parameters: pair(2, 3),
  unknown: [0x42, 0x7f],
  trap: [0],
  endless: [0x03, 0x40, 0x0c, 0, 0x0b, 0],
  recursive: [0x20, 0, 0x20, 1, 0x20, 2, 0x20, 3, 0x10, 1],
  /** Ten bytes at the last address. */
  outside: [0x41, 0x7f, 0xad, 0x42, 32, 0x86, 0x42, 10, 0x84],
  /** 2 GiB at 0. */
  large: [0x42, 0xff, 0xff, 0xff, 0xff, 7],
  /** Grows by 16 pages until it may not; the length of the result is the number of pages. */
  hungry: [0x03, 0x40, 0x41, 16, 0x40, 0, 0x41, 0x7f, 0x47, 0x0d, 0, 0x0b, 0x3f, 0, 0xad],
} as const

/** A function that is imported, one that is called at the start. */
export const IMPORTS = section(2, list([[...text("env"), ...text("leak"), 0, 2]]))
export const START = section(8, [2])
