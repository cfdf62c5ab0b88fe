import assert from "node:assert/strict"
import { test } from "node:test"
import { parseDeviceId, parseIncarnation } from "@hayloft/base/ids.js"
import { readRecordFile, replaceRecordFile } from "@hayloft/engine/device/index.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimDisk } from "@hayloft/base/seams/disk/index.js"
import { parseRuntimeFile } from "@hayloft/client/credentials.js"
import { RuntimeFiles } from "./runtime-file.js"

const runtimeOf = (pid: number, host = "127.0.0.1") => ({
  endpoint: `http://${host}:9000`,
  adminEndpoint: `http://${host}:9001`,
  region: "us-east-1",
  pid,
})

test("a folder on a full disk gets the file of each process, and the space for records is left alone", async () => {
  const sim = new SimDisk()
  const disk = sim.boot()
  await disk.makeFolder("/d/ballast")
  await replaceRecordFile(disk, "/d/ballast/records", new Uint8Array(9000))
  const readWith = async (pid: number, host?: string) => {
    const place = { id: parseDeviceId("00000000000000aa"), path: "/d", incarnation: parseIncarnation(pid) }
    await RuntimeFiles.begin(new SimClock(), () => [{ place, space: { disk } }], runtimeOf(pid, host))
    const bytes = await readRecordFile(disk, "/d/runtime")
    return parseRuntimeFile(Buffer.from(bytes ?? []).toString("utf8"))
  }
  assert.deepEqual(await readWith(1), runtimeOf(1))
  sim.capacityBytes = sim.medium.usedBytes
  sim.intercept(call => assert.ok(!call.path.includes("ballast"), `${call.kind} ${call.path}`))
  for (const [pid, host] of [[2], [30_000, "a-name-that-is-longer.example.org"], [4]] as const)
    assert.deepEqual(await readWith(pid, host), runtimeOf(pid, host))
})
