/** Tables of users: building one from rows in random order, opening it, and random gets from the page cache. */
import { join } from "node:path"
import { performance } from "node:perf_hooks"
import { GIB } from "@hayloft/base/limits.js"
import { RealDisk } from "@hayloft/base/seams/disk/index.js"
import { RealRandom } from "@hayloft/base/seams/random/real.js"
import { buildTable, TableFile } from "@hayloft/engine/table-files/index.js"
import { timed, type Bench } from "../bench.js"
import { all, atMost, type Measured } from "../row.js"
import { shareOf } from "../scale.js"
import { theme, type Fixture } from "../theme.js"

const BATCH = 1_000
const VALUE = Buffer.alloc(100, "value of a row ")
const GETS = 200_000
const GET_MICROS_MAX = 50
const WHOLE_CACHE_BYTES = 2 * GIB
/** An odd number: keys in an order that is not theirs. */
const STEP = 2_654_435_761
/** From this on a run is a long one. */
const LONG_KEYS = 1_000_000

const keyOf = (i: number): string => `user:${((i * STEP) >>> 0).toString(16).padStart(8, "0")}`

async function* rows(count: number) {
  for (let from = 0; from < count; from += BATCH)
    yield Array.from({ length: Math.min(BATCH, count - from) }, (_, i) => ({
      key: Buffer.from(keyOf(from + i)),
      value: VALUE,
      line: from + i,
    }))
}

class Tables implements Fixture {
  private readonly disk = new RealDisk()
  private readonly random = new RealRandom()
  private readonly path: string
  private readonly keys: number

  private constructor(private readonly bench: Bench) {
    this.path = join(bench.workFolder, "rows.table")
    const { startObjects } = bench.scale
    this.keys = startObjects >= LONG_KEYS ? 10 * startObjects : 100 * startObjects
  }

  static async open(bench: Bench): Promise<Tables> {
    const tables = new Tables(bench)
    await tables.build()
    return tables
  }

  private build(): Promise<void> {
    const { disk, random, path, keys } = this
    return buildTable({ disk, random }, path, rows(keys), {
      values: "bytes",
      replaces: true,
      signal: this.bench.signal,
    })
  }

  /** Rows a second. */
  async builds(): Promise<Measured> {
    const { seconds } = await timed(this.bench.clock, () => this.build())
    return { figure: this.keys / seconds / 1_000, unit: "k rows/s", also: { keys: this.keys, seconds } }
  }

  async opens(check: "index" | "whole"): Promise<Measured> {
    const open = () => TableFile.open(this.disk, this.path, { check })
    const { result, seconds } = await timed(this.bench.clock, open)
    const { sizeBytes } = result.stat()
    await result.close()
    return { figure: seconds * 1_000, unit: "ms", also: { keys: this.keys, sizeBytes } }
  }

  /** `isThere`: of keys that the table has. `cacheBytes`: undefined for the default. */
  async gets(isThere: boolean, cacheBytes?: number): Promise<Measured> {
    const table = await TableFile.open(this.disk, this.path, { cacheBytes })
    const gets = shareOf(this.bench.scale, GETS)
    const times = new Float64Array(gets)
    const picked = Array.from(times, () => keyOf(this.random.below(this.keys)) + (isThere ? "" : "-"))
    // Once for the page cache, the cache of blocks and the compiler.
    for (const key of picked) table.get(key)
    for (const [i, key] of picked.entries()) {
      const beganMs = performance.now()
      const value = table.get(key)
      times[i] = (performance.now() - beganMs) * 1_000
      if ((value?.length === VALUE.length) !== isThere) throw new Error(`a wrong answer for ${key}`)
    }
    await table.close()
    times.sort()
    const [p50 = 0, p99 = 0] = [times[Math.floor(gets / 2)], times[Math.floor((gets / 100) * 99)]]
    return { figure: p99, unit: "µs", also: { p50Micros: p50, keys: this.keys } }
  }

  async close(): Promise<void> {
    await this.disk.remove(this.path)
  }
}

const P99 = all(atMost("figure", GET_MICROS_MAX))

export const TABLES = theme({
  name: "tables",
  open: bench => Tables.open(bench),
  rows: () => [
    { work: "build a table of rows in random order", measure: it => it.builds(), isOnce: true },
    { work: "open a table", measure: it => it.opens("index") },
    { work: "open a table and verify it whole", measure: it => it.opens("whole") },
    { work: "random get, p99", target: P99, measure: it => it.gets(true) },
    {
      work: "random get with a cache for all blocks, p99",
      target: P99,
      measure: it => it.gets(true, WHOLE_CACHE_BYTES),
    },
    { work: "random get of absent keys, p99", target: P99, measure: it => it.gets(false) },
  ],
})
