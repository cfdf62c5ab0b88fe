/**
 * Damage to one of three metadata stores while the store is stopped: all reads succeed, and the store repairs all
 * three by itself after a while. The seed chooses the kinds of damage.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { objectKeyOfText, parseIncarnation, rowKeyOf } from "@hayloft/base/ids.js"
import { KIB } from "@hayloft/base/limits.js"
import { runsOf, TEST_SEED } from "@hayloft/base/testing-seed.js"
import type { Engine } from "@hayloft/node/engine.js"
import { createBucket, folderOf, Machine, noSignal, sourceOf } from "@hayloft/node/testing-engine.js"
import type { Bucket } from "@hayloft/objects/index.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { TABLE_LIMITS, TableStores } from "@hayloft/engine/table/index.js"
import { find, putRequest } from "../../sim/world/bodies.js"
import { BASE_ROT_KINDS, rotMetadataStore, type MetadataStoreFiles } from "./rot-base.js"

const ALL = { start: rowKeyOf("\x00"), end: rowKeyOf("\xff") }
const OBJECTS = 60
const DAMAGES = runsOf(3)
const FOLDER = "/d1/base"
const LIMITS = { ...TABLE_LIMITS, blockBytes: 1 * KIB, partitionBytes: 4 * KIB, tableBytes: 16 * KIB }
const bodyOf = (i: number): Buffer => Buffer.alloc(i % 10 === 0 ? 20 * KIB : 50, `body ${i}`)
const keyOf = (i: number) => objectKeyOfText(`key-${String(i).padStart(3, "0")}`)

function filesIn({ disk: { medium } }: Machine, folder: string): MetadataStoreFiles {
  return new Map(
    medium.namesIn(folder).map(name => {
      const file = must(medium.fileAt(`${folder}/${name}`), "the file is in the folder")
      return [name, Buffer.from(file.current.slice())]
    }),
  )
}

async function write(machine: Machine, path: string, content: Buffer | undefined): Promise<void> {
  const disk = machine.disk.boot()
  if (await disk.exists(path)) await disk.remove(path)
  if (content === undefined) return
  const file = await disk.open(path, "create")
  await file.write([content], 0)
  await file.sync()
  await file.close()
}

const checkpoint = async (engine: Engine): Promise<void> => {
  for (const { checkpointer } of engine.devices) {
    await checkpointer.checkpoint()
    for (let left = 4; left > 0; left -= 1) await checkpointer.merge()
  }
}

async function putAll(engine: Engine, bucket: Bucket, step: number): Promise<void> {
  for (let i = 0; i < OBJECTS; i += step) {
    await engine.services.objects.put(putRequest(bucket, keyOf(i), sourceOf(bodyOf(i))))
  }
}

async function assertReads(engine: Engine, bucket: Bucket, context: string): Promise<void> {
  for (let i = 0; i < OBJECTS; i += 1) {
    const got = await find(engine, bucket, keyOf(i))
    assert.ok(got?.bytes.equals(bodyOf(i)), `${context}: ${keyOf(i)}`)
  }
  const page = await engine.services.objects.list({ bucket, prefix: "", delimiter: "", after: "", max: 1_000 })
  assert.equal(page.entries.length, OBJECTS, context)
}

/** Runs the store's background jobs until none has work. */
async function settle({ clock }: Machine, engine: Engine): Promise<void> {
  const steps = [
    ...engine.devices.map(
      ({ tending }) =>
        () =>
          tending.scrubMetadata.step(noSignal),
    ),
    () => engine.control.step(),
    ...["compare replicas", "repair"].flatMap(name => {
      const job = engine.jobs.find(each => each.name === name)
      return job === undefined ? [] : [() => job.step(noSignal)]
    }),
  ]
  for (let quiet = 0; quiet < 3; quiet += 1) {
    for (const step of steps) {
      for (let left = 2_000; (await clock.runUntil(step())) === "busy"; left -= 1) {
        assert.ok(left > 0, "the jobs do not end")
        await clock.advance(100)
      }
    }
    await clock.advance(15_000)
  }
}

test(`a metadata store of three is damaged ${DAMAGES} times: all reads succeed, and it is repaired after a while`, async () => {
  let changes = 0
  for (let seed = TEST_SEED; changes < DAMAGES; seed += 1) {
    const random = new SimRandom(seed)
    const kind = must(BASE_ROT_KINDS[random.below(BASE_ROT_KINDS.length)], "there are kinds")
    const machine = new Machine({ devices: 3 }, new TableStores({ limits: LIMITS, cacheBytesMax: 0 }))
    const first = await machine.open()
    const bucket = await createBucket(first)
    await putAll(first, bucket, 1)
    await checkpoint(first)
    const older = filesIn(machine, FOLDER)
    await putAll(first, bucket, 3)
    await checkpoint(first)
    await first.stop()
    machine.disk.kill()
    const { deviceId } = machine.hostOf(1)
    const other = { deviceId: machine.hostOf(3).deviceId, files: filesIn(machine, "/d3/base") }
    const done = rotMetadataStore({ deviceId, files: filesIn(machine, FOLDER), older, other }, kind, random)
    if (done === undefined) continue
    changes += 1
    for (const [name, content] of done.changed) await write(machine, `${FOLDER}/${name}`, content)
    const life = new AbortController()
    const engine = await machine.open()
    const context = `${kind}, seed ${seed}: ${done.what}`
    const ended = Promise.all(engine.backgroundServices.map(live => live.run(life.signal)))
    await machine.clock.runUntil(assertReads(engine, bucket, context))
    await settle(machine, engine)
    await machine.clock.runUntil(assertReads(engine, bucket, context))
    const states = () => engine.recordManager.record.devices.map(({ state }) => state)
    if (states()[0] === "offline") {
      // A running store does this by itself after a while (`Returning`).
      const place = { id: deviceId, path: "/d1", incarnation: parseIncarnation(9) }
      await machine.clock.runUntil(engine.bringIn(folderOf(place)).then(stack => engine.control.bringIn(stack)))
      await settle(machine, engine)
    }
    assert.deepEqual(states(), ["active", "active", "active"], context)
    await machine.clock.runUntil(checkpoint(engine))
    const counts = engine.devices.map(({ rows }) => [...rows.range("current", ALL)].length)
    assert.deepEqual(counts, [OBJECTS, OBJECTS, OBJECTS], context)
    life.abort()
    await machine.clock.runUntil(ended)
    await machine.clock.runUntil(engine.stop())
    for (const device of [1, 2, 3]) {
      const store = await machine.stores.openReader(`/d${device}/base`, machine.hostOf(device))
      await store.verify(noSignal)
      await store.close()
    }
  }
})
