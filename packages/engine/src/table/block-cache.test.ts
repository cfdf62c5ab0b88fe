/** The block cache frees the memory of unused blocks. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { Block, BlockBuilder, fileSeed } from "../format/tables/table-block.js"
import { parseDeviceId } from "@hayloft/base/ids.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { BlockCache, type BlockSlots } from "./block-cache.js"
import { BLOCK_IDLE_MS } from "./limits.js"

function blockOf(text: string): Block {
  const builder = new BlockBuilder(256)
  builder.add(Buffer.from(text), 0, Buffer.from("value"))
  return new Block(builder.finish(fileSeed(parseDeviceId("00000000000000d1"), 1), 0))
}

test("blocks that are unused for a while are evicted, those in use stay", async () => {
  const clock = new SimClock()
  const cache = new BlockCache(1 << 20)
  const stop = new AbortController()
  const running = cache.idling(clock).run(stop.signal)
  const slots: BlockSlots = []
  for (let slot = 0; slot < 10; slot += 1) cache.put(slots, slot, blockOf(`row ${slot}`))
  const fullBytes = cache.bytes
  for (let round = 0; round < 3; round += 1) {
    await clock.advance(BLOCK_IDLE_MS)
    const [inUse] = slots
    assert.ok(inUse, "it was used")
    inUse.isUsed = true
  }
  assert.deepEqual([slots.filter(each => each !== undefined).length, cache.bytes], [1, fullBytes / 10])
  cache.put(slots, 1, blockOf("row 1"))
  assert.equal(cache.bytes, fullBytes / 5, "the cache has space for others")
  await clock.advance(2 * BLOCK_IDLE_MS)
  assert.deepEqual([slots.filter(each => each !== undefined).length, cache.bytes], [0, 0], "idle, it holds nothing")
  stop.abort()
  await clock.runUntil(running)
})
