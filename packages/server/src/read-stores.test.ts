/** The operator's file of remote stores, which changes while the store runs. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimDisk } from "@hayloft/base/seams/disk/index.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { ReadStores, readRemoteStores } from "./read-stores.js"

const PATH = "/remotes.json"
const ENTRY = { endpoint: "https://s3.example.org", accessKeyId: "key", secretAccessKey: "secret" }

test("stores are added, changed and removed by the file, and a file that is not valid changes nothing", async () => {
  const clock = new SimClock()
  const disk = new SimDisk().boot()
  const telemetry = new SimTelemetry()
  const write = async (text: string) => {
    const file = await disk.open(`${PATH}.new`, "create")
    await file.write([Buffer.from(text)], 0)
    await file.close()
    await disk.rename(`${PATH}.new`, PATH)
  }
  await write("{}")
  const configs = await readRemoteStores(disk, PATH)
  assert.ok(configs !== undefined)
  const over = new AbortController()
  const read = new ReadStores({ clock, disk, log: telemetry.log }, PATH, configs, over.signal)
  const running = read.run(over.signal).catch(() => undefined)
  const next = async (text: string) => {
    await write(text)
    await clock.runUntil(clock.sleep(6_000, new AbortController().signal))
    return [...read.stores.keys()]
  }
  const linesOf = (event: string) => telemetry.entries(event).map(({ fields }) => fields)
  assert.deepEqual(await next(JSON.stringify({ cloud: ENTRY })), ["cloud"])
  const cloud = read.stores.get("cloud")
  assert.deepEqual(await next(JSON.stringify({ cloud: ENTRY, other: ENTRY })), ["cloud", "other"])
  assert.equal(read.stores.get("cloud"), cloud, "an entry that is as it was keeps its store")
  for (const broken of ['{"cloud": {"secretAccessKey": "secr', "[]"])
    for (let look = 0; look < 2; look += 1) assert.deepEqual(await next(broken), ["cloud", "other"])
  assert.equal(linesOf("remote_stores_unreadable").length, 2, "each problem is told once")
  assert.doesNotMatch(JSON.stringify(linesOf("remote_stores_unreadable")), /secr/)
  assert.deepEqual(await next(JSON.stringify({ cloud: { ...ENTRY, secretAccessKey: "another" } })), ["cloud"])
  assert.notEqual(read.stores.get("cloud"), cloud)
  assert.deepEqual(
    linesOf("remote_stores_changed").map(({ stores }) => stores),
    ["cloud", "other", "other cloud"],
  )
  over.abort()
  await running
})
