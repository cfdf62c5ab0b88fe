/**
 * A store on simulated disks with some objects, for tests that manipulate the disks: everything else is the code of
 * a real process. Every object is compared byte for byte.
 */
import assert from "node:assert/strict"
import { must } from "@hayloft/base/assert.js"
import { isFailure } from "@hayloft/base/failures.js"
import { objectKeyOfText, parseAccountId, parseBucketName, type DeviceId } from "@hayloft/base/ids.js"
import type { ControlDevice } from "@hayloft/engine/format/device/control-record.js"
import type { Bucket } from "@hayloft/objects/index.js"
import { bodyBytes, find, putRequest, sourceOf } from "../../sim/world/bodies.js"
import { StoreMachine, type ServedStore } from "../../sim/world/store-machine.js"
import { leftOver, missingToBeWhole } from "../../sim/world/wholeness.js"

/** Inline in the row, one block, several blocks. */
const SIZES = [500, 30_000, 300_000]
const BUCKET = parseBucketName("spared")
export const LOOK_MS = 5_000
const WHOLE_MS_MAX = 10 * 60_000

export class SimStore {
  private readonly bodies = new Map<string, Buffer>()
  private store: ServedStore | undefined

  private constructor(readonly machine: StoreMachine) {}

  static async open(devices: number): Promise<SimStore> {
    const store = new SimStore(new StoreMachine({ seed: devices, devices }))
    await store.start()
    const owner = parseAccountId("root")
    await store.machine.run(store.now.engine.services.buckets.create({ name: BUCKET, owner, location: "" }))
    return store
  }

  get now(): ServedStore {
    return must(this.store, "the store runs")
  }

  async start(): Promise<void> {
    this.store = await this.machine.run(this.machine.start())
  }

  async bucket(): Promise<Bucket> {
    return this.machine.run(this.now.engine.services.buckets.open(BUCKET))
  }

  /** Puts one object of each size. A write during the failure of a disk may be refused; the client retries. */
  async put(stem: string, sizes: readonly number[] = SIZES): Promise<void> {
    for (const size of sizes) {
      const [key, body] = [`${stem} ${size}`, bodyBytes(`${stem} ${this.bodies.size}`, size)]
      await this.putOnce(key, body).catch(error => {
        assert.ok(isFailure(error, "deviceFailed", "notEnoughShards"), String(error))
        return this.putOnce(key, body)
      })
      this.bodies.set(key, body)
    }
  }

  private async putOnce(key: string, body: Buffer): Promise<void> {
    const request = putRequest(await this.bucket(), objectKeyOfText(key), sourceOf(body))
    await this.machine.run(this.now.engine.services.objects.put(request))
  }

  async remove(stem: string): Promise<void> {
    const bucket = await this.bucket()
    for (const size of SIZES) {
      const key = `${stem} ${size}`
      if (!this.bodies.delete(key)) continue
      const target = { bucket, key: objectKeyOfText(key), conditions: {} }
      await this.machine.run(this.now.engine.services.objects.remove(target))
    }
  }

  async readAll(when: string): Promise<void> {
    const bucket = await this.bucket()
    for (const [key, body] of this.bodies) {
      const got = await this.machine.run(find(this.now.engine, bucket, objectKeyOfText(key)))
      assert.ok(got?.bytes.equals(body), `${key}, ${when}`)
    }
  }

  /** Returns the duration of a call, in milliseconds of virtual time. */
  async timed(work: () => Promise<unknown>): Promise<number> {
    const begunMs = this.machine.clock.monotonicMs()
    await work()
    return this.machine.clock.monotonicMs() - begunMs
  }

  /** The device in this bay. */
  deviceIn(bay: string): ControlDevice {
    const device = this.now.engine.recordManager.record.devices.find(({ pathHint }) => pathHint === bay)
    return must(device, `no device of the store is in ${bay}`)
  }

  /** Destroys the disks in these bays. */
  drop(bays: readonly string[]): void {
    for (const bay of bays) this.machine.bays.take(bay).faulty.become("lost")
  }

  /** The operator names an empty disk; retries while the store refuses because it still rebuilds earlier devices. */
  async replace(id: DeviceId, path: string): Promise<void> {
    const untilMs = this.machine.clock.monotonicMs() + WHOLE_MS_MAX
    for (;;) {
      try {
        const change = { kind: "replaceDevice", id, path, acceptLoss: false } as const
        await this.machine.run(this.now.operations.change(change, undefined))
        return
      } catch (error) {
        if (!isFailure(error, "invalidArgument") || this.machine.clock.monotonicMs() >= untilMs) throw error
        await this.machine.pass(LOOK_MS)
      }
    }
  }

  /**
   * Advances time until the store is fully redundant: every shard is on its assigned device, every device is active.
   */
  async becomeWhole(when: string): Promise<void> {
    await this.until(() => missingToBeWhole(this.now.engine), when)
    await this.readAll(`whole again after ${when}`)
  }

  /** Advances time until status reports nothing more. */
  async until(left: () => string | undefined, when: string): Promise<void> {
    const { machine } = this
    const untilMs = machine.clock.monotonicMs() + WHOLE_MS_MAX
    await machine.pass(LOOK_MS)
    for (let what = left(); what !== undefined; what = left()) {
      assert.ok(machine.clock.monotonicMs() < untilMs, `${when}: ${what}`)
      await machine.pass(LOOK_MS)
    }
  }

  async end(): Promise<void> {
    const { machine } = this
    await this.until(() => leftOver(this.now.engine), "at the end")
    await machine.run(machine.stop(this.now))
    assert.deepEqual(machine.mistakes, [])
  }
}
