/** Locks that are taken and released, beside objects; a lock that passes on; and what a fence adds to a write. */
import { CoordClient } from "@hayloft/client/index.js"
import { noiseOf } from "@hayloft/client/load/work-mix.js"
import { KIB } from "@hayloft/base/limits.js"
import type { Bench } from "../bench.js"
import { BUCKET, OwnStore } from "../own-store.js"
import type { Measured } from "../row.js"
import { shareOf } from "../scale.js"
import { theme, type Fixture } from "../theme.js"
import { ratePerSecond } from "../work-rate.js"

const BODY = noiseOf(KIB)
/** Locks that pass on in one row, of which the median is shown. */
const HAND_OVERS = 50

class Locks implements Fixture {
  private drawn = 0

  private constructor(
    private readonly bench: Bench,
    private readonly store: OwnStore,
    private readonly client: CoordClient,
  ) {}

  static async open(bench: Bench): Promise<Locks> {
    const store = await OwnStore.open(bench, { name: "locks", folders: 1, args: ["--coordination"] })
    const { accessKeyId, secretAccessKey, region } = store.access
    const access = { endpoint: await store.adminEndpoint(), accessKeyId, secretAccessKey, region }
    return new Locks(bench, store, new CoordClient(access, bench.clock, bench.signal))
  }

  async close(): Promise<void> {
    this.client.close()
    await this.store.close()
  }

  /** Acquisition and release, beside putting and deleting an object. */
  async besideObjects(workers: number): Promise<Measured> {
    const session = await this.client.begin()
    const round = (this.drawn += 1)
    const locks = await ratePerSecond(this.bench, workers, async worker => {
      await (await session.acquire(`bench-${worker % 8}/lock-${round}-${worker}`))?.release()
    })
    const { client } = this.store
    const objects = await ratePerSecond(this.bench, workers, async worker => {
      const key = `lock-${round}-${worker}`
      await client.put({ bucket: BUCKET, key, body: BODY })
      await client.remove(BUCKET, key)
    })
    await session.end()
    return { figure: locks, unit: "/s", limit: objects }
  }

  /** From a release to the lock at a session that waits, beside the release alone. */
  async handOver(): Promise<Measured> {
    const { clock } = this.bench
    const [one, two] = [await this.client.begin(), await this.client.begin()]
    const path = `hand-over/${(this.drawn += 1)}`
    const [all, alone]: [number[], number[]] = [[], []]
    let lock = await one.acquire(path)
    for (let number = 0; number < shareOf(this.bench.scale, HAND_OVERS) && lock !== undefined; number += 1) {
      const next = number % 2 === 0 ? two : one
      const taken = next.acquire(path, { waitSeconds: 10 }).then(got => ({ got, atMs: clock.monotonicMs() }))
      while (!(await this.client.locks("hand-over/")).some(({ waiting }) => waiting.length > 0));
      const beganMs = clock.monotonicMs()
      await lock.release()
      alone.push(clock.monotonicMs() - beganMs)
      const { got, atMs } = await taken
      all.push(atMs - beganMs)
      lock = got
    }
    await one.end()
    await two.end()
    return { figure: median(all), unit: "ms", limit: median(alone) }
  }

  /** Writes with a fence, beside those without. */
  async fenced(): Promise<Measured> {
    const session = await this.client.begin()
    const lock = await session.acquire(`fenced/${(this.drawn += 1)}`)
    const headers = [["x-hayloft-fence", lock?.fence ?? ""] as const]
    const { client } = this.store
    const put = (more: typeof headers | undefined) =>
      ratePerSecond(this.bench, 8, async worker => {
        await client.put({ bucket: BUCKET, key: `fenced-${worker}`, body: BODY, ...(more && { headers: more }) })
      })
    const figure = await put(headers)
    const limit = await put(undefined)
    await session.end()
    return { figure, unit: "/s", limit }
  }
}

const median = (figures: readonly number[]): number =>
  [...figures].sort((a, b) => a - b)[Math.floor(figures.length / 2)] ?? 0

export const LOCKS = theme({
  name: "locks",
  open: bench => Locks.open(bench),
  rows: () => [
    { work: "lock taken and released, against an object put and deleted", measure: it => it.besideObjects(1) },
    { work: "the same by 16 clients in 8 namespaces", measure: it => it.besideObjects(16) },
    { work: "lock until a session that waits has it, against the release", measure: it => it.handOver() },
    { work: "PUT of 1 KiB with a fence by 8 clients, against one without", measure: it => it.fenced() },
  ],
})
