/** Appends beside puts of as many bytes, how soon a follower has them, and copies that share bytes beside those that do not. */
import { KIB } from "@hayloft/base/limits.js"
import { runLoad } from "@hayloft/client/load/raw-load.js"
import { noiseOf } from "@hayloft/client/load/work-mix.js"
import { timed, type Bench } from "../bench.js"
import { BUCKET, OwnStore } from "../own-store.js"
import type { Measured } from "../row.js"
import { shareOf } from "../scale.js"
import { theme, type Fixture } from "../theme.js"
import { loadOf } from "../work-rate.js"

const RECORD = noiseOf(KIB)
const FOLLOWED = 50
/** Copies of one row, of which the median is shown. */
const COPIES = 5
const OTHER_BUCKET = "other"

class Appends implements Fixture {
  private drawn = 0

  private constructor(
    private readonly bench: Bench,
    private readonly store: OwnStore,
  ) {}

  static async open(bench: Bench): Promise<Appends> {
    const store = await OwnStore.open(bench, { name: "appends", folders: 1 })
    await store.admin(admin => admin.put(`/v1/buckets/${BUCKET}/settings/append`, { value: {} }))
    await store.client.createBucket(OTHER_BUCKET)
    return new Appends(bench, store)
  }

  close(): Promise<void> {
    return this.store.close()
  }

  /** Appends to so many objects at the same time, beside puts over as many connections. */
  async besidePuts(objects: number): Promise<Measured> {
    const { forge } = this.store
    this.drawn += 1
    const set = this.drawn
    let [appended, put] = [0, 0]
    const appends = await this.perSecond(() => {
      const key = `log/${set}/${(appended += 1) % objects}`
      return { request: forge.forge({ method: "POST", bucket: BUCKET, key, query: [["append", ""]], body: RECORD }) }
    })
    const puts = await this.perSecond(() => {
      const key = `put/${set}/${(put += 1)}`
      return { request: forge.forge({ method: "PUT", bucket: BUCKET, key, body: RECORD }) }
    })
    return { figure: appends.perSecond, unit: "/s", limit: puts.perSecond, also: { p99Ms: appends.p99Ms } }
  }

  private async perSecond(next: () => { readonly request: ReturnType<OwnStore["forge"]["forge"]> }) {
    const { endpoint } = this.store.forge
    const load = await loadOf(this.bench, endpoint, () => ({ ...next(), bytes: RECORD.length }))
    return { perSecond: load.operationsPerSecond, p99Ms: load.p99Ms }
  }

  /** From the begin of an append to its bytes at a follower, beside the append alone. */
  async followed(): Promise<Measured> {
    const { client } = this.store
    const { clock } = this.bench
    const key = `followed/${(this.drawn += 1)}`
    const [all, alone]: [number[], number[]] = [[], []]
    for (let number = 0; number < shareOf(this.bench.scale, FOLLOWED); number += 1) {
      const seenMs = this.seen(key, number * RECORD.length)
      const beganMs = clock.monotonicMs()
      await this.append(key)
      alone.push(clock.monotonicMs() - beganMs)
      all.push((await seenMs) - beganMs)
    }
    await client.remove(BUCKET, key)
    return { figure: median(all), unit: "ms", limit: median(alone) }
  }

  private async append(key: string): Promise<void> {
    const { forge } = this.store
    const request = () => forge.forge({ method: "POST", bucket: BUCKET, key, query: [["append", ""]], body: RECORD })
    let left = 1
    const next = () => (left-- > 0 ? { request: request(), bytes: RECORD.length } : undefined)
    const load = await runLoad({ endpoint: forge.endpoint, connections: 1, next }, this.bench.clock, this.bench.signal)
    if (load.firstError !== undefined) throw new Error(`an append failed: ${load.firstError}`)
  }

  private async seen(key: string, offset: number): Promise<number> {
    const found = await this.store.client.follow({ bucket: BUCKET, key }, offset, undefined)
    if (found === undefined) throw new Error("nothing was appended")
    for await (const _piece of found.body);
    return this.bench.clock.monotonicMs()
  }

  /** A copy within a bucket that allows appends, beside one to another bucket. */
  async copy(): Promise<Measured> {
    const { client } = this.store
    const { clock, scale } = this.bench
    const from = { bucket: BUCKET, key: `large/${(this.drawn += 1)}` }
    const { etag } = await client.put({ ...from, body: noiseOf(scale.uploadBytes) })
    const [within, across]: [number[], number[]] = [[], []]
    for (let number = 0; number < COPIES; number += 1) {
      const key = `${from.key}/copy ${number}`
      const copyTo = (bucket: string) => timed(clock, () => client.copy(from, etag, { bucket, key }))
      across.push(1_000 * (await copyTo(OTHER_BUCKET)).seconds)
      within.push(1_000 * (await copyTo(BUCKET)).seconds)
    }
    return { figure: median(within), unit: "ms", limit: median(across) }
  }
}

const median = (figures: readonly number[]): number =>
  [...figures].sort((a, b) => a - b)[Math.floor(figures.length / 2)] ?? 0

export const APPENDS = theme({
  name: "appends",
  open: bench => Appends.open(bench),
  rows: ({ uploadBytes }) => [
    { work: "append 1 KiB to one object, against puts", measure: it => it.besidePuts(1) },
    { work: "append 1 KiB to 64 objects, against puts", measure: it => it.besidePuts(64) },
    { work: "append 1 KiB until a follower has it, against the append", measure: it => it.followed() },
    { work: `copy ${uploadBytes / KIB} KiB within the bucket, against another bucket`, measure: it => it.copy() },
  ],
})
