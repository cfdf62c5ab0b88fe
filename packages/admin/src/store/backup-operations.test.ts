/** `backup now` ends with a snapshot that began after it, or says at once why there will be none soon. */
import assert from "node:assert/strict"
import { test } from "node:test"
import type { z } from "zod"
import { must } from "@hayloft/base/assert.js"
import type { Calls } from "@hayloft/features/operator/index.js"
import { backupNow } from "./backup-operations.js"
import { BACKUP } from "./store-schemas.js"

type Backup = z.output<typeof BACKUP>

const GET = { id: "getBackup", answer: BACKUP }
const ORDERED: Backup = { process: 7, isOrdered: true, isPaused: false, failures: 0 }
const COMPLETE: Backup = { ...ORDERED, isOrdered: false, completedMs: 1_700_000_000_000, sizeBytes: 2_048 }
const unused = () => assert.fail("not called")

/** Runs the command: each of its calls, the first of which is the order, gets the next answer. */
async function run(...answers: readonly Backup[]): Promise<{ readonly text: string; readonly calls: string }> {
  const left = [...answers]
  const made: string[] = []
  const next = (what: string): Backup => {
    made.push(what)
    return must(left.shift(), `an answer for ${what}`)
  }
  const call: Calls["call"] = async operation => {
    assert.equal(operation.id, GET.id)
    return operation.answer.parse(next("look"))
  }
  const calls: Calls = {
    given: unused,
    values: {},
    nowMs: unused,
    call,
    find: unused,
    print: unused,
    all: unused,
    sleep: async () => undefined,
  }
  const { text } = await must(backupNow(GET).run, "it makes calls")(calls, async () => next("order"))
  return { text: typeof text === "string" ? text : text(), calls: made.join(" ") }
}

test("it waits until nothing is ordered any more, whichever snapshots are complete before", async () => {
  const { text, calls } = await run(ORDERED, { ...ORDERED, completedMs: 1 }, { ...ORDERED, completedMs: 2 }, COMPLETE)
  assert.equal(calls, "order look look look")
  assert.equal(text, "the metadata is backed up: the last snapshot is from 2023-11-14 22:13:20Z, 2.0 KiB\n")
})

test("a process that takes over gets a new order", async () => {
  const other = { ...COMPLETE, process: 9 }
  const { calls } = await run(ORDERED, other, { ...ORDERED, process: 9 }, other)
  assert.equal(calls, "order look order look")
})

test("failures before the order do not end it, and one after it does", async () => {
  const failing = { ...ORDERED, failures: 3, lastError: "EIO" }
  assert.match((await run(failing, failing, ORDERED, COMPLETE)).text, /backed up/)
  await assert.rejects(run(failing, failing, { ...failing, failures: 4 }), /the backup fails: EIO/)
  await assert.rejects(run(failing, ORDERED, { ...failing, failures: 1 }), /the backup fails: EIO/)
})

test("a backup that cannot go on is not waited for, and the reason is shown", async () => {
  await assert.rejects(run({ ...ORDERED, isPaused: true }), /not backed up: the job metadata-backup is paused/)
  await assert.rejects(run(ORDERED, { ...ORDERED, waits: "the store is full" }), /not backed up: the store is full/)
})
