/** The census reports every misplaced block, or says that it does not. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { parseDeviceId } from "../../base/ids.js"
import { PARTITIONS } from "../../base/limits.js"
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
