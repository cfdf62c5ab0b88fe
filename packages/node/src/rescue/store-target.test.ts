/** The new store of a rescue: packed objects keep ETag and checksum, and nothing serves it before it is complete. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { objectKeyOfText } from "@hayloft/base/ids.js"
import { encodePackingSetting } from "@hayloft/engine/format/objects/packing-rows.js"
import { Machine, noSignal, sourceOf } from "../testing-engine.js"
import { config } from "../open/testing-start.js"
import { openStore, removeRescueMark, writeRescueMark, type Engine, type OpenedStore } from "../index.js"
import { readCopyState } from "@hayloft/features/copies/copy-log-core.js"
import { pendingHeldSince } from "@hayloft/features/remote-buckets/held-core.js"
import type { Bucket } from "@hayloft/objects/index.js"
import { isFailure } from "@hayloft/base/failures.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimDisk } from "@hayloft/base/seams/disk/index.js"
import { SimLocks } from "@hayloft/base/seams/folder-lock/index.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { isBegun } from "./begun-rescue.js"
import { StoreTarget } from "./store-target.js"
import { DoomedStore, type Rescued } from "./testing-rescue.js"

/** Rescues all devices into a store that runs. */
async function rescueInto(store: DoomedStore): Promise<Rescued & { readonly engine: Engine }> {
  const { clock, telemetry } = store.machine
  const seams = { clock, random: new SimRandom(2), disk: new SimDisk().boot(), locks: new SimLocks().boot() }
  const opened: Engine[] = []
  const run = async () => {
    const engine = await Object.assign(new Machine({ devices: 1 }), { clock }).open()
    opened.push(engine)
    return { engine, backgroundServices: [], stop: () => Promise.resolve() }
  }
  const plan = { settings: { ...config, dataFolders: ["/new"] }, fileKeys: { current: undefined }, source: "x", run }
  const rescued = await store.rescue([1, 2, 3, 4], {}, undefined, shards =>
    StoreTarget.open({ ...seams, telemetry }, plan, shards, () => undefined, noSignal),
  )
  const [engine = assert.fail("it is open")] = opened
  return { ...rescued, engine }
}

for (const isBackedUp of [true, false])
  test(`a packed object is a single upload again; with rows: ${isBackedUp}`, async () => {
    const store = await DoomedStore.open(4)
    const { clock } = store.machine
    const bucket = await store.bucket("plain")
    const etags = new Map<string, string>()
    for (let i = 0; i < 16; i += 1) {
      const bytes = store.bytes(1_000 + i)
      const body = { ...sourceOf(bytes), checksumAlgorithm: "CRC32C" } as const
      etags.set(`k${i}`, (await store.put(bucket, `k${i}`, bytes, body)).etag)
    }
    await store.set(bucket, "packing", encodePackingSetting({ afterSeconds: 0, maxBytes: 65_536 }))
    await clock.advance(3_600_000)
    await store.settle("packing")
    await store.settle("collector")
    if (isBackedUp) await store.backUp()
    const { summary, engine } = await rescueInto(store)
    assert.equal(summary[isBackedUp ? "certain" : "probable"].objects, 16)
    const { objects, buckets } = engine.services
    const found = await clock.runUntil(Promise.resolve(buckets.open(bucket.name)))
    for (const [key, etag] of etags) {
      const request = { bucket: found, key: objectKeyOfText(key), conditions: {}, headersOnly: true }
      const { info } = await clock.runUntil(Promise.resolve(objects.get(request)))
      assert.deepEqual([info.etag, info.checksum?.algorithm], [etag, isBackedUp ? "CRC32C" : info.checksum?.algorithm])
    }
  })

test("a store that a rescue has not completed is not served, wherever the rescue was cut off", async () => {
  const [clock, random] = [new SimClock(), new SimRandom(3)]
  const [simulated, locks] = [new SimDisk(), new SimLocks()]
  const disk = simulated.boot()
  const dataFolders = ["/new", "/other"]
  const open = (rescuedFrom?: string) => {
    const seams = { clock, random, disk, locks: locks.boot(), ...(rescuedFrom !== undefined && { rescuedFrom }) }
    return clock.runUntil(openStore(seams, { ...config, dataFolders }, undefined))
  }
  const close = async ({ devices }: OpenedStore) => {
    for (const device of devices) await clock.runUntil(device.release())
  }
  await close(await open("x"))
  for (const path of dataFolders) await clock.runUntil(disk.makeFolder(`${path}/volumes`))
  await assert.rejects(clock.runUntil(isBegun(disk, dataFolders, "x")), error => isFailure(error, "folderNotEmpty"))
  for (const path of dataFolders) {
    await clock.runUntil(writeRescueMark(disk, path, "x"))
    await assert.rejects(open(), /\/(new|other) belongs to a store that hayloft rescue has not completed/)
    await assert.rejects(open("y"), /has not completed/)
    assert.equal(await clock.runUntil(isBegun(disk, dataFolders, "x")), true)
    await assert.rejects(clock.runUntil(isBegun(disk, dataFolders, "y")), error => isFailure(error, "folderNotEmpty"))
    await close(await open("x"))
  }
  await clock.runUntil(removeRescueMark(disk, "/new"))
  await assert.rejects(open(), /\/other belongs to a store that hayloft rescue has not completed/)
  assert.equal(await clock.runUntil(isBegun(disk, dataFolders, "x")), true)
  await clock.runUntil(removeRescueMark(disk, "/other"))
  await close(await open())
})

test("nothing is sent over newer objects of other stores: copies are paused, and pending writes are held", async () => {
  const store = await DoomedStore.open(4)
  const { clock } = store.machine
  const [copied, remote] = [await store.bucket("copied"), await store.bucket("remote", "enabled")]
  const place = { store: "far", bucket: "there", id: "0123456789abcdef" }
  await store.set(copied, "copies", JSON.stringify(place))
  await store.set(remote, "remote", "<RemoteConfiguration/>")
  await store.put(copied, "key", store.bytes(100))
  await store.backUp()
  const { engine, entries } = await rescueInto(store)
  const told = entries.filter(({ kind }) => kind === "copies" || kind === "remote-buckets")
  assert.deepEqual(told.map(({ kind, name }) => `${kind} ${name}`).sort(), ["copies copied", "remote-buckets remote"])
  const { buckets, tablet } = engine.services
  const idOf = async (name: Bucket["name"]) => (await clock.runUntil(Promise.resolve(buckets.open(name)))).id
  const state = await tablet.ask(readCopyState(await idOf(copied.name)))
  assert.deepEqual([state?.target, state?.isPaused], [place.id, true])
  assert.ok((await tablet.ask(pendingHeldSince(await idOf(remote.name)))) !== undefined)
})

test("an object that expires does so in the new store, also if its time has passed meanwhile", async () => {
  const store = await DoomedStore.open(4)
  const { clock } = store.machine
  const bucket = await store.bucket("plain")
  const nowSeconds = Math.ceil(clock.wallMs() / 1_000)
  const [soon, late] = [nowSeconds + 7_200, nowSeconds + 1_000_000]
  for (const [name, lengthBytes] of [
    ["small", 100],
    ["large", 200_000],
  ] as const) {
    await store.put(bucket, name, store.bytes(lengthBytes))
    for (const expiresAtSeconds of [soon, late]) {
      const key = objectKeyOfText(`${name} ${expiresAtSeconds === soon ? "soon" : "late"}`)
      const attributes = { headers: {}, userMetadata: [] }
      const body = sourceOf(store.bytes(lengthBytes))
      const request = { bucket, key, conditions: {}, signal: noSignal, body, attributes, tags: [], expiresAtSeconds }
      await clock.runUntil(store.services.objects.put(request))
    }
  }
  await store.backUp()
  await clock.advance(7_200_000)
  const { engine, summary } = await rescueInto(store)
  assert.equal(summary.certain.objects, 6)
  const { objects, buckets } = engine.services
  const found = await clock.runUntil(Promise.resolve(buckets.open(bucket.name)))
  const expiryOf = async (key: string) => {
    const request = { bucket: found, key: objectKeyOfText(key), conditions: {}, headersOnly: true }
    return (await clock.runUntil(Promise.resolve(objects.get(request)))).info.expiresAtSeconds
  }
  await clock.advance(60_000)
  for (const name of ["small", "large"]) {
    assert.equal(await expiryOf(name), undefined)
    assert.equal(await expiryOf(`${name} late`), late)
    await assert.rejects(expiryOf(`${name} soon`), error => isFailure(error, "noSuchKey"))
  }
})
