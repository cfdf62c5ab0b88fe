/** Exchange of shards: a layout is left only once no thread of any node writes by it. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { parseDeviceId } from "@hayloft/base/ids.js"
import { Layouts } from "@hayloft/engine/block/index.js"
import { firstLayout } from "@hayloft/engine/placement/testing-plans.js"
import type { DeviceSet } from "./devices/device-set.js"
import { exchangeOf } from "./shard-exchange.js"

test("the layout of a process is the oldest one of its threads, and drained once those of others are, too", () => {
  const first = firstLayout([parseDeviceId("a".repeat(16))], 1)
  const layouts = new Layouts({ ...first, version: 4 })
  const devices: Pick<DeviceSet, "own" | "shards" | "setRemote"> = {
    own: new Map(),
    shards: new Map(),
    setRemote: () => undefined,
  }
  const exchange = exchangeOf(devices, layouts, { wakeRepair: () => undefined, setCutOff: () => undefined })
  const oldest = { threads: Infinity, elsewhere: Infinity }
  const isAsShown = (shown: number, isDrained: boolean): void =>
    assert.deepEqual([exchange.layoutVersion(), layouts.isDrained], [shown, isDrained])
  isAsShown(4, true)
  exchange.setThreads(() => oldest.threads)
  exchange.setElsewhere(() => oldest.elsewhere)
  isAsShown(4, true)
  oldest.threads = 3
  isAsShown(3, false)
  oldest.threads = 4
  oldest.elsewhere = 3
  isAsShown(4, false)
  oldest.elsewhere = 4
  isAsShown(4, true)
  const held = layouts.hold()
  layouts.publish({ ...first, version: 5 }, undefined)
  isAsShown(4, false)
  held.end()
  oldest.threads = 5
  oldest.elsewhere = 5
  isAsShown(5, true)
})
