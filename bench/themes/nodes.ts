/**
 * Several nodes on one machine, their database beside them, against a store of one process with as many folders: what a
 * request costs all processes together, database included. And gateways: two processes against one, for their own part.
 */
import { createHash } from "node:crypto"
import { must } from "@hayloft/base/assert.js"
import { KIB } from "@hayloft/base/limits.js"
import { mapBounded } from "@hayloft/base/life/index.js"
import { runLoad, type LoadRequest } from "@hayloft/client/load/raw-load.js"
import type { RequestForge } from "@hayloft/client/load/request-forge.js"
import { S3Work } from "@hayloft/client/load/s3-work.js"
import { noiseOf, scatter, spreadKey, type LoadOperation } from "@hayloft/client/load/work-mix.js"
import type { S3Client } from "@hayloft/client/s3-client.js"
import type { Bench } from "../bench.js"
import { FLAT, Flatness } from "../flatness.js"
import { OwnNodes } from "../own-nodes.js"
import { BUCKET, OwnStore } from "../own-store.js"
import { CPU_SECONDS_MIN } from "../process-usage.js"
import { all, atLeast, type Measured, type Row } from "../row.js"
import type { Scale } from "../scale.js"
import { theme, type Fixture } from "../theme.js"

const NODES = 3
const FOLDERS_EACH = 2
const REDUNDANCY = ["--redundancy", "ec:4+2"]
const SMALL_BYTES = 4 * KIB
const PAGE_KEYS = 1000
const PLACES = 50
/** Each process compiles what it runs often: before that, a second says little about the next hour. */
const WARM_TIMES = 5
const PARTS_CONCURRENT = 4
const LARGE = "large"

/** A store, of one process or several. */
interface Store {
  readonly client: S3Client
  readonly forges: readonly RequestForge[]
  cpuSeconds(): Promise<number>
}

interface Cost {
  readonly perCpuSecond: number
  readonly perSecond: number
  readonly p99Ms: number
}

class Nodes implements Fixture {
  private readonly filled = new Set<string>()
  private readonly flatness = new Flatness()
  private readonly part: Buffer
  private gatewaysAdded = 0

  private constructor(
    private readonly bench: Bench,
    private readonly one: OwnStore,
    private readonly many: OwnNodes,
  ) {
    this.part = noiseOf(Math.ceil(bench.scale.largeBytes / bench.scale.parts / 4) * 4)
  }

  static async open(bench: Bench): Promise<Nodes> {
    const one = await OwnStore.open(bench, { name: "one", folders: NODES * FOLDERS_EACH, args: REDUNDANCY })
    try {
      const size = { nodes: NODES, foldersEach: FOLDERS_EACH }
      const many = await OwnNodes.open(bench, { name: "nodes", ...size, args: REDUNDANCY })
      await many.client.createBucket(BUCKET)
      return new Nodes(bench, one, many)
    } catch (error) {
      await one.close()
      throw error
    }
  }

  async close(): Promise<void> {
    await this.many.close()
    await this.one.close()
  }

  private get single(): Store {
    const { one } = this
    return { client: one.client, forges: [one.forge], cpuSeconds: () => one.cpuSeconds() }
  }

  /** Requests per second of processor time. */
  async small(operation: LoadOperation, keys: number): Promise<Measured> {
    const set = { bucket: BUCKET, prefix: `small/${keys}/`, sizeBytes: SMALL_BYTES, keys }
    const load = async (store: Store): Promise<Cost> => {
      await this.fill(store, set)
      const works = store.forges.map(forge => new S3Work(forge, set).requests({ [operation]: 1 }))
      return this.load(store, works, this.bench.scale.connections)
    }
    return this.beside(await load(this.many), await load(this.single), "k/CPU s", `${operation}`, keys)
  }

  /** Pages of 1,000 keys per second of processor time, from random places. */
  async pages(keys: number): Promise<Measured> {
    const set = { bucket: BUCKET, prefix: `pages/${keys}/`, sizeBytes: 0, keys }
    const load = async (store: Store): Promise<Cost> => {
      await this.fill(store, set)
      const works = store.forges.map(forge => this.pagesOf(forge, set))
      return this.load(store, works, PARTS_CONCURRENT)
    }
    return this.beside(await load(this.many), await load(this.single), "k pages/CPU s", "pages", keys)
  }

  private pagesOf(forge: RequestForge, { prefix, keys }: { prefix: string; keys: number }): () => LoadRequest {
    const last = Math.max(1, keys - PAGE_KEYS)
    const sorted = Array.from({ length: keys }, (_, n) => spreadKey(prefix, n)).sort()
    let turn = 0
    return () => {
      const after = sorted[scatter(++turn % PLACES, last)] ?? prefix
      const query = [
        ["list-type", "2"],
        ["prefix", prefix],
        ["start-after", after],
      ] as const
      return { request: forge.keep(`page ${after}`, () => ({ method: "GET", bucket: BUCKET, query })), bytes: 0 }
    }
  }

  private async fill(store: Store, set: ConstructorParameters<typeof S3Work>[1]): Promise<void> {
    const name = `${store.forges.length === 1 ? "one" : "many"} ${set.prefix}`
    if (this.filled.has(name)) return
    this.filled.add(name)
    const { scale, clock, signal } = this.bench
    const forge = must(store.forges[0], "a store has a process")
    await new S3Work(forge, set).fill(scale.connections, clock, signal)
  }

  /** The same load on each process of the store. */
  private async load(
    store: Pick<Store, "forges" | "cpuSeconds">,
    works: readonly (() => LoadRequest | undefined)[],
    connections: number,
  ): Promise<Cost> {
    const { scale, clock, signal } = this.bench
    const each = Math.ceil(connections / works.length)
    const run = (seconds: number) =>
      Promise.all(
        works.map((next, at) => {
          const { endpoint } = must(store.forges[at], "each process has its work")
          return runLoad({ endpoint, connections: each, next, seconds }, clock, signal)
        }),
      )
    await run(scale.seconds * WARM_TIMES)
    const before = await store.cpuSeconds()
    const loads = await run(scale.seconds)
    const cpuSeconds = Math.max(CPU_SECONDS_MIN, (await store.cpuSeconds()) - before)
    const failed = loads.find(({ firstError }) => firstError !== undefined)
    if (failed) throw new Error(`a request failed: ${failed.firstError ?? ""}`)
    const count = loads.reduce((sum, load) => sum + load.count, 0)
    const perSecond = loads.reduce((sum, load) => sum + load.operationsPerSecond, 0)
    return { perCpuSecond: count / 1000 / cpuSeconds, perSecond, p99Ms: Math.max(...loads.map(({ p99Ms }) => p99Ms)) }
  }

  private beside(many: Cost, one: Cost, unit: string, what: string, keys: number): Measured {
    const { perSecond, p99Ms } = many
    const ofFewest = this.flatness.of(what, keys, many.perCpuSecond / one.perCpuSecond)
    return { figure: many.perCpuSecond, unit, limit: one.perCpuSecond, also: { perSecond, p99Ms, ofFewest } }
  }

  /** Megabytes per second of processor time. */
  async large(work: "put" | "get"): Promise<Measured> {
    const own = await this.largeOn(work, this.manyAsStore)
    return { figure: own, unit: "MB/CPU s", limit: await this.largeOn(work, this.single) }
  }

  private get manyAsStore(): Store {
    const { many } = this
    return { client: many.client, forges: many.forges, cpuSeconds: () => many.cpuSeconds() }
  }

  private async largeOn(work: "put" | "get", store: Store): Promise<number> {
    const { part, bench } = this
    const bytes = part.length * bench.scale.parts
    const name = `large ${store.forges.length}`
    if (work === "get" && !this.filled.has(name)) await this.putLarge(store.client)
    this.filled.add(name)
    const before = await store.cpuSeconds()
    if (work === "put") await this.putLarge(store.client)
    else await readWhole(store.client, bytes)
    return bytes / 1e6 / ((await store.cpuSeconds()) - before)
  }

  private async putLarge(client: S3Client): Promise<void> {
    const { part, bench } = this
    const etag = createHash("md5").update(part).digest("hex")
    const upload = {
      bucket: BUCKET,
      key: LARGE,
      uploadId: await client.createMultipart({ bucket: BUCKET, key: LARGE }),
    }
    const numbers = Array.from({ length: bench.scale.parts }, (_, i) => i + 1)
    await mapBounded(numbers, PARTS_CONCURRENT, async partNumber => {
      await client.putPart({ ...upload, partNumber, body: part })
    })
    await client.complete({ ...upload, etags: numbers.map(() => etag) })
  }

  /**
   * Requests that two gateways answer for the processor time that one needs for its own, twice: what a second gateway
   * adds if each has a core, and the others have theirs.
   */
  async gateways(keys: number): Promise<Measured> {
    const set = { bucket: BUCKET, prefix: `small/${keys}/`, sizeBytes: SMALL_BYTES, keys }
    await this.fill(this.manyAsStore, set)
    while (this.gatewaysAdded < 2) {
      await this.many.add(0)
      this.gatewaysAdded += 1
    }
    const on = async (count: number): Promise<Cost> => {
      const gateways = this.many.processes.slice(-count)
      const store = {
        forges: gateways.map(({ forge }) => forge),
        cpuSeconds: async () => {
          const seconds = await Promise.all(gateways.map(gateway => gateway.cpuSeconds()))
          return seconds.reduce((sum, each) => sum + each, 0)
        },
      }
      const works = store.forges.map(forge => new S3Work(forge, set).requests({ get: 1, put: 1 }))
      return this.load(store, works, this.bench.scale.connections)
    }
    const [two, one] = [await on(2), await on(1)]
    return { figure: 2 * two.perCpuSecond, unit: "k/s of full cores", limit: one.perCpuSecond }
  }
}

async function readWhole(client: S3Client, bytes: number): Promise<void> {
  const { body } = await client.get(BUCKET, LARGE)
  let read = 0
  for await (const chunk of body) read += chunk.length
  if (read !== bytes) throw new Error(`got ${read} bytes of ${bytes}`)
}

function rowsOf({ smallKeys }: Scale): Row<Nodes>[] {
  const fewest = smallKeys[0] ?? PAGE_KEYS
  return [
    {
      work: `PUT 4 KiB, ${fewest} keys, ec:4+2`,
      target: all(atLeast("ratio", 0.25)),
      measure: it => it.small("put", fewest),
    },
    ...smallKeys.flatMap((keys): Row<Nodes>[] => [
      {
        work: `GET 4 KiB, ${keys} keys, 3 nodes`,
        target: all(atLeast("ratio", 0.35)),
        measure: it => it.small("get", keys),
      },
      {
        work: `HEAD, ${keys} keys, 3 nodes`,
        target: all(atLeast("ratio", 0.35)),
        measure: it => it.small("head", keys),
      },
      {
        work: `LIST a page, ${keys} keys, 3 nodes`,
        target: all(atLeast("ratio", 0.4), FLAT),
        measure: it => it.pages(keys),
      },
    ]),
    { work: "PUT of a large object, 3 nodes", target: all(atLeast("ratio", 0.6)), measure: it => it.large("put") },
    { work: "GET of a large object, 3 nodes", target: all(atLeast("ratio", 0.6)), measure: it => it.large("get") },
    { work: "1 to 2 gateways", target: all(atLeast("ratio", 1.7)), measure: it => it.gateways(fewest) },
  ]
}

/** Needs PostgreSQL. */
export const NODES_OF_STORE = theme({
  name: "nodes",
  isOnRequest: true,
  open: bench => Nodes.open(bench),
  rows: rowsOf,
})
