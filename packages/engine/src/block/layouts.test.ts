import assert from "node:assert/strict"
import { test } from "node:test"
import { parseDeviceId, parsePartitionId } from "@hayloft/base/ids.js"
import { planLayout, slotsOf } from "../placement/index.js"
import { assignedDeviceOf, Layouts } from "./layouts.js"

const devices = [1, 2, 3].map(number => ({ id: parseDeviceId(number.toString(16).padStart(16, "0")), weight: 1 }))
const version = (number: number) => planLayout(devices, 2, number)

test("a slot's assigned device is the one in the layout; slots beyond its width have none", () => {
  const layout = version(1)
  for (const partition of [0, 1, 77, 65_535].map(parsePartitionId)) {
    const assigned = [0, 1, 2].map(slot => assignedDeviceOf(layout, partition, slot))
    assert.deepEqual(assigned, [...slotsOf(layout, partition), undefined])
  }
})

test("a layout is drained when the last write under an older one has ended", () => {
  const layouts = new Layouts(version(1))
  const [first, second] = [layouts.hold(), layouts.hold()]
  assert.ok(layouts.isDrained)
  layouts.publish(version(2), version(1))
  const later = layouts.hold()
  first.end()
  assert.equal(layouts.isDrained, false)
  second.end()
  assert.ok(layouts.isDrained, "writes under the current layout are not waited for")
  layouts.publish(version(3), version(2))
  assert.equal(layouts.isDrained, false)
  later.end()
  assert.ok(layouts.isDrained)
})

test("layouts only go forward", () => {
  const layouts = new Layouts(version(2))
  assert.throws(() => layouts.publish(version(1), undefined))
  layouts.publish(version(2), version(1))
  assert.equal(layouts.previous?.version, 1)
})
