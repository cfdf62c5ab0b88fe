/**
 * Metadata scenarios: rows vanish from one or all replicas of a stopped store. The bodies of the lost rows must
 * survive, whatever the store does.
 */
import { must } from "@hayloft/base/assert.js"
import type { DeviceId } from "@hayloft/base/ids.js"
import { objectKeyOfText, parseAccountId, parseBucketName, rowKeyOf } from "@hayloft/base/ids.js"
import { TableStores } from "@hayloft/engine/table/index.js"
import type { Engine } from "@hayloft/node/engine.js"
import { countOfClientNeedles, isOwnRow, settle, settleUnseen } from "./audit.js"
import { bodyBytes, find, nameOfBody, putRequest, sourceOf } from "./bodies.js"
import { check } from "./checks.js"
import { World } from "./world.js"

const NAME = parseBucketName("scenario")
const ALL = { start: rowKeyOf("\x00"), end: rowKeyOf("\xff".repeat(64)) }
const DEVICES = 4
const OBJECTS = 40
const keyOf = (number: number): string => `key-${number}`

interface Stopped {
  readonly world: World
  /** The content of all devices. */
  readonly needles: number
  /** Device ids by bay. */
  readonly ids: ReadonlyMap<string, DeviceId>
}

/** A store with some objects of one block each, after a clean stop: all rows are in the metadata stores. */
async function stopped(seed: number): Promise<Stopped> {
  const world = new World({ seed, devices: DEVICES })
  const engine = await world.start()
  await engine.services.buckets.create({ name: NAME, owner: parseAccountId("root"), location: "" })
  const bucket = await engine.services.buckets.open(NAME)
  for (let number = 0; number < OBJECTS; number += 1) {
    const key = objectKeyOfText(keyOf(number))
    await engine.services.objects.put(putRequest(bucket, key, sourceOf(bodyBytes(keyOf(number), 20_000))))
  }
  await settle(world, engine)
  const needles = countOfClientNeedles(engine)
  const ids = new Map(engine.devices.map(({ place }) => [place.path, place.id]))
  await world.stop(engine)
  return { world, needles, ids }
}

/**
 * Removes rows of objects from the metadata store of a device, each with this probability. The store stays well-formed.
 */
async function removeRows({ world, ids }: Stopped, bay: string, chance: number): Promise<void> {
  const random = world.random.fork("removals")
  const deviceId = must(ids.get(bay), `a device is in ${bay}`)
  const host = { disk: world.bays.driveOf(bay).disk.boot(), deviceId }
  const store = await new TableStores().openWriter(`${bay}/base`, host)
  const rows = [...store.range("current", ALL)].filter(([key]) => !isOwnRow(key) && random.below(100) < 100 * chance)
  await store.commit(rows.map(([key]) => ({ family: "current", key, value: undefined })))
  await store.close()
}

async function readAll(engine: Engine): Promise<void> {
  const bucket = await engine.services.buckets.open(NAME)
  for (let number = 0; number < OBJECTS; number += 1) {
    const body = await find(engine, bucket, objectKeyOfText(keyOf(number)))
    const name = body && nameOfBody(body.bytes)
    check("acknowledgedStays", name === keyOf(number), () => `${keyOf(number)} reads ${name}`)
  }
}

/** The replica that is read first has lost rows but is well-formed: no body is removed, and every row is restored. */
export async function damagedReplica(seed: number): Promise<void> {
  const store = await stopped(seed)
  const { world, needles } = store
  await removeRows(store, "/d1", 0.3)
  const engine = await world.start()
  await settle(world, engine)
  const left = countOfClientNeedles(engine)
  check(
    "bodiesOutliveRows",
    left === needles,
    () => `${needles - left} shards were removed although only one replica lost their rows`,
  )
  await readAll(engine)
}

/** Rows vanished from all replicas, which agree and are well-formed: caused by a bug, or by the operator. */
export async function lostRows(seed: number): Promise<void> {
  const store = await stopped(seed)
  const { world, needles } = store
  for (let number = 1; number <= DEVICES; number += 1) await removeRows(store, `/d${number}`, 1)
  const engine = await world.start()
  for (let round = 0; round < 3; round += 1) await settleUnseen(world, engine)
  const left = countOfClientNeedles(engine)
  check("bodiesOutliveRows", left === needles, () => `${needles - left} shards of ${OBJECTS} lost objects were removed`)
  const { isStopped } = engine.services.orphans.report()
  check("bodiesOutliveRows", isStopped, () =>
    must(
      engine.jobs.find(({ name }) => name === "orphans"),
      "the folder has a manifest",
    ).progress(),
  )
}
