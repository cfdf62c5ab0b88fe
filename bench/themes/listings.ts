/**
 * Listings: pages of 1,000 per second of processor time of the server, from random places: plain, with a
 * delimiter, over many old versions; and how listings slow down gets.
 */
import { createHash } from "node:crypto"
import { MIB } from "@hayloft/base/limits.js"
import { runLoad, type LoadRequest } from "@hayloft/client/load/raw-load.js"
import { S3Work } from "@hayloft/client/load/s3-work.js"
import { scatter } from "@hayloft/client/load/work-mix.js"
import type { Bench } from "../bench.js"
import { BUCKET, OwnStore } from "../own-store.js"
import { CPU_SECONDS_MIN } from "../process-usage.js"
import { all, atLeast, type Measured, type Row } from "../row.js"
import type { Scale } from "../scale.js"
import { theme, type Fixture } from "../theme.js"

const PAGE_KEYS = 1000
const KEYS_PER_FOLDER = 5
const PLACES = 50
const LISTERS = 4
const WARM_SHARE = 0.3
const MANY_LISTERS = 16
const GETTERS = 4
const VERSIONED = "versioned"
const EMPTY = Buffer.alloc(0)

const keyOf = (n: number): string =>
  `folder${String(Math.floor(n / KEYS_PER_FOLDER)).padStart(8, "0")}/key${n % KEYS_PER_FOLDER}`

class ListedStore {
  private filled = 0

  private constructor(
    private readonly bench: Bench,
    private readonly store: OwnStore,
  ) {}

  static async open(bench: Bench, name: string): Promise<ListedStore> {
    return new ListedStore(bench, await OwnStore.open(bench, { name, folders: 1 }))
  }

  close(): Promise<void> {
    return this.store.close()
  }

  async plain(keys: number): Promise<Measured> {
    await this.fill(keys)
    return this.pages(BUCKET, "", keys - PAGE_KEYS)
  }

  async delimited(keys: number): Promise<Measured> {
    await this.fill(keys)
    return this.pages(BUCKET, "/", keys - PAGE_KEYS * KEYS_PER_FOLDER)
  }

  private hasVersions = false

  /** These keys, each with as many older versions as the scale says. */
  async overVersions(keys: number): Promise<Measured> {
    if (!this.hasVersions) {
      const { client, forge } = this.store
      await client.createBucket(VERSIONED)
      const body = Buffer.from("<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>")
      const query = [["versioning", ""]] as const
      const headers = [["content-md5", createHash("md5").update(body).digest("base64")]] as const
      const request = forge.forge({ method: "PUT", bucket: VERSIONED, query, headers, body })
      await this.each(1, () => ({ request, bytes: 0 }))
      const { oldVersions } = this.bench.scale
      await this.each(keys * (oldVersions + 1), n => this.put(VERSIONED, n % keys))
    }
    this.hasVersions = true
    return this.pages(VERSIONED, "", 0)
  }

  /** p99 of gets during many listings, against without. */
  async beside(keys: number): Promise<Measured> {
    await this.fill(keys)
    const { scale, clock, signal } = this.bench
    const { forge } = this.store
    const work = new S3Work(forge, { bucket: BUCKET, prefix: "got/", sizeBytes: 4096, keys: 100 })
    await work.fill(GETTERS, clock, signal)
    const gets = () => {
      const next = work.requests({ get: 1 })
      return runLoad({ endpoint: forge.endpoint, connections: GETTERS, next, seconds: scale.seconds }, clock, signal)
    }
    const alone = await gets()
    const over = new AbortController()
    const next = this.requests(BUCKET, "", keys - PAGE_KEYS)
    const lists = runLoad(
      { endpoint: forge.endpoint, connections: MANY_LISTERS, next, until: over.signal },
      clock,
      signal,
    )
    const { p99Ms, p50Ms, operationsPerSecond } = await gets().finally(() => over.abort())
    const { operationsPerSecond: pagesPerSecond } = await lists
    return { figure: p99Ms, unit: "ms", limit: alone.p99Ms, also: { p50Ms, operationsPerSecond, pagesPerSecond } }
  }

  private async pages(bucket: string, delimiter: string, lastPlace: number): Promise<Measured> {
    await this.requireFullPage(bucket, delimiter)
    const { scale, clock, signal } = this.bench
    const { endpoint } = this.store.forge
    const next = this.requests(bucket, delimiter, lastPlace)
    const plan = { endpoint, connections: LISTERS, next }
    await runLoad({ ...plan, seconds: scale.seconds * WARM_SHARE }, clock, signal)
    const before = await this.store.cpuSeconds()
    const load = await runLoad({ ...plan, seconds: scale.seconds }, clock, signal)
    if (load.firstError !== undefined) throw new Error(`a page failed: ${load.firstError}`)
    const cpuSeconds = Math.max(CPU_SECONDS_MIN, (await this.store.cpuSeconds()) - before)
    const { operationsPerSecond: perSecond, p50Ms, p99Ms } = load
    return { figure: load.count / cpuSeconds, unit: "pages/CPU s", also: { perSecond, p50Ms, p99Ms } }
  }

  private requests(bucket: string, delimiter: string, lastPlace: number): () => LoadRequest {
    let turn = 0
    return () => {
      turn += 1
      const at = Math.floor(((turn % PLACES) * Math.max(0, lastPlace)) / PLACES)
      const query = [
        ["list-type", "2"],
        ["delimiter", delimiter],
        ["start-after", at === 0 ? "" : keyOf(at)],
      ] as const
      const name = `${bucket} ${delimiter} ${at}`
      return { request: this.store.forge.keep(name, () => ({ method: "GET", bucket, query })), bytes: MIB / 4 }
    }
  }

  /** Pages must be full: a measurement of short pages is meaningless. */
  private async requireFullPage(bucket: string, delimiter: string): Promise<void> {
    const { keys, prefixes } = await this.store.client.list(bucket, { prefix: "", delimiter })
    const entries = keys.length + prefixes.length
    const expected = Math.min(PAGE_KEYS, Math.floor(this.filled / (delimiter === "" ? 1 : KEYS_PER_FOLDER)))
    if (entries < expected) throw new Error(`a page had ${entries} entries instead of ${expected}`)
  }

  /** Adds keys to the bucket, in a scattered order. */
  private async fill(keys: number): Promise<void> {
    const [had, more] = [this.filled, keys - this.filled]
    if (more <= 0) return
    this.filled = keys
    await this.each(more, n => this.put(BUCKET, had + scatter(n, more)))
  }

  private put(bucket: string, n: number): LoadRequest {
    return { request: this.store.forge.forge({ method: "PUT", bucket, key: keyOf(n), body: EMPTY }), bytes: 0 }
  }

  private async each(count: number, request: (n: number) => LoadRequest): Promise<void> {
    const { scale, clock, signal } = this.bench
    let n = 0
    const next = () => (n < count ? request(n++) : undefined)
    const { endpoint } = this.store.forge
    const { firstError } = await runLoad({ endpoint, connections: scale.connections, next }, clock, signal)
    if (firstError !== undefined) throw new Error(`filling failed: ${firstError}`)
  }
}

/** Two stores, so that each round measures pages among few keys and among many; one, if there is one number of keys. */
class Listings implements Fixture {
  private constructor(
    readonly few: ListedStore,
    readonly many: ListedStore,
  ) {}

  static async open(bench: Bench): Promise<Listings> {
    const few = await ListedStore.open(bench, "few-listed")
    return new Listings(few, bench.scale.listKeys.length > 1 ? await ListedStore.open(bench, "listed") : few)
  }

  async close(): Promise<void> {
    await this.few.close()
    if (this.many !== this.few) await this.many.close()
  }

  /** Its limit is the cost of a page among the fewest keys. */
  async plain(keys: number, fewest: number): Promise<Measured> {
    const { figure: limit } = await this.few.plain(fewest)
    return { ...(await this.many.plain(keys)), limit }
  }
}

function rowsOf({ listKeys, oldVersions }: Scale): Row<Listings>[] {
  const [fewest = PAGE_KEYS, ...more] = listKeys
  const most = more.at(-1) ?? fewest
  const versioned = Math.min(PAGE_KEYS, most)
  const few = all(atLeast("figure", 500))
  const many = all(atLeast("figure", 500), atLeast("ratio", 0.8))
  return [
    { work: `LIST a page, ${fewest} keys`, target: few, measure: it => it.few.plain(fewest) },
    ...more.map((keys): Row<Listings> => {
      return { work: `LIST a page, ${keys} keys`, target: many, measure: it => it.plain(keys, fewest) }
    }),
    {
      work: `LIST with delimiter, ${most} keys`,
      target: all(atLeast("figure", 250)),
      measure: it => it.many.delimited(most),
    },
    {
      work: `LIST over ${oldVersions * versioned} old versions`,
      target: all(atLeast("figure", 250)),
      measure: it => it.many.overVersions(versioned),
    },
    { work: `p99 of GET beside ${MANY_LISTERS} who list`, measure: it => it.many.beside(most) },
  ]
}

export const LISTINGS = theme({ name: "listings", open: bench => Listings.open(bench), rows: rowsOf })
