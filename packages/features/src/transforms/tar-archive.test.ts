/** Archives by their indexes: few reads of large ones, many members, pages of lists, and indexes kept in memory. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { runsOf } from "@hayloft/base/testing-seed.js"
import { isFailure } from "@hayloft/base/failures.js"
import { GIB, KIB, MIB } from "@hayloft/base/limits.js"
import { TarIndex, TarIndexWriter } from "@hayloft/engine/format/objects/tar-index.js"
import { TRANSFORM_LIMITS } from "./limits.js"
import { listingOf, archiveMember, TarIndexes, type MemberPage } from "./tar-archive.js"
import { buildTarIndex } from "./tar-index-builder.js"
import {
  CountingReader,
  extended,
  fileOf,
  indexOfBytes,
  indexOfReader,
  noPause,
  padded,
  readerOf,
  readerOfParts,
  tarHeader,
} from "./testing-tar.js"

/** More than 16 bits can count. */
const MEMBERS = Math.min(TRANSFORM_LIMITS.membersMax, runsOf(70_000))
const list = { kind: "list", prefix: "", after: "", membersMax: 1000 } as const
const pathsOf = ({ members }: MemberPage): readonly string[] => members.map(({ path }) => path)

test("one member of 10 bytes in an archive of 1 GiB is found with few reads", async () => {
  const parts = new Map<number, Uint8Array>()
  const large = 100 * MIB
  for (let i = 0; i < 10; i += 1) parts.set(i * (large + 512), tarHeader({ name: `large-${i}`, size: large }))
  const at = 10 * (large + 512)
  parts.set(at, fileOf("small", "0123456789"))
  parts.set(at + 1024, tarHeader({ name: "rest", size: GIB - at - 1536 }))
  const reader = readerOfParts(parts)
  const index = await indexOfReader(reader, GIB)
  assert.deepEqual(archiveMember(index, "small"), { range: { first: at + 512, lengthBytes: 10 }, modifiedMs: 0 })
  assert.equal(index.members, 12)
  assert.ok(reader.reads <= 12 && reader.bytes <= MIB, `${reader.reads} reads of ${reader.bytes} bytes`)
})

test("many small members are read in few large windows", async () => {
  const archive = Buffer.concat(Array.from({ length: 4000 }, (_, i) => fileOf(`file-${i}`, "x".repeat(900))))
  const reader = readerOf(archive)
  assert.equal((await indexOfReader(reader, archive.length)).members, 4000)
  assert.ok(reader.reads <= 12 && reader.bytes < archive.length + 16 * KIB, `${reader.reads} reads`)
})

/** An archive whose members of 10 bytes have their names in no order. */
function archiveOf(members: number): CountingReader {
  const header = tarHeader({ name: "images/train/class-000/picture-0000000.jpeg", size: 10, modified: 1_700_000_000 })
  const [digitsAt, classAt] = [31, 19]
  const plainSum = header.reduce((sum, byte, at) => sum + (at >= 148 && at < 156 ? 32 : byte), 0)
  return new CountingReader((target, first) => {
    for (let at = first - (first % 1024); at < first + target.length; at += 1024) {
      const name = String(((at / 1024) * 7919) % members).padStart(7, "0")
      const block = Buffer.from(header)
      block.write(name, digitsAt)
      block.write(name.slice(0, 3), classAt)
      const digits = [...name, ...name.slice(0, 3)].reduce((sum, digit) => sum + Number(digit), 0)
      block.write((plainSum + digits).toString(8).padStart(6, "0"), 148)
      const from = Math.max(0, first - at)
      if (from < 512 && at + from < first + target.length)
        target.set(block.subarray(from, from + first + target.length - at), at + from - first)
    }
  })
}

test(`${MEMBERS} members: the index is complete, and how long it takes`, async t => {
  const reader = archiveOf(MEMBERS)
  const startedMs = performance.now()
  let pauses = 0
  const pause = (): Promise<void> => {
    pauses += 1
    return noPause()
  }
  const before = process.memoryUsage()
  const bytes = await buildTarIndex(reader.read, MEMBERS * 1024, new AbortController().signal, pause)
  const builtMs = performance.now() - startedMs
  const after = process.memoryUsage()
  const index = TarIndex.open(bytes)
  assert.equal(index.members, MEMBERS)
  const askedMs = performance.now()
  const lookups = 10_000
  for (let i = 0; i < lookups; i += 1) {
    const at = (i * 7919) % MEMBERS
    const name = String((at * 7919) % MEMBERS).padStart(7, "0")
    const { range } = archiveMember(index, `images/train/class-${name.slice(0, 3)}/picture-${name}.jpeg`)
    assert.deepEqual(range, { first: at * 1024 + 512, lengthBytes: 10 })
  }
  const lookupUs = ((performance.now() - askedMs) * 1000) / lookups
  const mib = (value: number): string => `${(value / MIB).toFixed(1)} MiB`
  const arrays = after.arrayBuffers - before.arrayBuffers
  t.diagnostic(`built in ${builtMs.toFixed(0)} ms, ${reader.reads} reads, ${pauses} pauses, ${mib(arrays)} more in use`)
  t.diagnostic(`index of ${mib(bytes.length)}, ${lookupUs.toFixed(1)} µs for a lookup`)
  assert.ok(bytes.length < 20 * MEMBERS)
})

test("more members or names than the limits are refused, and a signal ends the work", async () => {
  const archive = Buffer.concat(["a", "b", "c"].map(name => fileOf(name, name)))
  const { read } = readerOf(archive)
  const { signal } = new AbortController()
  const build = (membersMax: number, indexBytesMax: number) =>
    buildTarIndex(read, archive.length, signal, noPause, { membersMax, indexBytesMax })
  assert.equal(TarIndex.open(await build(3, 1000)).members, 3)
  const refused = (pattern: RegExp) => (error: unknown) =>
    isFailure(error, "invalidRequest") && pattern.test(error.message)
  await assert.rejects(build(2, 1000), refused(/more than 2 members/))
  await assert.rejects(build(3, 60), refused(/an index of more than 60 bytes/))
  const aborted = AbortSignal.abort(new Error("stopped"))
  await assert.rejects(buildTarIndex(read, archive.length, aborted, noPause), /stopped/)
  for (const length of [archive.length - 1, archive.length + 1]) {
    const another = () => readerOf(archive).read({ first: 0, lengthBytes: length })
    await assert.rejects(buildTarIndex(another, archive.length, signal, noPause), { kind: "internal" })
  }
  const name = Buffer.alloc(MIB, "n")
  const long = padded(Buffer.concat([extended("L", name), tarHeader({ name: "x" })]))
  const one = new CountingReader((target, first) => {
    for (let at = 0; at < target.length;) {
      const part = long.subarray((first + at) % long.length)
      target.set(part.subarray(0, target.length - at), at)
      at += part.length
    }
  })
  await assert.rejects(buildTarIndex(one.read, 300 * long.length, signal, noPause), refused(/names of more than/))
})

test("a list goes on where the page before ended, within a prefix", async () => {
  const names = ["a", "b/1", "b/2", "b/3", "b/é", "b/é\\101", "c"]
  const index = await indexOfBytes(Buffer.concat([...names].reverse().map(name => fileOf(`./${name}`, name))))
  for (const [prefix, expected] of [
    ["", names],
    ["./", names],
    ["b/", names.slice(1, 6)],
    ["./b/", names.slice(1, 6)],
    ["b/é", ["b/é", "b/é\\101"]],
    ["bbb", []],
    ["zzzzzz", []],
  ] as const) {
    for (const membersMax of [1, 2, 3, 100]) {
      const found: string[] = []
      let after = ""
      for (;;) {
        const page = listingOf(index, { ...list, prefix, after, membersMax })
        assert.ok(page.members.length <= membersMax)
        found.push(...pathsOf(page))
        if (page.next === undefined) break
        after = page.next
      }
      assert.deepEqual(
        found,
        expected.map(name => name.replace("\\101", "\\134101")),
      )
    }
  }
  assert.deepEqual(
    pathsOf(listingOf(index, { ...list, prefix: "b/", after: "a" })),
    pathsOf(listingOf(index, { ...list, prefix: "b/" })),
  )
  assert.deepEqual(pathsOf(listingOf(index, { ...list, after: "./b/3x" })).slice(0, 1), ["b/é"])
})

test("a listed member has kind, size, time and target", async () => {
  const link = tarHeader({ name: "l", type: "2", linkTarget: "../t", modified: 1 })
  const { members } = listingOf(await indexOfBytes(Buffer.concat([fileOf("f", "12345"), link])), list)
  assert.deepEqual(members, [
    { path: "f", kind: "file", sizeBytes: 5, modified: "1970-01-01T00:00:00.000Z" },
    { path: "l", kind: "symlink", sizeBytes: 0, modified: "1970-01-01T00:00:01.000Z", linkTarget: "../t" },
  ])
})

test("a page ends before its names are too long", async () => {
  const archive = Buffer.concat(
    Array.from({ length: 9 }, (_, i) =>
      Buffer.concat([extended("L", Buffer.alloc(MIB - 1, String(i))), tarHeader({ name: "x" })]),
    ),
  )
  const page = listingOf(await indexOfBytes(archive), list)
  assert.equal(page.members.length, 4)
  assert.equal(page.next?.[0], "3")
})

function indexWith(paths: readonly string[]): Uint8Array {
  const writer = new TarIndexWriter(10_000)
  const rest = { kind: "file", sizeBytes: 1, modifiedMs: 0, offsetBytes: 512, linkTarget: undefined } as const
  for (const path of paths) writer.add({ path: Buffer.from(path), ...rest })
  return writer.finish()
}

test("indexes are loaded once, those used last are kept, and failures are not", async () => {
  const bytes = indexWith(["a"])
  const indexes = new TarIndexes(2 * bytes.length)
  const loads: string[] = []
  const ask = (key: string, loaded: Uint8Array = bytes) =>
    indexes.of(key, async () => {
      loads.push(key)
      await Promise.resolve()
      return loaded
    })
  const [first, second] = await Promise.all([ask("1"), ask("1")])
  assert.equal(first, second)
  assert.deepEqual([loads.splice(0), indexes.lengthBytes], [["1"], bytes.length])
  await ask("2")
  await ask("1")
  await ask("3")
  assert.equal(indexes.lengthBytes, 2 * bytes.length)
  await ask("1")
  await ask("2")
  assert.deepEqual(loads.splice(0), ["2", "3", "2"])
  const large = indexWith(Array.from({ length: 100 }, (_, i) => String(1000 + i)))
  assert.equal((await ask("large", large)).members, 100)
  await ask("2")
  await ask("large", large)
  assert.deepEqual(loads.splice(0), ["large", "large"])
  await assert.rejects(ask("bad", bytes.subarray(1)), { kind: "corruptRecord" })
  await assert.rejects(
    indexes.of("none", () => Promise.reject(new Error("no such object"))),
    /no such object/,
  )
  assert.equal((await ask("none")).members, 1)
})
