/** New folders that failed at a start become devices once their disk works. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fail, isFailure, type Failure } from "@hayloft/base/failures.js"
import { LeftOut } from "./left-out.js"

function world(folders: readonly string[]) {
  const devices = new Set<string>(["/known"])
  const failures = new Map<string, Failure>()
  const add = async (path: string): Promise<void> => {
    const failure = failures.get(path)
    if (failure !== undefined) throw failure
    devices.add(path)
  }
  return { devices, failures, job: new LeftOut(folders, path => devices.has(path), add) }
}

test("a folder that failed at the start is added once its disk works, whatever the others do", async () => {
  const { devices, failures, job } = world(["/known", "/broken", "/new"])
  failures.set("/broken", fail("deviceFailed", { message: "the device did not finish a call" }))
  await assert.rejects(job.step(), error => isFailure(error, "deviceFailed"))
  assert.ok(devices.has("/new"))
  await assert.rejects(job.step())
  assert.equal(job.progress(), "1 new folder left out")
  failures.clear()
  assert.equal(await job.step(), "busy")
  assert.ok(devices.has("/broken"))
  assert.equal(await job.step(), "idle")
  assert.equal(job.progress(), "no new folder is left out")
})

test("while shards move after an earlier change a folder waits, which is no failure", async () => {
  const { devices, failures, job } = world(["/new"])
  failures.set("/new", fail("conflict", { message: "shards still move" }))
  assert.equal(await job.step(), "throttled")
  failures.clear()
  assert.equal(await job.step(), "busy")
  assert.ok(devices.has("/new"))
})
