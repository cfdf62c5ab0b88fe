/** A bucket with copies in a second store on the same machine: its PUTs, and how fast copies arrive. */
import { z } from "zod"
import { KIB } from "@hayloft/base/limits.js"
import { noiseOf } from "@hayloft/client/load/work-mix.js"
import { mapBounded } from "@hayloft/base/life/index.js"
import type { Bench } from "../bench.js"
import { BUCKET, OwnStore } from "../own-store.js"
import { Unmeasured, type Measured } from "../row.js"
import { theme, type Fixture } from "../theme.js"
import { ratePerSecond } from "../work-rate.js"

const COPIED_BUCKET = "copied"
const TARGET_BUCKET = "target"
const BODY = noiseOf(64 * KIB)
const WORKERS = 8
const POLL_MS = 50
const ARRIVES_WITHIN_MS = 300_000
const COPIES = `/v1/buckets/${COPIED_BUCKET}/copies`

const STATUS = z.object({ lag: z.object({ objects: z.number(), isCut: z.boolean() }) })

class Copies implements Fixture {
  private written = 0

  private constructor(
    private readonly bench: Bench,
    private readonly far: OwnStore,
    private readonly near: OwnStore,
  ) {}

  static async open(bench: Bench): Promise<Copies> {
    const { far, near } = await OwnStore.openPair(bench, "copies")
    const copies = new Copies(bench, far, near)
    try {
      await far.client.createBucket(TARGET_BUCKET)
      await near.client.createBucket(COPIED_BUCKET)
      const value = { store: "far", bucket: TARGET_BUCKET }
      await near.admin(admin => admin.put(`/v1/buckets/${COPIED_BUCKET}/settings/copies`, { value }))
    } catch (error) {
      await copies.close()
      throw error
    }
    return copies
  }

  async close(): Promise<void> {
    await this.near.close()
    await this.far.close()
  }

  private async put(store: OwnStore, bucket: string): Promise<void> {
    await store.client.put({ bucket, key: String((this.written += 1)), body: BODY })
  }

  /** Copies are paused meanwhile: on one machine they would compete with the requests. */
  async puts(): Promise<Measured> {
    await this.near.admin(admin => admin.post(`${COPIES}/pause`, {}))
    const figure = await ratePerSecond(this.bench, WORKERS, () => this.put(this.near, COPIED_BUCKET))
    const limit = await ratePerSecond(this.bench, WORKERS, () => this.put(this.near, BUCKET))
    await this.near.admin(admin => admin.post(`${COPIES}/resume`, {}))
    await this.awaitCopied()
    return { figure, unit: "/s", limit }
  }

  /** The copies of objects that were written during a pause, against PUTs of the same bytes to the target. */
  async copies(): Promise<Measured> {
    await this.awaitCopied()
    const limit = await ratePerSecond(this.bench, WORKERS, () => this.put(this.far, BUCKET))
    await this.near.admin(admin => admin.post(`${COPIES}/pause`, {}))
    const count = Math.ceil(limit * this.bench.scale.seconds)
    const objects = Array.from({ length: count }, (_, i) => i)
    await mapBounded(objects, WORKERS, () => this.put(this.near, COPIED_BUCKET))
    const { clock } = this.bench
    const startMs = clock.monotonicMs()
    await this.near.admin(admin => admin.post(`${COPIES}/resume`, {}))
    await this.awaitCopied()
    return { figure: count / ((clock.monotonicMs() - startMs) / 1_000), unit: "/s", limit }
  }

  private async awaitCopied(): Promise<void> {
    const { clock, signal } = this.bench
    const endMs = clock.monotonicMs() + ARRIVES_WITHIN_MS
    for (;;) {
      const { lag } = STATUS.parse(await this.near.admin(admin => admin.get(COPIES)))
      if (lag.objects === 0 && !lag.isCut) return
      if (clock.monotonicMs() > endMs) throw new Unmeasured(`${lag.objects} changes were not copied in time`)
      await clock.sleep(POLL_MS, signal)
    }
  }
}

export const COPIES_IN_A_STORE = theme({
  name: "copies",
  open: bench => Copies.open(bench),
  rows: () => [
    { work: "put 64 KiB in a bucket with copies, against another bucket", measure: it => it.puts() },
    { work: "copy 64 KiB to a second store, against puts into it", measure: it => it.copies() },
  ],
})
