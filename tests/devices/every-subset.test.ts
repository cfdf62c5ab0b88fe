/**
 * Every set of disks that a redundancy can spare is lost, one set after the other on the same store: with a set
 * gone clients go on reading and writing, empty disks take the places, and once they are filled the next
 * set goes. Some sets are lost under the running store, some between two of its lives. The disks are
 * simulated, all else is what a real process runs.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { objectKeyOfText, parseAccountId, parseBucketName, type DeviceId } from "../../src/base/ids.js"
import { isFailure } from "../../src/base/failures.js"
import { must } from "../../src/base/assert.js"
import { defaultPolicy, textOfPolicy, tolerance } from "../../src/base/policy.js"
import type { Bucket } from "../../src/object/index.js"
import { bodyBytes, find, putRequest, sourceOf } from "../../sim/world/bodies.js"
import { StoreMachine, type ServedStore } from "../../sim/world/store-machine.js"
import { leftOver, missingToBeWhole } from "../../sim/world/wholeness.js"

/** In the row itself, one block, several blocks. */
const SIZES = [500, 30_000, 300_000]
const LOOK_MS = 5_000
const WHOLE_MS_MAX = 10 * 60_000
const isFullCheck = process.env["FULL_CHECK"] === "yes"
const BUCKET = parseBucketName("spared")

class Scene {
  private readonly bodies = new Map<string, Buffer>()
  private readonly machine: StoreMachine
  private readonly bays: readonly string[]

  private constructor(
    devices: number,
    private store: ServedStore | undefined,
  ) {
    this.machine = new StoreMachine({ seed: devices, devices })
    this.bays = [...this.machine.folders]
  }

  static async open(devices: number): Promise<Scene> {
    const scene = new Scene(devices, undefined)
    await scene.start()
    const owner = parseAccountId("root")
    await scene.machine.run(scene.now.engine.services.buckets.create({ name: BUCKET, owner, location: "" }))
    await scene.put("first")
    return scene
  }

  private get now(): ServedStore {
    return must(this.store, "the store runs")
  }

  private async start(): Promise<void> {
    this.store = await this.machine.run(this.machine.start())
  }

  private bucket(): Promise<Bucket> {
    return this.now.engine.services.buckets.open(BUCKET)
  }

  private async put(stem: string): Promise<void> {
    for (const size of SIZES) {
      const [key, body] = [`${stem} ${size}`, bodyBytes(`${stem} ${this.bodies.size}`, size)]
      // What was on its way to disks that go at that moment may be refused; a client asks again.
      await this.putOnce(key, body).catch(error => {
        assert.ok(isFailure(error, "deviceFailed", "notEnoughShards"), String(error))
        return this.putOnce(key, body)
      })
      this.bodies.set(key, body)
    }
  }

  private async putOnce(key: string, body: Buffer): Promise<void> {
    const bucket = await this.machine.run(this.bucket())
    const request = putRequest(bucket, objectKeyOfText(key), sourceOf(body))
    await this.machine.run(this.now.engine.services.objects.put(request))
  }

  private async remove(stem: string): Promise<void> {
    const bucket = await this.machine.run(this.bucket())
    for (const size of SIZES) {
      const key = `${stem} ${size}`
      if (!this.bodies.delete(key)) continue
      const target = { bucket, key: objectKeyOfText(key), conditions: {} }
      await this.machine.run(this.now.engine.services.objects.remove(target))
    }
  }

  private async readAll(when: string): Promise<void> {
    const bucket = await this.machine.run(this.bucket())
    for (const [key, body] of this.bodies) {
      const got = await this.machine.run(find(this.now.engine, bucket, objectKeyOfText(key)))
      assert.ok(got?.bytes.equals(body), `${key}, ${when}`)
    }
  }

  /** Writes, overwrites, removes, and reads all. */
  private async use(round: number, when: string): Promise<void> {
    await this.put(`round ${round}`)
    await this.put("ever again")
    await this.remove(`round ${round - 2}`)
    await this.readAll(when)
  }

  private drop(bays: readonly string[]): void {
    for (const bay of bays) this.machine.bays.take(bay).sick.become("lost")
  }

  /** Under the running store; the operator names the empty disks that take the places. */
  async loseRunning(lost: readonly string[], round: number): Promise<void> {
    this.drop(lost)
    await this.use(round, `without ${lost.join()}`)
    // Also one that nobody had a use for is found out.
    await this.machine.pass(LOOK_MS)
    for (const bay of lost) {
      this.machine.bays.put(bay, this.machine.newDrive())
      const device = this.now.engine.keeper.record.devices.find(({ pathHint }) => pathHint === bay)
      const { id } = must(device, "the device was in the store")
      await this.replace(id, bay)
    }
  }

  /** Refused while what the devices before it lack is counted on: it is asked for again. */
  private async replace(id: DeviceId, path: string): Promise<void> {
    const untilMs = this.machine.clock.monotonicMs() + WHOLE_MS_MAX
    for (;;) {
      try {
        const change = { kind: "replaceDevice", id, path, acceptLoss: false } as const
        await this.machine.run(this.now.operations.change(change))
        return
      } catch (error) {
        if (!isFailure(error, "invalidArgument") || this.machine.clock.monotonicMs() >= untilMs) throw error
        await this.machine.pass(LOOK_MS)
      }
    }
  }

  /** Between two lives; empty disks are in the places at the next start. */
  async loseStopped(lost: readonly string[], round: number): Promise<void> {
    this.machine.crash()
    this.drop(lost)
    for (const bay of lost) this.machine.bays.put(bay, this.machine.newDrive())
    await this.start()
    await this.use(round, `with ${lost.join()} empty`)
  }

  async becomeWhole(when: string): Promise<void> {
    const { machine } = this
    const untilMs = machine.clock.monotonicMs() + WHOLE_MS_MAX
    for (let missing: string | undefined = ""; missing !== undefined; missing = missingToBeWhole(this.now.engine)) {
      assert.ok(machine.clock.monotonicMs() < untilMs, `${when}: ${missing}`)
      await machine.pass(LOOK_MS)
    }
    await this.readAll(`whole again after ${when}`)
  }

  async end(): Promise<void> {
    const { machine } = this
    const untilMs = machine.clock.monotonicMs() + WHOLE_MS_MAX
    for (let left: string | undefined = ""; left !== undefined; left = leftOver(this.now.engine)) {
      assert.ok(machine.clock.monotonicMs() < untilMs, left)
      await machine.pass(LOOK_MS)
    }
    await machine.run(machine.stop(this.now))
    assert.deepEqual(machine.mistakes, [])
  }

  /** Sets of this many bays at most, each once, smaller and larger ones mixed. */
  setsUpTo(most: number): readonly (readonly string[])[] {
    const sets = Array.from({ length: 2 ** this.bays.length }, (_, mask) =>
      this.bays.filter((_bay, i) => Math.floor(mask / 2 ** i) % 2 === 1),
    )
    return sets.filter(({ length }) => length >= 1 && length <= most)
  }
}

// Of the many sets of wide redundancies every so manieth; `FULL_CHECK=yes` takes them all.
for (const [devices, policy, sets, stride] of [
  [4, "ec:2+2", 4 + 6, 1],
  [6, "ec:4+2", 6 + 15, 4],
  [7, "ec:4+3", 7 + 21 + 35, 10],
] as const) {
  const taken = isFullCheck ? "all" : stride === 1 ? "all" : `one in ${stride}`
  test(`${policy}: of the ${sets} sets of disks that may be lost ${taken} are lost, each made good before the next`, async () => {
    const scene = await Scene.open(devices)
    assert.equal(textOfPolicy(defaultPolicy(devices)), policy)
    const all = scene.setsUpTo(tolerance(defaultPolicy(devices)))
    assert.equal(all.length, sets)
    for (const [round, lost] of all.filter((_set, i) => isFullCheck || i % stride === 0).entries()) {
      // A start needs more than half of the devices.
      const mayStop = 2 * (devices - lost.length) > devices
      if (mayStop && round % 3 === 2) await scene.loseStopped(lost, round)
      else await scene.loseRunning(lost, round)
      await scene.becomeWhole(`the loss of ${lost.join()}`)
    }
    await scene.end()
  })
}
