/** Which bytes of a volume a read fetches, and that bytes of anything else are refused. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure } from "@hayloft/base/failures.js"
import { SUB_BLOCK_BYTES } from "@hayloft/base/limits.js"
import { encodeNeedleHeader, needleSeed, type NeedlePlace, type ShardHeader } from "../format/needles/needle.js"
import { parseDeviceId, parseVolumeId } from "@hayloft/base/ids.js"
import { decodeGroupHeader, GROUP_HEADER_BYTES, VOLUME_PAGE_BYTES } from "../format/needles/volume.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { subBlockChecksums } from "@hayloft/base/simd/sub-block.js"
import { cacheUseOf, groupBytes, groupCount, packGroup } from "./group-core.js"
import { READ_AT_ONCE_BYTES } from "./limits.js"
import { decodeHeader, isSameNeedlePlace, planRead, subBlockStretchesOf, verifyRead } from "./needle-read-core.js"
import { needleFor } from "./testing-volumes.js"

const S = SUB_BLOCK_BYTES
const place = (bodyBytes: number, headerBytes = 100): NeedlePlace => ({
  volume: parseVolumeId(3),
  offsetBytes: 8192,
  headerBytes,
  bodyBytes,
})
const isCorrupt = (error: unknown) => isFailure(error, "corruptNeedle")

test("a read fetches the sub-blocks that its range touches, and no others", () => {
  const plan = (offsetBytes: number, lengthBytes: number) => {
    const { firstSubBlock, bodyFromBytes, bodyToBytes } = planRead(place(10 * S + 5), { offsetBytes, lengthBytes })
    return [firstSubBlock, bodyFromBytes, bodyToBytes]
  }
  assert.deepEqual(plan(0, 1), [0, 0, S])
  assert.deepEqual(plan(0, S), [0, 0, S])
  assert.deepEqual(plan(0, S + 1), [0, 0, 2 * S])
  assert.deepEqual(plan(S - 1, 2), [0, 0, 2 * S])
  assert.deepEqual(plan(S, 1), [1, S, 2 * S])
  assert.deepEqual(plan(9 * S + 7, S - 2), [9, 9 * S, 10 * S + 5])
  assert.deepEqual(plan(10 * S, 5), [10, 10 * S, 10 * S + 5])
  assert.deepEqual(plan(2 * S + 1, 0), [2, 2 * S, 2 * S])
})

test("a range that the needle does not have is damage: its row promised more", () => {
  const read = (offsetBytes: number, lengthBytes: number) => planRead(place(100), { offsetBytes, lengthBytes })
  read(0, 100)
  read(100, 0)
  for (const [offsetBytes, lengthBytes] of [
    [0, 101],
    [100, 1],
    [-1, 1],
    [50, -1],
  ] as const)
    assert.throws(
      () => read(offsetBytes, lengthBytes),
      error => isCorrupt(error) && isFailure(error) && error.details["volume"] === 3,
    )
})

test("header and body are fetched together if they are small, or adjacent", () => {
  const stretches = (bodyBytes: number, offsetBytes: number, lengthBytes: number, headerBytes = 100) => {
    const at = place(bodyBytes, headerBytes)
    return subBlockStretchesOf(at, planRead(at, { offsetBytes, lengthBytes })).map(range => [
      range.offsetBytes - 8192,
      range.lengthBytes,
    ])
  }
  assert.deepEqual(stretches(20 * S, 0, 20 * S), [[0, 100 + 20 * S]], "from the front: one piece of any size")
  assert.deepEqual(stretches(20 * S, S, 1), [[0, 100 + 2 * S]])
  const last = READ_AT_ONCE_BYTES / S - 1
  assert.deepEqual(stretches(20 * S, last * S, 1, 0), [[0, READ_AT_ONCE_BYTES]])
  assert.deepEqual(stretches(20 * S, last * S, 1), [
    [0, 100],
    [100 + last * S, S],
  ])
  assert.deepEqual(stretches(20 * S, 10 * S, S + 1), [
    [0, 100],
    [100 + 10 * S, 2 * S],
  ])
})

/** A needle of three sub-blocks, the last of which is short. */
function shard(number = 1) {
  const { id, owner, policy, blockLengthBytes } = needleFor(number, 4096, new SimRandom(1))
  const body = Uint8Array.from({ length: 2 * S + 10 }, (_, i) => (i * 31 + number) & 0xff)
  const checksums = subBlockChecksums(body, needleSeed(id))
  const header: ShardHeader = {
    kind: "shard",
    id,
    owner,
    policy,
    blockLengthBytes,
    recoveryHeader: undefined,
    bodyBytes: body.length,
    checksums,
  }
  return { header, bytes: encodeNeedleHeader(header), body }
}

test("a read is good if header, length and checksums of what it fetched are", () => {
  const { bytes, body } = shard()
  const at = place(body.length, bytes.length)
  const plan = planRead(at, { offsetBytes: S + 3, lengthBytes: S })
  const verify = (change: { header?: Uint8Array; body?: Uint8Array } = {}, isWanted = true) =>
    verifyRead(at, plan, { header: bytes, body: body.subarray(S), ...change }, { isWanted: () => isWanted })
  verify()
  assert.throws(() => verify({}, false), isCorrupt)
  assert.throws(() => verify({ body: body.subarray(S, 2 * S) }), isCorrupt)
  assert.throws(() => verify({ body: new Uint8Array([...body.subarray(S), 0]) }), isCorrupt)
  for (const [byte, subBlock] of [
    [0, 1],
    [S - 1, 1],
    [S, 2],
  ] as const) {
    const damaged = body.slice(S)
    damaged.set([(damaged[byte] ?? 0) ^ 1], byte)
    assert.throws(
      () => verify({ body: damaged }),
      error => isFailure(error, "corruptNeedle") && error.details["subBlock"] === subBlock,
    )
  }
  const rotten = bytes.slice()
  rotten.set([(rotten[21] ?? 0) ^ 1], 21)
  assert.throws(() => verify({ header: rotten }), isCorrupt)
  assert.throws(() => verify({ header: shard(2).bytes }), isCorrupt, "checksums are seeded by the needle")
})

test("a needle whose length differs from its row is another needle", () => {
  const { bytes, body } = shard()
  const at = place(body.length - 1, bytes.length)
  const plan = planRead(at, { offsetBytes: 0, lengthBytes: 1 })
  assert.throws(
    () => verifyRead(at, plan, { header: bytes, body: body.subarray(0, S) }, { isWanted: () => true }),
    error => isFailure(error, "corruptNeedle") && /another needle/.test(error.message),
  )
})

test("a header that cannot be decoded is reported with its place", () => {
  const { header, bytes } = shard()
  assert.deepEqual(decodeHeader(place(10), bytes), header)
  assert.throws(
    () => decodeHeader(place(10), bytes.subarray(0, 50)),
    error => isFailure(error, "corruptNeedle") && error.details["offsetBytes"] === 8192,
  )
})

test("two places are the same if volume and offset are; no place is the same as any", () => {
  assert.equal(isSameNeedlePlace(place(1), place(2)), true)
  assert.equal(isSameNeedlePlace(place(1), { ...place(1), offsetBytes: 4096 }), false)
  assert.equal(isSameNeedlePlace(place(1), { ...place(1), volume: parseVolumeId(4) }), false)
  assert.equal(isSameNeedlePlace(undefined, place(1)), false)
  assert.equal(isSameNeedlePlace(place(1), undefined), false)
  assert.equal(isSameNeedlePlace(undefined, undefined), false)
})

const DEVICE = parseDeviceId("00000000000000d1")

test("a group is whole pages from the end of the chain, and its needles are at the returned places", () => {
  const needles = [1, 2].map(number => ({ header: shard(number).bytes, body: shard(number).body }))
  const at = { volumeId: parseVolumeId(3), offsetBytes: 8192, groups: 4, checksum: 77n }
  const { buffers, places, after } = packGroup(DEVICE, at, needles)
  const bytes = Buffer.concat(buffers)
  assert.equal(bytes.length % VOLUME_PAGE_BYTES, 0)
  assert.ok(bytes.length - GROUP_HEADER_BYTES - needles.length * (2 * S + 1000) < VOLUME_PAGE_BYTES)
  assert.deepEqual(after, { ...at, offsetBytes: 8192 + bytes.length, groups: 5, checksum: after.checksum })
  const header = decodeGroupHeader(bytes)
  assert.deepEqual(
    [header?.needles, header?.sequence, header?.offsetBytes, header?.previousChecksum, header?.lengthBytes],
    [2, 5, 8192, 77n, bytes.length],
  )
  for (const [i, needle] of needles.entries()) {
    const found = places[i]
    assert.ok(found)
    assert.deepEqual([found.volume, found.headerBytes, found.bodyBytes], [3, needle.header.length, needle.body.length])
    const from = found.offsetBytes - 8192
    assert.deepEqual(bytes.subarray(from, from + needle.header.length), Buffer.from(needle.header))
    const bodyAt = from + needle.header.length
    assert.deepEqual(bytes.subarray(bodyAt, bodyAt + needle.body.length), Buffer.from(needle.body))
  }
  const next = packGroup(DEVICE, after, needles)
  assert.equal(decodeGroupHeader(Buffer.concat(next.buffers))?.previousChecksum, after.checksum)
})

test("a group that fills its pages exactly has no padding, and needles without a body no empty buffer", () => {
  assert.equal(groupBytes(VOLUME_PAGE_BYTES - GROUP_HEADER_BYTES), VOLUME_PAGE_BYTES)
  assert.equal(groupBytes(VOLUME_PAGE_BYTES - GROUP_HEADER_BYTES + 1), 2 * VOLUME_PAGE_BYTES)
  const { bytes } = shard()
  const at = { volumeId: parseVolumeId(3), offsetBytes: 4096, groups: 0, checksum: 0n }
  const body = new Uint8Array(VOLUME_PAGE_BYTES - GROUP_HEADER_BYTES - bytes.length)
  assert.equal(packGroup(DEVICE, at, [{ header: bytes, body }]).buffers.length, 3)
  const bare = packGroup(DEVICE, at, [{ header: bytes, body: new Uint8Array(0) }])
  assert.ok(bare.buffers.every(({ length }) => length > 0))
  assert.equal(bare.buffers.length, 3)
})

test("needles of 512 KiB on average are written past the page cache", () => {
  const sized = (...lengths: readonly number[]) =>
    lengths.map(length => ({ header: new Uint8Array(24), body: new Uint8Array(length - 24) }))
  const half = 512 * 1024
  assert.equal(cacheUseOf(sized(half)), "direct")
  assert.equal(cacheUseOf(sized(half - 1)), "cached")
  assert.equal(cacheUseOf(sized(2 * half - 100, 100)), "direct")
  assert.equal(cacheUseOf(sized(2 * half - 101, 100)), "cached")
})

test("a group takes needles from the front of the queue up to its number and bytes, and always the first", () => {
  const count = (sizes: readonly number[], needlesMax = 3, bytesMax = 100) =>
    groupCount(
      sizes.map(bytes => ({ bytes })),
      { needlesMax, bytesMax },
    )
  assert.equal(count([500]), 1)
  assert.equal(count([500, 1]), 1)
  assert.equal(count([50, 50]), 2)
  assert.equal(count([50, 51]), 1)
  assert.equal(count([30, 30, 41]), 2)
  assert.equal(count([1, 1, 1, 1]), 3)
  assert.equal(count([1, 1, 1, 1], 1), 1)
})
