import assert from "node:assert/strict"
import { before, test } from "node:test"
import { runsOf } from "@hayloft/base/testing-seed.js"
import { fc } from "@hayloft/base/testing-properties.js"
import { must } from "@hayloft/base/assert.js"
import { fail } from "@hayloft/base/failures.js"
import {
  parseDeviceId,
  parseLogSequence,
  parsePartitionId,
  parseUploadId,
  rowKeyOf,
  type RowKey,
} from "@hayloft/base/ids.js"
import type { KeyRange } from "@hayloft/base/rows/key-range.js"
import type { Soon } from "@hayloft/base/soon.js"
import { parsePolicy } from "@hayloft/base/policy.js"
import { Rows } from "../device/index.js"
import { needleKeyOf, type NeedleId } from "../format/needles/needle.js"
import { partitionOf } from "../format/needles/partition.js"
import type { IndexedNeedle } from "../volume/contract.js"
import { MemoryStores } from "@hayloft/base/seams/store/testing-memory.js"
import type { ShardDevice } from "./contract.js"
import { shardScanPage } from "./shard-scan.js"
import { ALL_NEEDLES, needleIdOf, type BlockGroup, type ShardScanPage } from "./shard-scan-core.js"
import { changed, TestDevices, type LocalDevice } from "./testing-blocks.js"

const RUNS = runsOf(20)
const shape = { policy: parsePolicy("ec:2+2"), blockLengthBytes: 1000 }

const devices = new TestDevices(async () => new Rows(await new MemoryStores().openReader("base"), parseLogSequence(0)))
let empty: LocalDevice["volumes"] | undefined
before(async () => {
  empty = devices.live.get(await devices.add(1))?.volumes
})

/** A device whose index has these keys; reading on from a damaged one throws. */
function deviceWith(
  number: number,
  keys: readonly RowKey[],
  damaged: readonly RowKey[] = [],
  onRead: () => void = () => undefined,
): ShardDevice {
  const sorted = [...keys].sort()
  const indexed = function* ({ start, end }: KeyRange): Generator<IndexedNeedle> {
    onRead()
    for (const key of sorted) {
      if (key < start || key >= end) continue
      if (damaged.includes(key)) throw fail("corruptRow")
      yield { key, bodyBytes: 64, shape, isSuspect: false }
    }
  }
  return {
    id: parseDeviceId(number.toString(16).padStart(16, "0")),
    volumes: changed(must(empty, "the device was added"), { indexed }),
    isWritable: true,
  }
}

const ids = fc
  .record({ upload: fc.nat(20), block: fc.nat(3), generation: fc.nat(1), slot: fc.nat(3), device: fc.nat(3) })
  .map(({ upload, block, generation, slot, device }) => {
    const uploadId = parseUploadId(upload.toString(16).padStart(32, "0"))
    const id: NeedleId = { partition: partitionOf(uploadId, 0, block), uploadId, part: 0, block, generation, slot }
    return { id, device }
  })

/** Local devices answer synchronously. */
function now(page: Soon<ShardScanPage>): ShardScanPage {
  assert.ok(!(page instanceof Promise))
  return page
}

function walk(devices: readonly ShardDevice[], needlesMax: number, range = ALL_NEEDLES): BlockGroup[] {
  const groups: BlockGroup[] = []
  let start: RowKey | undefined = range.start
  while (start !== undefined) {
    const page = now(shardScanPage(devices, { ...range, start }, needlesMax))
    groups.push(...page.groups)
    start = page.next
  }
  return groups
}

const shown = (groups: readonly BlockGroup[]): string[] =>
  groups.flatMap(group =>
    group.shards.map(({ slot, deviceId }) => `${needleKeyOf(needleIdOf(group, slot))} ${deviceId}`),
  )

test("a scan in pages of any size returns every copy once, each block whole and in order", () => {
  fc.assert(
    fc.property(fc.array(ids, { maxLength: 60 }), fc.integer({ min: 1, max: 30 }), (needles, needlesMax) => {
      const devices = [0, 1, 2, 3].map(number =>
        deviceWith(number, [
          ...new Set(needles.filter(({ device }) => device === number).map(({ id }) => needleKeyOf(id))),
        ]),
      )
      const groups = walk(devices, needlesMax)
      const stems = groups.map(group => needleKeyOf(needleIdOf(group, 0)))
      assert.deepEqual(stems, [...new Set(stems)].sort())
      const all = needles.map(({ id, device }) => `${needleKeyOf(id)} ${device.toString(16).padStart(16, "0")}`)
      assert.deepEqual(shown(groups).sort(), [...new Set(all)].sort())
      for (const group of groups) assert.deepEqual(group.shape, shape)
    }),
    { numRuns: RUNS },
  )
})

test("a damaged row hides the rest of its partition on its device, and nothing else", () => {
  fc.assert(
    fc.property(fc.array(ids, { minLength: 1, maxLength: 60 }), fc.nat(), (needles, pick) => {
      const broken = must(needles[pick % needles.length], "one of them")
      const keys = (number: number) =>
        [...new Set(needles.filter(({ device }) => device === number).map(({ id }) => needleKeyOf(id)))].sort()
      const devices = [0, 1, 2, 3].map(number =>
        deviceWith(number, keys(number), number === broken.device ? [needleKeyOf(broken.id)] : []),
      )
      const brokenKey = needleKeyOf(broken.id)
      const isHidden = (key: string, device: number) =>
        device === broken.device && key.startsWith(brokenKey.slice(0, 2)) && key >= brokenKey
      const expected = [0, 1, 2, 3].flatMap(number =>
        keys(number)
          .filter(key => !isHidden(key, number))
          .map(key => `${key} ${number.toString(16).padStart(16, "0")}`),
      )
      assert.deepEqual(shown(walk(devices, 10_000)).sort(), expected.sort())
    }),
    { numRuns: RUNS },
  )
})

test("a damaged row far behind the others is found with few reads", () => {
  const uploadId = parseUploadId("0".repeat(31) + "1")
  const [near, far, last] = [1, 40_000, 60_000].map(partition =>
    needleKeyOf({ partition: parsePartitionId(partition), uploadId, part: 0, block: 0, generation: 0, slot: 0 }),
  )
  const keys = [must(near, "a key"), must(far, "a key"), must(last, "a key")]
  let reads = 0
  const device = deviceWith(1, keys, keys.slice(1, 2), () => void (reads += 1))
  assert.deepEqual(shown(walk([device], 10)), [`${near} ${device.id}`, `${last} ${device.id}`])
  assert.ok(reads < 25, `${reads} reads`)
})

test("devices without needles are not read, and a scan stays within its range", () => {
  assert.deepEqual(shardScanPage([deviceWith(1, [])], ALL_NEEDLES, 10), { groups: [], next: undefined })
  assert.deepEqual(shardScanPage([], ALL_NEEDLES, 10), { groups: [], next: undefined })
  const uploadId = parseUploadId("0".repeat(31) + "1")
  const id = { partition: partitionOf(uploadId, 0, 0), uploadId, part: 0, block: 0, generation: 0, slot: 0 }
  const key = needleKeyOf(id)
  assert.equal(walk([deviceWith(1, [key])], 10, { start: rowKeyOf("\x00"), end: key }).length, 0)
})
