/** Packed objects compared with the same objects in another bucket: their GETs, and the bytes that they use on devices. */
import { z } from "zod"
import { KIB, MIB } from "@hayloft/base/limits.js"
import { noiseOf } from "@hayloft/client/load/work-mix.js"
import { mapBounded } from "@hayloft/base/life/index.js"
import { PACK_LIMITS } from "@hayloft/features/packing/pack-commands-core.js"
import type { Bench } from "../bench.js"
import { BUCKET, OwnStore } from "../own-store.js"
import { Unmeasured, type Measured } from "../row.js"
import { shareOf } from "../scale.js"
import { theme, type Fixture } from "../theme.js"
import { loadOf } from "../work-rate.js"

const PACKED_BUCKET = "packed"
const BODY = noiseOf(16 * KIB)
/** In a run that is not short. */
const OBJECTS_MIN = 256
const OBJECTS_MAX = 20_000
const WRITERS = 16
const POLL_MS = 250
const SETTLE_MS = 2_000
/** The clock of a store that dates its objects goes on every 30 s: then they are old enough for a pass. */
const COLD_MS = 31_000
const PACKED_WITHIN_MS = 600_000

const DEVICES = z.object({
  devices: z.array(z.object({ volumeBytes: z.number().default(0), deadBytes: z.number().default(0) })),
})
const PACKING = z.object({ packedObjects: z.number() })

class Packing implements Fixture {
  private packedPerSecond = 0
  private bytes = { packed: 0, own: 0 }

  private constructor(
    private readonly bench: Bench,
    private readonly store: OwnStore,
    private readonly objects: number,
  ) {}

  static async open(bench: Bench): Promise<Packing> {
    const least = Math.max(PACK_LIMITS.objectsMin, shareOf(bench.scale, OBJECTS_MIN))
    const objects = Math.min(OBJECTS_MAX, Math.max(least, Math.ceil(bench.scale.startObjects / 5)))
    const args = ["--redundancy", "ec:4+2"]
    const packing = new Packing(bench, await OwnStore.open(bench, { name: "packing", folders: 6, args }), objects)
    try {
      await packing.fill()
    } catch (error) {
      await packing.close()
      throw error
    }
    return packing
  }

  close(): Promise<void> {
    return this.store.close()
  }

  /** Writes the same objects to both buckets, and waits until those of one are packed. */
  private async fill(): Promise<void> {
    await this.store.client.createBucket(PACKED_BUCKET)
    const before = await this.liveBytes()
    await this.puts(PACKED_BUCKET)
    const written = await this.liveBytes()
    this.packedPerSecond = await this.awaitPacked()
    const packed = (await this.settledBytes()) - before
    this.bytes = { packed, own: written - before }
    await this.puts(BUCKET)
    // Programs are compiled.
    for (const bucket of [PACKED_BUCKET, BUCKET]) await this.getsPerSecond(bucket)
  }

  private async puts(bucket: string): Promise<void> {
    const keys = Array.from({ length: this.objects }, (_, i) => String(i))
    await mapBounded(keys, WRITERS, key => this.store.client.put({ bucket, key, body: BODY }))
  }

  private async liveBytes(): Promise<number> {
    const { devices } = DEVICES.parse(await this.store.admin(admin => admin.get("/v1/devices")))
    return devices.reduce((sum, { volumeBytes, deadBytes }) => sum + volumeBytes - deadBytes, 0)
  }

  /** @returns objects per second. */
  private async awaitPacked(): Promise<number> {
    const { clock, signal } = this.bench
    await clock.sleep(COLD_MS, signal)
    const beganMs = clock.monotonicMs()
    const path = `/v1/buckets/${PACKED_BUCKET}`
    await this.store.admin(async admin => {
      await admin.put(`${path}/settings/packing`, { value: { afterSeconds: 0 } })
      await admin.post("/v1/jobs/packing/wake", {})
    })
    await this.until(
      async () => PACKING.parse(await this.store.admin(admin => admin.get(`${path}/packing`))).packedObjects,
      packed => packed >= this.objects,
    )
    return (1_000 * this.objects) / (clock.monotonicMs() - beganMs)
  }

  /** Waits until the bytes that the objects had before are removed: there are fewer, and they become no fewer. */
  private async settledBytes(): Promise<number> {
    const { clock, signal } = this.bench
    let [most, last] = [0, 0]
    return this.until(
      async () => {
        await clock.sleep(SETTLE_MS, signal)
        return this.liveBytes()
      },
      bytes => {
        const isSettled = bytes < most && bytes === last
        most = Math.max(most, bytes)
        last = bytes
        return isSettled
      },
    )
  }

  private async until<T>(read: () => Promise<T>, isDone: (found: T) => boolean): Promise<T> {
    const { clock, signal } = this.bench
    const endMs = clock.monotonicMs() + PACKED_WITHIN_MS
    for (;;) {
      const found = await read()
      if (isDone(found)) return found
      if (clock.monotonicMs() > endMs) throw new Unmeasured("the objects were not packed in time")
      await clock.sleep(POLL_MS, signal)
    }
  }

  bytesOfAnObject(): Measured {
    const { packed, own } = this.bytes
    return { figure: packed / this.objects, unit: "B", limit: own / this.objects }
  }

  rateOfPacking(): Measured {
    return { figure: this.packedPerSecond, unit: "/s", also: { MBps: (this.packedPerSecond * BODY.length) / MIB } }
  }

  async gets(): Promise<Measured> {
    const packed = await this.getsPerSecond(PACKED_BUCKET)
    const own = await this.getsPerSecond(BUCKET)
    return { figure: packed.perSecond, unit: "/s", limit: own.perSecond, also: { p99Ms: packed.p99Ms } }
  }

  private async getsPerSecond(bucket: string) {
    const { forge } = this.store
    let drawn = 0
    const next = () => {
      drawn = (drawn + 7_919) % this.objects
      return { request: forge.forge({ method: "GET", bucket, key: String(drawn) }), bytes: BODY.length }
    }
    const load = await loadOf(this.bench, forge.endpoint, next)
    return { perSecond: load.operationsPerSecond, p99Ms: load.p99Ms }
  }
}

export const PACKING_OF_OBJECTS = theme({
  name: "packing",
  open: bench => Packing.open(bench),
  rows: () => [
    { work: "get a packed object of 16 KiB, against one with a block of its own", measure: it => it.gets() },
    {
      work: "bytes of a packed object of 16 KiB on six devices (4+2), against those before",
      isOnce: true,
      measure: it => Promise.resolve(it.bytesOfAnObject()),
    },
    { work: "objects of 16 KiB packed", isOnce: true, measure: it => Promise.resolve(it.rateOfPacking()) },
  ],
})
