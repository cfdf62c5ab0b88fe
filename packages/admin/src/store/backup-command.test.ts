/** `backup now` ends with a snapshot that began after it, or says at once why there will be none soon. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { JOB, type Calls } from "@hayloft/features/operator/index.js"
import { backupNow } from "./backup-command.js"

const WAKE = { id: "wakeJob", answer: JOB }
const REST = { state: "busy", throttle: 2 } as const
const unused = () => assert.fail("not called")

/** Runs the command; the job shows one progress after the other, and those of `ordered` from its order on. */
async function run(before: readonly string[], ordered: readonly string[], node?: string): Promise<string> {
  let shown = [...before]
  let isOrdered = false
  const jobNow = () => {
    const progress = shown.length > 1 ? must(shown.shift(), "more than one") : must(shown[0], "one is left")
    return { ...REST, name: "metadata-backup", progress }
  }
  const elsewhere = { ...REST, name: "metadata-backup", progress: `node ${node} does this` }
  const jobs = () =>
    node === undefined ? [jobNow()] : [elsewhere, { ...jobNow(), name: `metadata-backup on ${node}` }]
  const call: Calls["call"] = async operation => {
    assert.equal(operation.id, WAKE.id)
    isOrdered = true
    shown = [...ordered]
    return operation.answer.parse(jobNow())
  }
  const calls: Calls = {
    given: unused,
    values: {},
    nowMs: 0,
    call,
    find: unused,
    print: unused,
    all: unused,
    sleep: async () => undefined,
  }
  const { text } = await must(backupNow(WAKE).run, "it makes calls")(calls, async () => ({
    jobs: jobs(),
    started: [],
    revision: "",
  }))
  assert.ok(isOrdered)
  return typeof text === "string" ? text : text()
}

test("a snapshot that had begun before the command does not count, nor does the last one before", async () => {
  const text = await run(
    ["writing: 3 chunks so far", "removing outdated snapshots", "the last snapshot is from 09:59, 9 bytes, 0 min old"],
    [
      "the last snapshot is from 09:59, 9 bytes, 0 min old",
      "a snapshot is ordered; the last snapshot is from 09:59, 9 bytes, 0 min old",
      "writing: 0 chunks so far",
      "the last snapshot is from 10:00, 9 bytes, 0 min old",
    ],
  )
  assert.match(text, /^the metadata is backed up: the last snapshot is from 10:00/)
})

test("the first snapshot of a store counts", async () => {
  const none = "there is no snapshot of the metadata yet"
  const text = await run(["looking for the last snapshot", none], [none, "the last snapshot is from 10:00, 9 bytes"])
  assert.match(text, /10:00/)
})

test("the backup of another node is followed there", async () => {
  const text = await run(
    ["the last snapshot is from 09:59, 9 bytes"],
    ["the last snapshot is from 10:00, 9 bytes"],
    "n2",
  )
  assert.match(text, /10:00/)
})

test("an order that waits keeps no later one from beginning", async () => {
  const last = "the last snapshot is from 09:59, 9 bytes, 0 min old"
  const text = await run(
    [`an ordered snapshot waits: the store is full; ${last}`],
    [`a snapshot is ordered; ${last}`, "the last snapshot is from 10:00, 9 bytes"],
  )
  assert.match(text, /10:00/)
})

test("a backup that cannot go on is not waited for, and the reason is shown", async () => {
  const last = "the last snapshot is from 09:59, 9 bytes, 0 min old"
  await assert.rejects(run([`paused; ${last}`], []), /not backed up: paused/)
  await assert.rejects(run([last], [`an ordered snapshot waits: the store is full; ${last}`]), /the store is full/)
  await assert.rejects(run(["no node does this yet"], []), /no node does this yet/)
})
