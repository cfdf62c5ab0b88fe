/**
 * Disk scenarios: disks that fail, return, rot or are added, on a machine that serves its store as a real
 * process does. The unchanged program passes all of them.
 */
import { must } from "@hayloft/base/assert.js"
import { isFailure, type FailureKind } from "@hayloft/base/failures.js"
import { objectKeyOfText, parseAccountId, parseBucketName } from "@hayloft/base/ids.js"
import { KIB } from "@hayloft/base/limits.js"
import type { ControlDevice } from "@hayloft/engine/format/device/control-record.js"
import type { Bucket } from "@hayloft/objects/index.js"
import type { DeviceCondition } from "@hayloft/base/seams/disk/index.js"
import { bodyBytes, find, putRequest, sourceOf } from "./bodies.js"
import { check, CheckFailed, kindOf } from "./checks.js"
import { StoreMachine, type ServedStore } from "./store-machine.js"
import { differenceOfReplicas, leftOver, missingShard, missingToBeWhole } from "./wholeness.js"

const NAME = parseBucketName("scenario")
const OWNER = parseAccountId("root")
export const POLL_MS = 500
export const WHOLE_MS_MAX = 5 * 60_000
const READ_MS_MAX = 5_000
const PUTS_MAX = 2_000
/** Inline, one block, several blocks. */
const SIZES = [100, 3_000, 60 * KIB, 300 * KIB] as const

export class Scene {
  private readonly bodies = new Map<string, Buffer>()
  private readonly gone = new Set<string>()
  private broken: unknown
  private number = 0

  private constructor(
    readonly machine: StoreMachine,
    private served: ServedStore,
    private bucket: Bucket,
  ) {
    this.watch()
  }

  static async open(seed: number, devices: number): Promise<Scene> {
    const machine = new StoreMachine({ seed, devices, latencyMsMax: 3 })
    const store = await machine.run(machine.start())
    const bucket = await machine.run(store.engine.services.buckets.create({ name: NAME, owner: OWNER, location: "" }))
    return new Scene(machine, store, bucket)
  }

  get store(): ServedStore {
    return this.served
  }

  get devices(): readonly ControlDevice[] {
    return this.served.engine.recordManager.record.devices
  }

  device(bay: string): ControlDevice {
    return must(
      this.devices.find(({ pathHint }) => pathHint === bay),
      `a device is in ${bay}`,
    )
  }

  /** When a rebuilt device becomes active, or a layout transition ends, no shard may be missing. */
  private watch(): void {
    const { engine } = this.served
    engine.recordManager.onChange((record, before) => {
      const wasRebuilding = (id: string) =>
        before.devices.some(device => device.id === id && device.state === "rebuilding")
      const isWhole = record.devices.some(({ id, state }) => state === "active" && wasRebuilding(id))
      const isReached = before.previousLayout !== undefined && record.previousLayout === undefined
      if (isWhole || isReached) this.broken ??= missingShard(engine)
    })
  }

  private throwBroken(): void {
    check("completeIsComplete", this.broken === undefined, () => String(this.broken))
    if (this.machine.mistakes.length > 0) throw this.machine.mistakes[0]
  }

  async pass(durationMs: number): Promise<void> {
    await this.machine.pass(durationMs)
    this.throwBroken()
  }

  async until(
    name: "redundancyIsRestored" | "writesContinue" | "spaceIsFreed",
    what: string,
    isDone: () => boolean,
  ): Promise<void> {
    for (let passedMs = 0; !isDone(); passedMs += POLL_MS) {
      check(name, passedMs < WHOLE_MS_MAX, () => what)
      await this.pass(POLL_MS)
    }
  }

  setState(bay: string, state: DeviceCondition): void {
    must(this.machine.bays.at(bay), "a drive is in the bay").faulty.become(state)
  }

  async lose(bay: string): Promise<void> {
    this.setState(bay, "lost")
    await this.until("writesContinue", `${bay} is not taken offline`, () => this.device(bay).state === "offline")
  }

  /** Returns the failure; undefined on success. */
  async put(name: string, lengthBytes: number): Promise<FailureKind | undefined> {
    this.number += 1
    const bytes = bodyBytes(`${name}-${this.number}`, lengthBytes)
    const request = putRequest(this.bucket, objectKeyOfText(name), sourceOf(bytes, 50_000))
    const failure = await this.machine.run(kindOf(this.served.engine.services.objects.put(request)))
    if (failure !== undefined) return failure
    this.bodies.set(name, bytes)
    this.gone.delete(name)
    return undefined
  }

  /** Puts one object of each size. */
  async putSome(what: string): Promise<void> {
    for (const size of SIZES) {
      const failure = await this.put(`${what}-${size}`, size)
      check("writesContinue", failure === undefined, () => `a write of ${size} bytes ended with ${failure}`)
    }
  }

  async removeSome(what: string): Promise<void> {
    for (const name of this.bodies.keys()) if (name.startsWith(`${what}-`)) await this.remove(name)
  }

  async remove(name: string): Promise<void> {
    const failure = await this.tryRemove(name)
    check("writesContinue", failure === undefined, () => `a delete ended with ${failure}`)
  }

  /** Returns the failure; undefined on success. */
  async tryRemove(name: string): Promise<FailureKind | undefined> {
    const request = { bucket: this.bucket, key: objectKeyOfText(name), conditions: {} }
    const failure = await this.machine.run(kindOf(this.served.engine.services.objects.remove(request)))
    if (failure !== undefined) return failure
    this.bodies.delete(name)
    this.gone.add(name)
    return undefined
  }

  /** Retries as a client does while the disk is full. */
  async removeWhenPossible(name: string): Promise<void> {
    for (let passedMs = 0; (await this.tryRemove(name)) !== undefined; passedMs += POLL_MS) {
      check("spaceIsFreed", passedMs < WHOLE_MS_MAX, () => "deletes are never accepted again")
      await this.pass(POLL_MS)
    }
  }

  /** Puts objects of each of these sizes until one is refused; returns the names of the stored ones. */
  async fill(what: string, sizes: readonly number[]): Promise<readonly string[]> {
    const names: string[] = []
    for (const size of sizes) {
      for (let i = 0; ; i += 1) {
        check("fullIsNotFaulty", i < PUTS_MAX, () => "the disk never fills up")
        const name = `${what}-${size}-${i}`
        const failure = await this.put(name, size)
        if (failure === "deviceFull") break
        check("fullIsNotFaulty", failure === undefined, () => `a write ended with ${failure}`)
        names.push(name)
      }
    }
    return names
  }

  /** Another program uses every byte of the disk in a bay; the store's ballast is removed. */
  async fillDisk(bay: string): Promise<void> {
    const drive = must(this.machine.bays.at(bay), "a drive is in the bay")
    const disk = drive.disk.boot()
    const names = drive.disk.medium.namesIn(`${bay}/ballast`).filter(name => /^\d+$/.test(name))
    for (const name of names) await this.machine.run(disk.remove(`${bay}/ballast/${name}`).catch(mayBeGone))
    drive.fill(0)
  }

  async readAll(): Promise<void> {
    const { engine } = this.served
    for (const [name, bytes] of this.bodies) {
      const beganMs = this.machine.clock.monotonicMs()
      const got = await this.machine.run(find(engine, this.bucket, objectKeyOfText(name)).catch(cannotRead))
      const tookMs = this.machine.clock.monotonicMs() - beganMs
      check("readsContinue", tookMs < READ_MS_MAX, () => `a read took ${tookMs} ms`)
      check("acknowledgedStays", got !== undefined, () => `${name} is missing`)
      check("acknowledgedStays", Buffer.compare(got.bytes, bytes) === 0, () => `${name} has other bytes`)
    }
    for (const name of this.gone) {
      const got = await this.machine.run(find(engine, this.bucket, objectKeyOfText(name)))
      check("acknowledgedStays", got === undefined, () => `${name} was deleted but is readable`)
    }
    this.throwBroken()
  }

  /** Waits until the store has repaired itself and freed everything that no row references. */
  async becomeWhole(): Promise<void> {
    const { engine } = this.served
    const isWhole = () => missingToBeWhole(engine) === undefined
    await this.until("redundancyIsRestored", "the store does not regain its redundancy", isWhole).catch(
      (error: unknown) => {
        if (!(error instanceof CheckFailed)) throw error
        throw new CheckFailed(error.check, `${error.found}: ${missingToBeWhole(engine)}`)
      },
    )
    for (let passedMs = 0; leftOver(engine) !== undefined; passedMs += POLL_MS) {
      check("spaceIsFreed", passedMs < WHOLE_MS_MAX, () => `${leftOver(engine)}`)
      await this.pass(POLL_MS)
    }
    const difference = differenceOfReplicas(engine)
    check("replicasAgree", difference === undefined, () => `${difference}`)
  }

  stop(): Promise<void> {
    return this.machine.run(this.machine.stop(this.served))
  }

  async start(): Promise<void> {
    try {
      this.served = await this.machine.run(this.machine.start())
      this.bucket = await this.machine.run(this.served.engine.services.buckets.open(NAME))
    } catch (error) {
      if (isFailure(error)) throw new CheckFailed("opens", error.message)
      throw error
    }
    this.watch()
    const lacking = this.devices.every(({ state }) => state === "active") ? missingShard(this.served.engine) : undefined
    check("completeIsComplete", lacking === undefined, () => `${lacking}`)
  }

  /** Reads everything that was acknowledged, with each disk missing in turn. */
  async readWithoutEach(): Promise<void> {
    const { machine } = this
    machine.kill()
    const whole = machine.folders.map(bay => [bay, machine.bays.take(bay)] as const)
    for (const [missing] of whole) {
      const left = whole.filter(([bay]) => bay !== missing)
      for (const [bay, drive] of left) machine.bays.put(bay, machine.imageOf(drive))
      await this.start()
      await this.readAll()
      machine.kill()
      for (const [bay] of left) machine.bays.take(bay)
    }
  }

  /** Puts a new disk into a bay. */
  insert(bay: string): void {
    if (this.machine.bays.at(bay) !== undefined) this.machine.bays.take(bay)
    this.machine.bays.put(bay, this.machine.newDrive())
  }

  async change(change: Parameters<ServedStore["operations"]["change"]>[0]): Promise<void> {
    const { operations } = this.served
    const { confirmBy } = await this.machine.run(operations.plan(change))
    await this.machine.run(operations.change(change, confirmBy))
    this.throwBroken()
  }
}

function cannotRead(error: unknown): never {
  if (!isFailure(error)) throw error
  throw new CheckFailed("readsContinue", `${error.kind}: ${error.message}`)
}

/** The store may remove ballast itself between the listing of the files and their removal. */
function mayBeGone(error: unknown): void {
  if (!isFailure(error, "deviceFailed") || error.details["code"] !== "ENOENT") throw error
}

/** A disk dies while clients write; an empty one replaces it and is rebuilt. */
async function lostDisk(seed: number): Promise<void> {
  const on = await Scene.open(seed, 4)
  for (const what of ["kept", "overwritten", "removed"]) await on.putSome(what)
  await on.lose("/d2")
  await on.putSome("overwritten")
  await on.putSome("new")
  await on.removeSome("removed")
  await on.readAll()
  const { id } = on.device("/d2")
  on.insert("/d2")
  await on.change({ kind: "replaceDevice", id, path: "/d2", acceptLoss: false })
  // Writes continue while the new replica learns.
  for (let i = 0; i < 20; i += 1) await on.put(`meanwhile-${i}`, 100)
  await on.becomeWhole()
  await on.readAll()
  await on.readWithoutEach()
}

/** A disk is offline for a while: it lacks new data and still has deleted data. */
async function returnedDisk(seed: number): Promise<void> {
  const on = await Scene.open(seed, 4)
  for (const what of ["kept", "overwritten", "removed"]) await on.putSome(what)
  await on.lose("/d2")
  await on.putSome("overwritten")
  await on.putSome("new")
  await on.removeSome("removed")
  // Deleted bytes are collected while the disk is offline.
  await on.pass(60_000)
  on.setState("/d2", "well")
  await on.becomeWhole()
  await on.readAll()
  await on.stop()
  const away = on.machine.bays.take("/d3")
  await on.start()
  await on.putSome("overwritten")
  await on.removeSome("new")
  await on.stop()
  on.machine.bays.put("/d3", away)
  await on.start()
  await on.becomeWhole()
  await on.readWithoutEach()
}

/** A disk is restored to an old image. */
async function oldImage(seed: number): Promise<void> {
  const on = await Scene.open(seed, 4)
  await on.putSome("overwritten")
  await on.putSome("removed")
  await on.stop()
  const image = on.machine.imageOf(must(on.machine.bays.at("/d1"), "a drive is in the bay"))
  await on.start()
  await on.putSome("overwritten")
  await on.removeSome("removed")
  await on.putSome("new")
  await on.stop()
  on.machine.bays.take("/d1")
  on.machine.bays.put("/d1", image)
  await on.start()
  await on.readAll()
  await on.becomeWhole()
  await on.readAll()
  await on.readWithoutEach()
}

/** One of two disks continues alone; the other one, which was left behind, must not open as a store. */
async function leftBehind(seed: number): Promise<void> {
  const on = await Scene.open(seed, 2)
  await on.putSome("before")
  await on.lose("/d2")
  await on.putSome("after")
  await on.stop()
  on.setState("/d2", "well")
  const truth = on.machine.bays.take("/d1")
  const failure = await on.machine.run(kindOf(on.machine.start()))
  check("acknowledgedStays", failure === "devicesMissing", () => `the old disk alone: ${failure ?? "the store opens"}`)
  on.machine.bays.put("/d1", truth)
  await on.start()
  await on.readAll()
  await on.becomeWhole()
  await on.readAll()
}

/** Shards rot; a scrub finds them, and repair rebuilds them. */
async function scrubbedDisk(seed: number): Promise<void> {
  const on = await Scene.open(seed, 4)
  for (const what of ["a", "b", "c"]) await on.putSome(what)
  const { disk } = must(on.machine.bays.at("/d1"), "a drive is in the bay")
  const random = on.machine.random.fork("rot")
  for (const name of disk.medium.namesIn("/d1/volumes")) {
    disk.medium.alter(`/d1/volumes/${name}`, bytes => {
      for (let at = 8_192; at < bytes.length; at += 20 * KIB) bytes[at + random.below(1_000)] = random.below(256)
    })
  }
  const found = await scrub(on)
  check("rotIsFound", found > 0, () => "a scrub found nothing")
  await on.becomeWhole()
  const again = await scrub(on)
  check("rotIsFound", again === 0, () => `a second scrub found ${again} damaged needles again`)
  await on.readWithoutEach()
}

/** Scrubs everything; returns the number of damaged needles. */
async function scrub(on: Scene): Promise<number> {
  const views = () => on.store.engine.devices.map(({ tending }) => tending.scrub.view)
  const damages = () => views().reduce((sum, { damagesFound }) => sum + damagesFound, 0)
  const [before, beganMs] = [damages(), on.machine.clock.wallMs()]
  await on.machine.run(on.store.operations.startScrub(undefined))
  const isDone = () => views().every(({ isRunning, passStartedMs }) => !isRunning && passStartedMs >= beganMs)
  await on.until("redundancyIsRestored", "a scrub does not end", isDone)
  return damages() - before
}

/** A store grows from one disk to two, and then to four: the redundancy grows with it. */
async function growing(seed: number): Promise<void> {
  const on = await Scene.open(seed, 1)
  await on.putSome("one")
  for (const number of [2, 3, 4]) {
    const bay = `/d${number}`
    on.insert(bay)
    await on.change({ kind: "addDevice", path: bay, weight: 1 })
    on.machine.folders.push(bay)
    await on.putSome(`with-${number}`)
    await on.becomeWhole()
    await on.readAll()
  }
  await on.readWithoutEach()
}

/** A disk hangs: reads and writes go on without it. */
async function hungDisk(seed: number): Promise<void> {
  const on = await Scene.open(seed, 4)
  await on.putSome("before")
  await on.stop()
  await on.start()
  on.setState("/d1", "hung")
  await on.readAll()
  await on.putSome("after")
  await on.readAll()
}

/** Volumes are emptied and removed, and the power is cut as soon as one is removed. */
async function compactedDisk(seed: number): Promise<void> {
  const on = await Scene.open(seed, 1)
  const { medium } = must(on.machine.bays.at("/d1"), "a drive is in the bay").disk
  const volumes = () => medium.namesIn("/d1/volumes")
  for (let i = 0; i < 40; i += 1) await on.put(`body-${i}`, 300 * KIB)
  for (let i = 0; i < 40; i += 1) if (i % 5 > 0) await on.remove(`body-${i}`)
  const before = volumes()
  const isSomeGone = () => before.some(name => !volumes().includes(name))
  for (let passedMs = 0; !isSomeGone(); passedMs += 20) {
    check("spaceIsFreed", passedMs < WHOLE_MS_MAX, () => "no volume is removed")
    await on.pass(20)
  }
  on.machine.crash()
  await on.start()
  await on.readAll()
  await on.becomeWhole()
}

export const DISK_SCENARIOS = {
  "lost disk": lostDisk,
  "returned disk": returnedDisk,
  "old image of a disk": oldImage,
  "disk left behind": leftBehind,
  "scrubbed disk": scrubbedDisk,
  "growing store": growing,
  "hung disk": hungDisk,
  "compacted disk": compactedDisk,
} as const satisfies Record<string, (seed: number) => Promise<void>>
