import assert from "node:assert/strict"
import { test } from "node:test"
import { hexOf } from "@hayloft/base/bytes.js"
import { isFailure } from "@hayloft/base/failures.js"
import { parsePartitionId } from "@hayloft/base/ids.js"
import { PARTITIONS, STORE_DEVICES_MAX } from "@hayloft/base/limits.js"
import { equal, weighted } from "./testing-devices.js"
import { xxh64 } from "@hayloft/base/simd/xxh64.js"
import { decodeLayout, encodeLayout, isSound, slotsOf, slotsPerDevice, tableFor, type Layout } from "./layout.js"
import { planLayout } from "./next-layout.js"

/** Devices, length, first bytes and checksum of an encoded table. */
const GOLDEN: readonly string[] = [
  "255 131073 02000107080e0f1516 0f7f7774b91ff775",
  "256 262145 820000010007000800 d2d1d5fedf0223b7",
  "1000 1835009 8e0000010002000300 f92b15e87055edc4",
  "4096 4194305 a00000010002000300 bddea72667aabf5f",
]

test("no partition has two slots on one device", () => {
  for (const [weights, width] of [
    [[1, 1, 1, 1, 1, 1, 1], 7],
    [[1, 2, 3, 4, 5], 3],
    [[10, 1, 1], 2],
  ] as const) {
    const layout = planLayout(weighted(weights), width)
    for (let partition = 0; partition < PARTITIONS; partition += 1) {
      const slots = slotsOf(layout, parsePartitionId(partition))
      assert.equal(new Set(slots).size, width)
    }
  }
})

test("devices hold shares by weight, as far as distinct devices allow", () => {
  const held = slotsPerDevice(planLayout(weighted([1, 2, 3, 4]), 2))
  const total = 2 * PARTITIONS
  held.forEach((count, i) => assert.ok(Math.abs(count / total - (i + 1) / 10) < 0.002, `device ${i}: ${count / total}`))
  const capped = slotsPerDevice(planLayout(weighted([100, 1, 1]), 2))
  assert.equal(capped[0], PARTITIONS)
  assert.ok(Math.abs((capped[1] ?? 0) / PARTITIONS - 0.5) < 0.002)
})

test("each device is in each slot about equally often", () => {
  const layout = planLayout(equal(7), 7)
  for (const slots of [1, 4]) {
    for (const count of slotsPerDevice(layout, slots)) {
      assert.ok(Math.abs(count / PARTITIONS - slots / 7) < 0.01, `${slots} slots: ${count}`)
    }
  }
})

test("each two devices meet about equally often, so that all help to rebuild one", () => {
  const layout = planLayout(equal(10), 3)
  const together = Array.from({ length: 100 }, () => 0)
  for (let at = 0; at < layout.table.length; at += 3) {
    const slots = [...layout.table.subarray(at, at + 3)]
    for (const a of slots) for (const b of slots) together[a * 10 + b] = (together[a * 10 + b] ?? 0) + 1
  }
  const expected = (PARTITIONS * 3 * 2) / (10 * 9)
  together.forEach((count, at) => {
    if (at % 11 !== 0) assert.ok(Math.abs(count / expected - 1) < 0.06, `${at}: ${count} instead of ${expected}`)
  })
})

test("the same devices give the same layout", () => {
  const a = planLayout(weighted([3, 1, 2, 2]), 3)
  const b = planLayout(weighted([3, 1, 2, 2]), 3)
  assert.deepEqual(a.table, b.table)
})

test("a layout is read back as it was written, and damage is refused", () => {
  const layout = planLayout(equal(4), 3, 5)
  const bytes = encodeLayout(layout)
  assert.deepEqual(decodeLayout(bytes, 5, layout.devices), layout)
  const isRefused = (damaged: Uint8Array, devices = layout.devices) =>
    assert.throws(
      () => decodeLayout(damaged, 5, devices),
      error => isFailure(error, "corruptRecord"),
    )
  isRefused(bytes.subarray(0, -1))
  isRefused(new Uint8Array(0))
  isRefused(bytes, layout.devices.slice(1))
  const twice = bytes.slice()
  twice[2] = twice[1] ?? 0
  isRefused(twice)
  assert.equal(isSound({ ...layout, table: twice.subarray(1) }), false)
})

/** Slot s of partition p on device (step · p + s) mod count: sound, and made without planning. */
function striped(count: number, width: number): Layout {
  const table = tableFor(count, PARTITIONS * width)
  table.forEach((_, at) => (table[at] = (7 * Math.floor(at / width) + (at % width)) % count))
  return { version: 3, width, table, devices: equal(count).map(({ id }) => id) }
}

test("encoded tables are unchanged, byte for byte: one byte for each slot up to 255 devices, then two", () => {
  const encoded = [
    [255, 2],
    [256, 2],
    [1000, 14],
    [STORE_DEVICES_MAX, 32],
  ].map(([count = 0, width = 0]) => {
    const layout = striped(count, width)
    const bytes = encodeLayout(layout)
    assert.deepEqual(decodeLayout(bytes, 3, layout.devices), layout)
    const sum = xxh64(bytes).toString(16).padStart(16, "0")
    return `${count} ${bytes.length} ${hexOf(bytes.subarray(0, 9))} ${sum}`
  })
  assert.deepEqual(encoded, GOLDEN)
})

test("an encoded table of the wrong kind, or with an unknown device, is refused", () => {
  const isRefused = (bytes: Uint8Array, count: number) =>
    assert.throws(
      () =>
        decodeLayout(
          bytes,
          3,
          equal(count).map(({ id }) => id),
        ),
      error => isFailure(error, "corruptRecord"),
    )
  const [narrow, wide] = [encodeLayout(striped(255, 2)), encodeLayout(striped(256, 2))]
  isRefused(narrow, 256)
  isRefused(wide, 255)
  isRefused(wide.subarray(0, -1), 256)
  isRefused(Uint8Array.of(0x80), 256)
  const unknown = wide.slice()
  unknown[2] = 1
  isRefused(unknown, 256)
  const twice = wide.slice()
  twice.copyWithin(3, 1, 3)
  isRefused(twice, 256)
})
