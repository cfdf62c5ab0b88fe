/** The index of a tar archive is unchanged, byte for byte, is searched correctly, and damaged ones are refused. */
import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import { bytesOfHex, hexOf } from "@hayloft/base/bytes.js"
import { isFailure } from "@hayloft/base/failures.js"
import { fc } from "@hayloft/base/testing-properties.js"
import { TAR_KINDS, TAR_MODIFIED_MS_MAX, TarIndex, TarIndexWriter, type TarMember } from "./tar-index.js"

const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text))
const NOW_MS = Date.UTC(2026, 0, 2, 3, 4, 5)

function indexOf(members: readonly TarMember[], archiveBytes = 1e10): Uint8Array {
  const writer = new TarIndexWriter(archiveBytes)
  for (const member of members) writer.add(member)
  const { lengthBytes } = writer
  const index = writer.finish()
  assert.equal(index.length, lengthBytes)
  return index
}

const file = (path: string, offsetBytes: number, sizeBytes = 10): TarMember => ({
  path: bytes(path),
  kind: "file",
  sizeBytes,
  modifiedMs: NOW_MS,
  offsetBytes,
  linkTarget: undefined,
})

const SAMPLE: readonly TarMember[] = [
  file("a", 512, 0),
  file("a.svg", 1024, 700),
  { ...file("dir", 3072, 0), kind: "directory", modifiedMs: NOW_MS - 1 },
  { ...file("dir/big", 9e9 - (9e9 % 512), 9e9), modifiedMs: -1001 },
  { ...file("dir/device", 4096, 0), kind: "blockDevice", modifiedMs: -2000 },
  { ...file("dir/é", 1024, 700), kind: "hardLink", linkTarget: bytes("a.svg"), modifiedMs: 0 },
  { ...file("z", 3584, 0), kind: "symlink", linkTarget: bytes("../x"), modifiedMs: TAR_MODIFIED_MS_MAX },
]

test("tar index v1 is unchanged, byte for byte", () => {
  const golden = readFileSync(
    new URL("../../../../../../packages/engine/src/format/golden/tar-index-v1.hex", import.meta.url),
    "utf8",
  ).trim()
  assert.equal(hexOf(indexOf(SAMPLE)), golden)
  const index = TarIndex.open(bytesOfHex(golden) ?? new Uint8Array(0))
  assert.deepEqual([...index.from(bytes(""))], SAMPLE)
  assert.deepEqual([index.members, index.archiveBytes, index.lengthBytes], [SAMPLE.length, 1e10, golden.length / 2])
})

test("every prefix and every single flipped bit of a tar index is refused", () => {
  const whole = indexOf(SAMPLE)
  const refuses = (damaged: Uint8Array): void => {
    assert.throws(
      () => TarIndex.open(damaged),
      error => isFailure(error, "corruptRecord"),
    )
  }
  for (let length = 0; length < whole.length; length += 1) refuses(whole.subarray(0, length))
  for (let bit = 0; bit < whole.length * 8; bit += 1) {
    const flipped = whole.slice()
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    refuses(flipped)
  }
})

test("an index of no members is one", () => {
  const index = TarIndex.open(indexOf([]))
  assert.equal(index.find(bytes("a")), undefined)
  assert.deepEqual([...index.from(bytes(""))], [])
})

const someMembers = fc
  .uniqueArray(
    fc.record({
      path: fc.uint8Array({ minLength: 1, maxLength: 12 }).map(path => path.map(byte => byte % 5)),
      kind: fc.constantFrom(...TAR_KINDS),
      sizeBytes: fc.oneof(fc.nat(2000), fc.maxSafeNat()),
      modifiedMs: fc.oneof(
        fc.integer({ min: -TAR_MODIFIED_MS_MAX, max: TAR_MODIFIED_MS_MAX }),
        fc.integer({ min: -1e9, max: 1e9 }).map(seconds => seconds * 1000),
      ),
      offsetBytes: fc.nat(2 ** 30).map(unit => unit * 512),
      target: fc.uint8Array({ maxLength: 300 }),
    }),
    { maxLength: 200, selector: ({ path }) => hexOf(path) },
  )
  .map(members =>
    members
      .map(({ target, ...member }): TarMember => ({
        ...member,
        linkTarget: member.kind === "symlink" || member.kind === "hardLink" ? target : undefined,
      }))
      .sort((a, b) => Buffer.compare(a.path, b.path)),
  )

test("members are found by path, and listed from any path on, as in a sorted list", () => {
  fc.assert(
    fc.property(someMembers, fc.uint8Array({ maxLength: 6, max: 5 }), (members, asked) => {
      const index = TarIndex.open(indexOf(members))
      for (const member of members) assert.deepEqual(index.find(member.path), member)
      const expected = members.filter(({ path }) => Buffer.compare(path, asked) >= 0)
      assert.deepEqual([...index.from(asked)], expected)
      const isThere = expected[0] !== undefined && Buffer.compare(expected[0].path, asked) === 0
      assert.deepEqual(index.find(asked), isThere ? expected[0] : undefined)
    }),
    { numRuns: 300 },
  )
})

test("members that are not in order are a bug", () => {
  assert.throws(() => indexOf([file("b", 512), file("a", 1024)]), /in order/)
  assert.throws(() => indexOf([file("a", 512), file("a", 1024)]), /in order/)
})
