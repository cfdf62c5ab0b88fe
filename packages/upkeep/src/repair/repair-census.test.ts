/** The census reports every misplaced block, or says that it does not. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { parseDeviceId } from "@hayloft/base/ids.js"
import { PARTITIONS } from "@hayloft/base/limits.js"
import { parsePolicy } from "@hayloft/base/policy.js"
import { Census, MISPLACED_GROUPS_MAX, PartitionCount } from "./repair-census.js"

const deviceOf = (number: number) => parseDeviceId(number.toString(16).padStart(16, "0"))

/** Each group is on another device. */
function countOf(partition: number, groups: number): PartitionCount {
  const count = new PartitionCount(partition)
  for (let i = 0; i < groups; i += 1) count.addMisplaced(1, [deviceOf(i)], 1)
  return count
}

test("misplaced blocks of every partition are reported, also after later scans", () => {
  const census = new Census()
  for (const groups of [1, 2, 1])
    for (let partition = 0; partition < PARTITIONS; partition += 1) census.set(countOf(partition, groups))
  assert.equal(census.current(true).misplacedBlocks.length, PARTITIONS)
  assert.equal(census.current(true).omitsMisplaced, false)
})

test("a report that cannot list all misplaced blocks says so until they are gone", () => {
  const census = new Census()
  census.set(countOf(1, MISPLACED_GROUPS_MAX))
  census.set(countOf(2, 1))
  assert.equal(census.current(true).omitsMisplaced, true)
  assert.equal(census.current(true).misplacedBlocks.length, MISPLACED_GROUPS_MAX)
  census.set(countOf(2, 0))
  assert.equal(census.current(true).omitsMisplaced, false)
  census.set(countOf(1, 0))
  census.set(countOf(2, 1))
  assert.deepEqual(
    census.current(true).misplacedBlocks.map(({ partition }) => partition),
    [2],
  )
})

test("partitions without blocks count nothing, whatever was counted in them before", () => {
  const census = new Census()
  const policy = parsePolicy("replica:1")
  for (const partition of [1, 2, 3]) {
    const count = countOf(partition, 1)
    count.add(policy, 10)
    count.lackingOn.add(deviceOf(1))
    count.perhapsLackingOn.add(deviceOf(2))
    census.set(count)
  }
  census.clear(2, 4)
  const { policies, singleCopyBlocks, misplacedBlocks, lacking } = census.current(true)
  assert.deepEqual(policies, [{ policy, bytes: 10 }])
  assert.equal(singleCopyBlocks, 1)
  assert.deepEqual(
    misplacedBlocks.map(({ partition }) => partition),
    [1],
  )
  assert.equal(lacking.get(deviceOf(1))?.indexOf(1), 1)
  assert.equal(lacking.get(deviceOf(1))?.lastIndexOf(1), 1)
  census.clear(0, 2)
  assert.ok(census.hasAll(deviceOf(1)))
  assert.ok(census.hasAll(deviceOf(2)))
})
