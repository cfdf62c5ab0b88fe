/** Tar archives: those of GNU tar and Python (recorded below), split anywhere, cut short, and with flipped bytes. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure } from "@hayloft/base/failures.js"
import { fc } from "@hayloft/base/testing-properties.js"
import { TarDecoder, type UploadedTarMember } from "./tar-core.js"

interface Entry {
  readonly name: string
  readonly type?: string
  readonly content?: string
  readonly size?: string
  readonly prefix?: string
  readonly magic?: string
}

const BLOCK = 512

/** A header and its content, as POSIX has it. */
function entry({ name, type = "0", content = "", size, prefix = "", magic = "ustar" }: Entry): Buffer {
  const header = Buffer.alloc(BLOCK)
  header.write(name, 0, 100, "latin1")
  header.write("0000600\0", 100, "latin1")
  header.write(size ?? `${content.length.toString(8).padStart(11, "0")}\0`, 124, "latin1")
  header.write(type, 156, "latin1")
  header.write(`${magic}\x0000`, 257, "latin1")
  header.write(prefix, 345, 155, "latin1")
  header.write(" ".repeat(8), 148, "latin1")
  const sum = header.reduce((total, byte) => total + byte, 0)
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1")
  const filling = Buffer.alloc((BLOCK - (content.length % BLOCK)) % BLOCK)
  return Buffer.concat([header, Buffer.from(content, "latin1"), filling])
}

const pax = (type: "x" | "g", pairs: readonly (readonly [string, string])[]): Buffer => {
  const content = pairs
    .map(([key, value]) => {
      const rest = ` ${key}=${value}\n`
      let length = rest.length
      while (`${length}${rest}`.length !== length) length = `${length}${rest}`.length
      return `${length}${rest}`
    })
    .join("")
  return entry({ name: "pax", type, content })
}

const ZEROS = Buffer.alloc(2 * BLOCK)

interface Read extends Pick<UploadedTarMember, "name" | "kind" | "sizeBytes"> {
  readonly attributes: Readonly<Record<string, string>>
  content: string
}

function read(pieces: readonly Uint8Array[]): readonly Read[] {
  const decoder = new TarDecoder()
  const members: Read[] = []
  for (const piece of pieces) {
    for (const event of decoder.push(piece)) {
      const last = members.at(-1)
      if (event.kind === "member") {
        const { name, kind, sizeBytes, attributes } = event.member
        members.push({ name, kind, sizeBytes, attributes: Object.fromEntries(attributes), content: "" })
      } else if (event.kind === "content" && last !== undefined)
        last.content += Buffer.from(event.bytes).toString("latin1")
    }
  }
  decoder.end()
  return members
}

const LONG = `long/${"x".repeat(200)}`
const ARCHIVE = Buffer.concat([
  pax("g", [["SCHILY.xattr.user.mime_type", "a/b"]]),
  entry({ name: "c/a.txt", content: "hello" }),
  entry({ name: "c/folder/", type: "5" }),
  entry({ name: "c/link", type: "2" }),
  entry({ name: "c/hard", type: "1", size: "00000000005\0" }),
  entry({ name: "c/empty" }),
  pax("x", [
    ["path", "c/\xc3\xa9"],
    ["SCHILY.xattr.user.meta.color", "red=1"],
    ["size", "600"],
  ]),
  entry({ name: "c/short", content: "z".repeat(600), size: "00000000000\0" }),
  entry({ name: "././@LongLink", type: "L", content: `${LONG}\0` }),
  entry({ name: "long", content: "l" }),
  entry({ name: "name", prefix: "some/prefix", content: "p" }),
  entry({ name: "old", prefix: "ignored", magic: "\0\0\0\0\0", content: "o" }),
  entry({ name: "c/sparse", type: "S", content: "s" }),
  ZEROS,
])

const file = (name: string, content: string, more: Readonly<Record<string, string>> = {}) => ({
  name,
  kind: "file",
  sizeBytes: content.length,
  content,
  attributes: { "SCHILY.xattr.user.mime_type": "a/b", ...more },
})
const EXPECTED = [
  file("c/a.txt", "hello"),
  { ...file("c/folder/", ""), kind: "other" },
  { ...file("c/link", ""), kind: "other" },
  { ...file("c/hard", ""), kind: "other", sizeBytes: 5 },
  file("c/empty", ""),
  file("c/\xc3\xa9", "z".repeat(600), { path: "c/\xc3\xa9", size: "600", "SCHILY.xattr.user.meta.color": "red=1" }),
  file(LONG, "l", { path: LONG }),
  file("some/prefix/name", "p"),
  file("old", "o"),
  { ...file("c/sparse", "s"), kind: "sparse" },
]

const cutInto = (bytes: Buffer, length: number): Buffer[] =>
  Array.from({ length: Math.ceil(bytes.length / length) }, (_, i) => bytes.subarray(i * length, (i + 1) * length))

test("members, long names, attributes and contents are read, however the archive arrives", () => {
  for (const length of [1, 7, 511, 512, 513, ARCHIVE.length])
    assert.deepEqual(read(cutInto(ARCHIVE, length)), EXPECTED, `pieces of ${length}`)
  assert.deepEqual(read([ARCHIVE.subarray(0, -2 * BLOCK)]), EXPECTED, "without the zeros at the end")
  assert.deepEqual(read([ARCHIVE, Buffer.from("anything")]), EXPECTED, "with something behind them")
})

test("a size of more than 11 octal digits is binary", () => {
  const size = `\x80${"\0".repeat(6)}\0\0\0\0\x05`
  assert.equal(read([entry({ name: "a", content: "hello", size }), ZEROS])[0]?.content, "hello")
  for (const bad of [`\xff${"\xff".repeat(11)}`, `\x80${"\xff".repeat(11)}`, "00000000009\0", "zz"])
    assert.throws(
      () => read([entry({ name: "a", size: bad.padEnd(12, "\0") }), ZEROS]),
      /a size is/,
      JSON.stringify(bad),
    )
})

test("an archive that is cut short is refused, unless it is cut between members", () => {
  const ends = new Set<number>()
  const parts = [entry({ name: "a", content: "hello" }), entry({ name: "b" })]
  const archive = Buffer.concat(parts)
  for (let at = 0, i = 0; i <= parts.length; at += parts[i]?.length ?? 0, i += 1) ends.add(at)
  for (let cut = 0; cut <= archive.length; cut += 1) {
    const run = () => read([archive.subarray(0, cut)])
    if (ends.has(cut)) run()
    else assert.throws(run, /unexpected end of data/, String(cut))
  }
  assert.throws(() => read([pax("x", [["path", "a"]])]), /unexpected end/)
})

test("flipped bytes, and extended headers that are no such, are refused and never taken for something else", () => {
  fc.assert(
    fc.property(fc.nat(BLOCK - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
      const bytes = Buffer.from(entry({ name: "a", content: "hello" }))
      bytes[at] = (bytes[at] ?? 0) ^ change
      try {
        assert.equal(read([bytes, ZEROS])[0]?.content, "hello")
      } catch (error) {
        assert.ok(isFailure(error, "invalidRequest"), String(error))
      }
    }),
  )
  for (const content of ["x", "5 a\n", "9 path=a\n\n", "99 path=a\n", "8 path=a\n", "-1 a=b\n", "6 =ab\n"])
    assert.throws(() => read([entry({ name: "p", type: "x", content }), ZEROS]), /Invalid Tar File/, content)
  const size = `${(300 * 1024).toString(8).padStart(11, "0")}\0`
  assert.throws(() => read([entry({ name: "p", type: "x", size })]), /too large/)
})

test("attributes are limited together: those of one member in all its headers, and those of all members", () => {
  const long = (key: string, length: number) => [key, "v".repeat(length)] as const
  const refuses = (...parts: readonly Buffer[]) =>
    assert.throws(() => read([...parts, entry({ name: "a" }), ZEROS]), /too large/)
  refuses(pax("x", [long("a", 200_000)]), pax("x", [long("b", 200_000)]))
  refuses(entry({ name: "p", type: "L", content: "x".repeat(200_000) }), pax("x", [long("b", 200_000)]))
  refuses(pax("g", [long("a", 5_000)]), pax("g", [long("b", 5_000)]))
  const replaced = Array.from({ length: 10 }, () => pax("g", [long("a", 5_000)]))
  assert.equal(read([...replaced, entry({ name: "a" }), ZEROS]).length, 1)
  const own = pax("x", [long("a", 200_000)])
  assert.equal(read([own, entry({ name: "a" }), own, entry({ name: "b" }), ZEROS]).length, 2)
})
