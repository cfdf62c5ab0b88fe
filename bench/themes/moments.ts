/** Reads at a moment, compared with reads of the present: objects, and pages over versions newer than the moment. */
import { HISTORY } from "@hayloft/features/history/schemas.js"
import { parseMoment } from "@hayloft/base/text/moment.js"
import { runLoad } from "@hayloft/client/load/raw-load.js"
import { noiseOf } from "@hayloft/client/load/work-mix.js"
import type { Bench } from "../bench.js"
import { BUCKET, OwnStore } from "../own-store.js"
import { CPU_SECONDS_MIN } from "../process-usage.js"
import { all, atLeast, type Measured } from "../row.js"
import { shareOf } from "../scale.js"
import { theme, type Fixture } from "../theme.js"

const KEYS = 1_000
/** Numbers of versions of each key that are newer than the moment. */
const NEWER = [1, 30] as const
const READERS = 4
const WARM_SHARE = 0.3
const BODY = noiseOf(100)

type Query = readonly (readonly [name: string, value: string])[]

class Moments implements Fixture {
  private newer = 0
  private readonly keys: number

  private constructor(
    private readonly bench: Bench,
    private readonly store: OwnStore,
    /** In 16 digits. */
    private readonly moment: string,
  ) {
    this.keys = shareOf(bench.scale, KEYS)
  }

  static async open(bench: Bench): Promise<Moments> {
    const store = await OwnStore.open(bench, { name: "moments", folders: 1 })
    const path = `/v1/buckets/${BUCKET}`
    await store.admin(async admin => {
      await admin.put(`${path}/settings/versioning`, { value: { Status: "Enabled" } })
      await admin.put(`${path}/settings/history`, { value: {} })
    })
    await fill(bench, store, 1)
    const { now } = HISTORY.parse(await store.admin(admin => admin.get(`${path}/history`)))
    return new Moments(bench, store, String(parseMoment(now)))
  }

  close(): Promise<void> {
    return this.store.close()
  }

  /** GETs per second of the server's processor time. */
  async gets(newer: number): Promise<Measured> {
    await this.write(newer)
    const get = (query: Query) => this.perCpuSecond(n => ({ key: keyOf((n * 7) % this.keys), query }))
    const { figure: limit } = await get([])
    return { ...(await get(this.at)), limit }
  }

  /** Pages per second of the server's processor time. */
  async pages(newer: number): Promise<Measured> {
    await this.write(newer)
    const list = (query: Query) => this.perCpuSecond(() => ({ query: [["list-type", "2"], ...query] }))
    const { figure: limit } = await list([])
    return { ...(await list(this.at)), limit }
  }

  private get at(): Query {
    return [["readTimestamp", this.moment]]
  }

  /** Writes this number of versions of each key after the moment. */
  private async write(newer: number): Promise<void> {
    const more = newer - this.newer
    if (more <= 0) return
    this.newer = newer
    await fill(this.bench, this.store, more)
  }

  private async perCpuSecond(request: (n: number) => { readonly key?: string; readonly query: Query }) {
    const { scale, clock, signal } = this.bench
    const { forge } = this.store
    let n = 0
    const next = () => {
      const { key, query } = request((n += 1))
      const what = { method: "GET", bucket: BUCKET, ...(key !== undefined && { key }), query }
      return { request: forge.keep(JSON.stringify(what), () => what), bytes: 0 }
    }
    const plan = { endpoint: forge.endpoint, connections: READERS, next }
    await runLoad({ ...plan, seconds: scale.seconds * WARM_SHARE }, clock, signal)
    const before = await this.store.cpuSeconds()
    const load = await runLoad({ ...plan, seconds: scale.seconds }, clock, signal)
    if (load.firstError !== undefined) throw new Error(`a read failed: ${load.firstError}`)
    const cpuSeconds = Math.max(CPU_SECONDS_MIN, (await this.store.cpuSeconds()) - before)
    const { operationsPerSecond: perSecond, p50Ms, p99Ms } = load
    return { figure: load.count / cpuSeconds, unit: "/CPU s", also: { perSecond, p50Ms, p99Ms } }
  }
}

const keyOf = (n: number): string => `key${String(n).padStart(5, "0")}`

/** Writes all keys in turn, each this number of times. */
async function fill({ scale, clock, signal }: Bench, { forge }: OwnStore, times: number): Promise<void> {
  const keys = shareOf(scale, KEYS)
  const count = keys * times
  let n = 0
  const put = () => forge.forge({ method: "PUT", bucket: BUCKET, key: keyOf(n++ % keys), body: BODY })
  const next = () => (n < count ? { request: put(), bytes: BODY.length } : undefined)
  const plan = { endpoint: forge.endpoint, connections: scale.connections, next }
  const { firstError } = await runLoad(plan, clock, signal)
  if (firstError !== undefined) throw new Error(`filling failed: ${firstError}`)
}

export const MOMENTS = theme({
  name: "moments",
  open: bench => Moments.open(bench),
  rows: () =>
    NEWER.flatMap(newer => [
      {
        work: `GET at a moment, ${newer} newer versions, against the present`,
        target: all(atLeast("ratio", 0.3)),
        measure: (it: Moments) => it.gets(newer),
      },
      {
        work: `LIST a page at a moment, ${newer} newer versions, against the present`,
        target: all(atLeast("ratio", 0.05)),
        measure: (it: Moments) => it.pages(newer),
      },
    ]),
})
