import assert from "node:assert/strict"
import { test } from "node:test"
import { parseDeviceId, parsePartitionId, parseUploadId, rowKeyOf } from "../../base/ids.js"
import { needleKeyOf } from "../../format/needle.js"
import { lackingOf } from "./status-of-engine.js"

test("rows of missing shards and of damaged ones both tell what devices lack", () => {
  const [first, second] = [parseDeviceId("00000000000000aa"), parseDeviceId("00000000000000bb")]
  const needle = needleKeyOf({
    ...{ partition: parsePartitionId(0x0203), uploadId: parseUploadId("1".repeat(32)) },
    ...{ part: 0, block: 3, generation: 0, slot: 1 },
  })
  const missing = rowKeyOf(`\x01\x00${first}`)
  const damaged = rowKeyOf(`\x02\x03${second}${needle}`)
  const lacking = lackingOf([missing, damaged].map(key => [key, undefined]))
  const found = Array.from(lacking, ([id, flags]) => [id, flags.indexOf(1), flags.lastIndexOf(1)])
  assert.deepEqual(found, [
    [first, 0x0100, 0x0100],
    [second, 0x0203, 0x0203],
  ])
})
