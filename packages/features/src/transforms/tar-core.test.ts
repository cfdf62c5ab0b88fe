/** Tar archives made byte for byte: what the headers say, which archives are refused, and that damage is noticed. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure } from "@hayloft/base/failures.js"
import { GIB, MIB } from "@hayloft/base/limits.js"
import type { TarIndex, TarMember } from "@hayloft/engine/format/objects/tar-index.js"
import { bytesOfName, listingOf, archiveMember, textOfName } from "./tar-archive.js"
import {
  END,
  extended,
  fileOf,
  indexOfBytes,
  indexOfReader,
  padded,
  pax,
  readerOfParts,
  sealHeader,
  tarHeader,
} from "./testing-tar.js"

const join = (...parts: readonly (Uint8Array | string)[]): Buffer =>
  Buffer.concat(parts.map(part => (typeof part === "string" ? padded(Buffer.from(part)) : part)))

const membersOf = (index: TarIndex): readonly TarMember[] => [...index.from(new Uint8Array(0))]
const namesOf = (index: TarIndex): readonly string[] => membersOf(index).map(({ path }) => textOfName(path))

async function contentOf(archive: Uint8Array, path: string): Promise<string> {
  const { range } = archiveMember(await indexOfBytes(archive), path)
  return Buffer.from(archive.subarray(range.first, range.first + range.lengthBytes)).toString()
}

const refused = (pattern: RegExp) => (error: unknown) =>
  isFailure(error, "invalidRequest") && pattern.test(error.message)

const refusesArchive = (archive: Uint8Array, pattern: RegExp): Promise<void> =>
  assert.rejects(indexOfBytes(archive), refused(pattern))

test("a path is that of PAX before that of GNU before prefix and name", async () => {
  const header = tarHeader({ name: "name", prefix: "prefix", size: 1 })
  assert.deepEqual(namesOf(await indexOfBytes(join(header, "x"))), ["prefix/name"])
  const long = extended("L", Buffer.from("from/gnu\0"))
  assert.deepEqual(namesOf(await indexOfBytes(join(long, header, "x"))), ["from/gnu"])
  for (const both of [join(long, pax({ path: "from/pax" })), join(pax({ path: "from/pax" }), long)]) {
    assert.deepEqual(namesOf(await indexOfBytes(join(both, header, "x"))), ["from/pax"])
  }
  const gnu = tarHeader({ name: "name", prefix: "no prefix", magic: "ustar  \0" })
  assert.deepEqual(namesOf(await indexOfBytes(gnu)), ["name"])
  const star = Buffer.from(tarHeader({ name: "name", prefix: `prefix${"\0".repeat(125)}12345670123` }))
  star.write("tar\0", 508)
  assert.deepEqual(namesOf(await indexOfBytes(sealHeader(star))), ["prefix/name"])
})

test("a size of a PAX record counts for the member, not for headers between", async () => {
  const archive = join(
    pax({ size: "3" }),
    extended("L", Buffer.from("long\0")),
    tarHeader({ name: "short", size: 1000 }),
    "abc",
    fileOf("next", "n"),
    END,
  )
  assert.equal(await contentOf(archive, "long"), "abc")
  assert.equal(await contentOf(archive, "next"), "n")
})

test("global PAX records count from then on, and an empty value removes them", async () => {
  const archive = join(
    fileOf("before", "b"),
    pax({ mtime: "12.5", comment: "c" }, "g"),
    fileOf("a", "a"),
    pax({ mtime: "-1.001" }),
    fileOf("b", "b"),
    pax({ mtime: "" }),
    fileOf("c", "c"),
    pax({ mtime: "" }, "g"),
    fileOf("d", "d"),
  )
  const index = await indexOfBytes(archive)
  const timesMs = membersOf(index).map(({ path, modifiedMs }) => [textOfName(path), modifiedMs])
  assert.deepEqual(Object.fromEntries(timesMs), { a: 12_500, b: -1001, before: 0, c: 0, d: 0 })
})

test("a value of a PAX record may have line feeds and equals signs", async () => {
  const index = await indexOfBytes(join(pax({ path: "a\nb=c", comment: "1 x=y\n" }), fileOf("x", "content")))
  assert.deepEqual(namesOf(index), ["a\nb=c"])
})

test("sizes above 8 GiB are read from base 256 and from PAX, and contents are not", async () => {
  const sizeBytes = 9 * GIB + 5
  const base256 = Buffer.from(tarHeader({ name: "base256" }))
  base256.fill(0, 124, 136)
  base256.writeUInt8(0x80, 124)
  base256.writeBigUInt64BE(BigInt(sizeBytes), 128)
  const [second, third] = [[512 + sizeBytes], [1024 + 512 + 2 * sizeBytes]].map(([at = 0]) => Math.ceil(at / 512) * 512)
  assert.ok(second !== undefined && third !== undefined)
  const last = third + 1024
  const reader = readerOfParts(
    new Map([
      [0, sealHeader(base256)],
      [second, join(pax({ size: String(sizeBytes), path: "pax" }), tarHeader({ name: "x" }))],
      [last, fileOf("last", "end")],
    ]),
  )
  const index = await indexOfReader(reader, last + 1024)
  assert.deepEqual(namesOf(index), ["base256", "last", "pax"])
  assert.deepEqual(archiveMember(index, "pax").range, { first: second + 1536, lengthBytes: sizeBytes })
  assert.deepEqual(archiveMember(index, "last").range, { first: last + 512, lengthBytes: 3 })
  assert.ok(reader.reads <= 4 && reader.bytes < MIB, `${reader.reads} reads of ${reader.bytes} bytes`)
})

test("of several members with one path the last one counts, with and without ./", async () => {
  const archive = join(fileOf("a", "first"), fileOf("b", "b"), fileOf("./a", "second"), fileOf(".//a", "third"), END)
  assert.deepEqual(namesOf(await indexOfBytes(archive)), ["a", "b"])
  for (const path of ["a", "./a", ".//a"]) assert.equal(await contentOf(archive, path), "third")
})

test("a hard link has the content that its target had when the link was archived", async () => {
  const link = (name: string, linkTarget: string) => tarHeader({ name, type: "1", linkTarget, size: 5 })
  const archive = join(
    fileOf("a", "first"),
    link("l1", "./a"),
    link("l2", "l1"),
    fileOf("a", "later"),
    link("l3", "a"),
    link("self", "self"),
    link("x", "y"),
    link("y", "x"),
    link("early", "last"),
    link("dir-link", "dir"),
    tarHeader({ name: "dir", type: "5" }),
    fileOf("last", "last"),
  )
  for (const path of ["l1", "l2"]) assert.equal(await contentOf(archive, path), "first")
  assert.equal(await contentOf(archive, "l3"), "later")
  const index = await indexOfBytes(archive)
  for (const path of ["self", "x", "y", "early", "dir-link"]) {
    assert.throws(() => archiveMember(index, path), refused(/no file before it in the archive/))
  }
})

test("what is no file is refused by name, and what is missing is not found", async () => {
  const typed = (type: string) => tarHeader({ name: `of type ${type}`, type, linkTarget: "t" })
  const sparse = Buffer.from(tarHeader({ name: "sparse", type: "S", magic: "ustar  \0", size: 2 }))
  sparse.writeUInt8(1, 482)
  sparse.write("00000017640\0", 483)
  const more = Buffer.alloc(512)
  more.writeUInt8(1, 504)
  const archive = join(
    ...["2", "3", "4", "5", "6", "M", "V", "?"].map(typed),
    sealHeader(sparse),
    more,
    Buffer.alloc(512),
    "xy",
    fileOf("file", "f"),
    pax({ "GNU.sparse.major": "1", "GNU.sparse.name": "s2", "GNU.sparse.realsize": "77" }),
    fileOf("x", "1\n"),
    fileOf("old dir/", ""),
  )
  const index = await indexOfBytes(archive)
  const { members } = listingOf(index, { kind: "list", prefix: "", after: "", membersMax: 100 })
  const kinds = Object.fromEntries(members.map(({ path, kind, sizeBytes }) => [path, `${kind} ${sizeBytes}`]))
  assert.deepEqual(kinds, {
    "of type 2": "symlink 0",
    "of type 3": "characterDevice 0",
    "of type 4": "blockDevice 0",
    "of type 5": "directory 0",
    "of type 6": "fifo 0",
    "of type M": "other 0",
    "of type V": "other 0",
    "of type ?": "other 0",
    sparse: "sparse 8096",
    s2: "sparse 77",
    file: "file 1",
    "old dir": "directory 0",
  })
  for (const path of Object.keys(kinds).filter(each => each !== "file")) {
    assert.throws(() => archiveMember(index, path), refused(/is a|is of/), path)
  }
  assert.throws(() => archiveMember(index, "old dir/"), refused(/directory/))
  assert.equal(await contentOf(archive, "file"), "f")
  for (const path of ["nothing", "file/", "fil", "", "./"]) {
    assert.throws(
      () => archiveMember(index, path),
      error => isFailure(error, "noSuchKey"),
    )
  }
})

test("names that are not UTF-8 are shown by octal digits, and read by them", async () => {
  const raw = Buffer.from(tarHeader({ name: "name" }))
  raw.set([0x61, 0xff, 0xc3, 0xa9, 0x5c, 0x80], 0)
  const archive = join(sealHeader(raw), fileOf("a\\200", "literal"), fileOf("plain\\back", "p"))
  const names = namesOf(await indexOfBytes(archive))
  assert.deepEqual(names, ["a\\134200", "a\\377é\\\\200", "plain\\back"])
  for (const name of names) assert.equal(textOfName(bytesOfName(name)), name)
  assert.equal(await contentOf(archive, "a\\134200"), "literal")
  assert.equal(await contentOf(archive, "plain\\back"), "p")
})

test("archives without end blocks, with one, without the last padding, and of nothing are read", async () => {
  const [a, b] = [fileOf("a", "aa"), fileOf("b", "bb")]
  for (const rest of [new Uint8Array(0), Buffer.alloc(512), END, Buffer.alloc(100), join(END, "rubbish")]) {
    assert.deepEqual(namesOf(await indexOfBytes(join(a, b, rest))), ["a", "b"])
  }
  assert.equal(await contentOf(join(a, b).subarray(0, 1024 + 512 + 2), "b"), "bb")
  for (const nothing of [new Uint8Array(0), END]) assert.deepEqual(namesOf(await indexOfBytes(nothing)), [])
})

test("compressed objects and other formats are refused by name", async () => {
  const of = (...start: readonly number[]) => Buffer.concat([Buffer.from(start)], 3000)
  for (const length of [20, 3000]) {
    await refusesArchive(of(0x1f, 0x8b, 8).subarray(0, length), /is compressed by gzip; only plain tar archives have/)
    await refusesArchive(of(0x50, 0x4b, 3, 4).subarray(0, length), /is a zip archive; only plain/)
    await refusesArchive(of(0xfd, 0x37, 0x7a, 0x58, 0x5a, 0).subarray(0, length), /is compressed by xz/)
    await refusesArchive(of(0x28, 0xb5, 0x2f, 0xfd).subarray(0, length), /is compressed by zstd/)
    await refusesArchive(of(0x42, 0x5a, 0x68, 0x39).subarray(0, length), /is compressed by bzip2/)
    await refusesArchive(Buffer.alloc(length, "text "), /is not a tar archive/)
  }
})

test("broken archives are refused, with what is wrong and where", async () => {
  const a = fileOf("a", "aa")
  const header = (size: string) => tarHeader({ name: "b", size })
  const data = (type: string, text: string) => join(a, extended(type, Buffer.from(text)), fileOf("x", ""))
  await refusesArchive(join(a, "no header"), /broken at offset 1024: the checksum of the header is wrong/)
  await refusesArchive(join(a, header("12x4\0")), /offset 1024: the size in the header is no number/)
  await refusesArchive(join(a, header("\xff".repeat(12))), /the size in the header is no number/)
  await refusesArchive(join(a, header(`\x80${"\xff".repeat(11)}`)), /the size in the header is no number/)
  await refusesArchive(join(a, header("2001\0"), Buffer.alloc(1024)), /ends within a member of 1025 bytes/)
  await refusesArchive(join(a, fileOf("b", "")).subarray(0, 1300), /offset 1024: the object ends within a header/)
  await refusesArchive(join(a, tarHeader({ name: "" })), /offset 1024: a member has no name/)
  await refusesArchive(join(a, pax({ path: "p" }), END), /offset 1024: an extended header is not followed/)
  await refusesArchive(join(a, pax({ path: "p" })), /an extended header is not followed/)
  await refusesArchive(join(a, pax({ path: "p" })).subarray(0, 1540), /ends within an extended header/)
  await refusesArchive(join(a, tarHeader({ name: "x", type: "x", size: MIB + 1 })), /1048576 at most/)
  await refusesArchive(data("x", "8 path=p\n"), /offset 1024: a record of the extended header is malformed/)
  await refusesArchive(data("x", "99 path=p\n"), /malformed/)
  await refusesArchive(data("x", "0 path=p\n"), /malformed/)
  await refusesArchive(data("x", "path=p\n"), /malformed/)
  await refusesArchive(data("x", "6 =p a\n"), /malformed/)
  await refusesArchive(data("x", "11 size=0x\n"), /"size" of an extended header is no number/)
  await refusesArchive(data("x", "11 size=-1\n"), /"size" of an extended header is no number/)
  await refusesArchive(data("x", "25 size=9007199254740993\n"), /larger than any object/)
  await refusesArchive(data("x", "11 path=a\0\n"), /zero byte/)
})

test("no flipped byte of a header gives another member, and no cut a wrong one", async () => {
  const archive = join(
    fileOf("a", "aa"),
    pax({ mtime: "3.5" }),
    tarHeader({ name: "é", type: "2", linkTarget: "target", modified: 77 }),
    fileOf("c", "c".repeat(600)),
    END,
  )
  const expected = membersOf(await indexOfBytes(archive))
  const headers = [0, 1024, 2048, 2560, archive.length - 1024]
  let refusals = 0
  for (const at of headers.flatMap(header => Array.from({ length: 512 }, (_, i) => header + i))) {
    for (const mask of [1, 0x20, 0x80, 0xff]) {
      const damaged = Buffer.from(archive)
      damaged.writeUInt8(damaged.readUInt8(at) ^ mask, at)
      const found = await indexOfBytes(damaged).catch((error: unknown) => error)
      if (isFailure(found, "invalidRequest")) refusals += 1
      else if (found instanceof Error) throw found
      else assert.deepEqual(membersOf(found as TarIndex), expected, `byte ${at}`)
    }
  }
  // The remaining bytes are padding of the checksum.
  assert.ok(refusals > 0.99 * headers.length * 512 * 4, `${refusals} refused`)
  for (let length = 1; length < archive.length; length += 7) {
    const found = await indexOfBytes(archive.subarray(0, length)).catch((error: unknown) => error)
    if (isFailure(found, "invalidRequest")) continue
    for (const member of membersOf(found as TarIndex)) {
      assert.deepEqual(
        member,
        expected.find(({ path }) => Buffer.compare(path, member.path) === 0),
      )
    }
  }
})
