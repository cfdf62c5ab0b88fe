/**
 * Pressure: the latency at 70 % of the store's peak while it scrubs and compacts, and the share of its peak that it
 * keeps under three times that load.
 */
import { KIB, MIB } from "@hayloft/base/limits.js"
import { runLoad, type LoadPlan, type LoadResult } from "@hayloft/client/load/raw-load.js"
import { S3Work } from "@hayloft/client/load/s3-work.js"
import { noiseOf, type Mix } from "@hayloft/client/load/work-mix.js"
import { BackgroundWork } from "../background-work.js"
import type { Bench } from "../bench.js"
import { BUCKET, OwnStore } from "../own-store.js"
import { peakMegabytes } from "../process-usage.js"
import { all, any, atLeast, atMost, type Measured } from "../row.js"
import { shareOf } from "../scale.js"
import { theme, type Fixture } from "../theme.js"

const OBJECT_BYTES = 4 * KIB
const KEYS = 1000
const LARGE_BYTES = 4 * MIB
const TAIL_SHARE = 0.7
const WARM_SHARE = 0.3
/** The required share of the time: between two passes a scrub is idle for a moment. */
const AT_WORK_MIN = 0.6
const OVERLOAD_TIMES = 3
const TAIL_CONNECTIONS = 256
const TAIL_MIX: Mix = { get: 2, put: 1 }

class Pressure implements Fixture {
  private constructor(
    private readonly bench: Bench,
    private readonly store: OwnStore,
    private readonly work: S3Work,
  ) {}

  static async open(bench: Bench): Promise<Pressure> {
    const store = await OwnStore.open(bench, { name: "pressure", folders: 1 })
    const keys = shareOf(bench.scale, KEYS)
    const work = new S3Work(store.forge, { bucket: BUCKET, prefix: "small/", sizeBytes: OBJECT_BYTES, keys })
    const pressure = new Pressure(bench, store, work)
    await work.fill(bench.scale.connections, bench.clock, bench.signal)
    return pressure
  }

  close(): Promise<void> {
    return this.store.close()
  }

  async tail(): Promise<Measured> {
    const count = Math.ceil(this.bench.scale.largeBytes / LARGE_BYTES)
    await this.putLarge(count)
    const peak = await this.peak(TAIL_MIX)
    // Deletes every second object, so that each volume has dead space to compact.
    for (let n = 0; n < count; n += 2) await this.store.client.remove(BUCKET, `large-${n}`)
    return this.store.admin(async admin => {
      const beside = await BackgroundWork.begin(admin)
      try {
        await this.tailLoad(peak, WARM_SHARE * this.bench.scale.tailSeconds)
        beside.reset()
        const { p50Ms, p99Ms, maxMs } = await this.tailLoad(peak, this.bench.scale.tailSeconds)
        const { scrubbing, compacting } = await beside.end()
        const also = { timesP50: p99Ms / p50Ms, p50Ms, maxMs, perSecond: peak * TAIL_SHARE, scrubbing, compacting }
        return { figure: p99Ms, unit: "ms", also }
      } finally {
        await beside.end()
      }
    })
  }

  private async tailLoad(peak: number, seconds: number): Promise<LoadResult> {
    const next = this.work.requests(TAIL_MIX)
    const load = await this.load({
      next,
      connections: shareOf(this.bench.scale, TAIL_CONNECTIONS),
      perSecond: peak * TAIL_SHARE,
      seconds,
    })
    if (load.firstError !== undefined) throw new Error(`a request failed: ${load.firstError}`)
    return load
  }

  async overload(): Promise<Measured> {
    const { overloadConnections: connections, tailSeconds: seconds } = this.bench.scale
    const put: Mix = { put: 1 }
    const limit = await this.peak(put)
    const perSecond = limit * OVERLOAD_TIMES
    const next = this.work.requests(put)
    const plan = { next, connections, perSecond, seconds, errorsInARowMax: Infinity, patienceMs: 0 }
    const { count, seconds: took, statuses, retryLater, errors, p99Ms } = await this.load(plan)
    const requested = count + errors
    const also = {
      answeredTimes: requested / took / limit,
      shareOf503: (statuses[503] ?? 0) / Math.max(1, requested),
      otherErrors: errors - retryLater,
      brokenOff: statuses[0] ?? 0,
      p99Ms,
    }
    const memory = await peakMegabytes(this.store.pid).catch(() => undefined)
    return { figure: count / took, unit: "/s", limit, also: memory === undefined ? also : { ...also, peakMb: memory } }
  }

  /** Measures the peak for as long as the compared load runs, because the figure includes checkpoints. */
  private async peak(mix: Mix): Promise<number> {
    const { connections, tailSeconds: seconds } = this.bench.scale
    return (await this.load({ next: this.work.requests(mix), connections, seconds })).operationsPerSecond
  }

  private load(plan: Omit<LoadPlan, "endpoint">): Promise<LoadResult> {
    const { clock, signal } = this.bench
    return runLoad({ ...plan, endpoint: this.store.forge.endpoint }, clock, signal)
  }

  private async putLarge(count: number): Promise<void> {
    const body = noiseOf(LARGE_BYTES)
    let n = 0
    const next = () => {
      if (n === count) return undefined
      const request = this.store.forge.forge({ method: "PUT", bucket: BUCKET, key: `large-${n}`, body })
      n += 1
      return { request, bytes: LARGE_BYTES }
    }
    const { firstError } = await this.load({ next, connections: 4 })
    if (firstError !== undefined) throw new Error(`filling failed: ${firstError}`)
  }
}

export const PRESSURE = theme({
  name: "pressure",
  open: bench => Pressure.open(bench),
  rows: () => [
    {
      work: `p99 at ${TAIL_SHARE * 100} % of peak, scrub and compaction on`,
      target: any(atMost("timesP50", 5), atMost("figure", 10)),
      given: [atLeast("scrubbing", AT_WORK_MIN), atLeast("compacting", AT_WORK_MIN)],
      measure: it => it.tail(),
      isOnce: true,
    },
    {
      work: `PUT 4 KiB, ${OVERLOAD_TIMES} times what it can do`,
      target: all(atLeast("ratio", 0.8), atMost("otherErrors", 0)),
      measure: it => it.overload(),
      isOnce: true,
    },
  ],
})
