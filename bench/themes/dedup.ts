/** Puts of new and of known bytes in a bucket with deduplication, compared with the same puts in another bucket. */
import { MIB } from "@hayloft/base/limits.js"
import { noiseOf } from "@hayloft/client/load/work-mix.js"
import type { Bench } from "../bench.js"
import { BUCKET, OwnStore } from "../own-store.js"
import type { Measured } from "../row.js"
import { theme, type Fixture } from "../theme.js"
import { loadOf } from "../work-rate.js"

const BODY = noiseOf(MIB)
const OTHER_BUCKET = "other"

class Dedup implements Fixture {
  private drawn = 0

  private constructor(
    private readonly bench: Bench,
    private readonly store: OwnStore,
  ) {}

  static async open(bench: Bench): Promise<Dedup> {
    const store = await OwnStore.open(bench, { name: "dedup", folders: 1 })
    await store.admin(admin => admin.put(`/v1/buckets/${BUCKET}/settings/dedup`, { value: {} }))
    await store.client.createBucket(OTHER_BUCKET)
    return new Dedup(bench, store)
  }

  close(): Promise<void> {
    return this.store.close()
  }

  async puts(isNew: boolean): Promise<Measured> {
    const shared = await this.perSecond(BUCKET, isNew)
    const limit = await this.perSecond(OTHER_BUCKET, isNew)
    return { figure: shared.perSecond, unit: "/s", limit: limit.perSecond, also: { p99Ms: shared.p99Ms } }
  }

  private async perSecond(bucket: string, isNew: boolean) {
    const { forge } = this.store
    const next = () => {
      const number = (this.drawn += 1)
      const body = isNew ? Uint8Array.from(BODY) : BODY
      if (isNew) new DataView(body.buffer).setUint32(0, number)
      return { request: forge.forge({ method: "PUT", bucket, key: `put/${number}`, body }), bytes: body.length }
    }
    const load = await loadOf(this.bench, forge.endpoint, next)
    return { perSecond: load.operationsPerSecond, p99Ms: load.p99Ms }
  }
}

export const DEDUP = theme({
  name: "dedup",
  open: bench => Dedup.open(bench),
  rows: () => [
    { work: "put 1 MiB of new bytes with dedup, against another bucket", measure: it => it.puts(true) },
    { work: "put 1 MiB that the bucket has with dedup, against another bucket", measure: it => it.puts(false) },
  ],
})
