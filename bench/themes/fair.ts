/**
 * Fair: what one account at full load costs another. B has 8 connections, which read and write small objects, put some of
 * 1 MiB, and list; A has 256, in a process of its own with the lowest priority, so that its load generator takes as
 * little of B's and the server's processor time as the machine allows. Then a connection of B is made right behind 800 of A that
 * read nothing of an object of 4 MiB each; its first GET is measured.
 *
 * The limit of each figure is B alone in the same round. `refusedShare` is what B keeps while the server refuses nearly
 * all of A's requests by a limit of rates: what is lost then is the cost of A's generator and of reading its heads, not of
 * sharing.
 */
import { spawn, type ChildProcess } from "node:child_process"
import { once } from "node:events"
import { connect, type Socket } from "node:net"
import { fileURLToPath } from "node:url"
import { z } from "zod"
import { must } from "@hayloft/base/assert.js"
import { KIB, MIB } from "@hayloft/base/limits.js"
import { runLoad, type LoadRequest, type LoadResult } from "@hayloft/client/load/raw-load.js"
import { RequestForge } from "@hayloft/client/load/request-forge.js"
import { S3Work } from "@hayloft/client/load/s3-work.js"
import { S3Client } from "@hayloft/client/s3-client.js"
import type { S3Access } from "@hayloft/client/signed-call.js"
import type { Bench } from "../bench.js"
import { OwnStore } from "../own-store.js"
import { all, atLeast, atMost, type Measured } from "../row.js"
import { theme, type Fixture } from "../theme.js"

const CONNECTIONS_A = 256
const CONNECTIONS_B = 8
const SMALL_BYTES = 4 * KIB
const LARGE_BYTES = 1 * MIB
const KEYS = 1_000
const READERS = 800
const READ_BYTES = 4 * MIB
/** One of so many requests of B is for 1 MiB, and one lists. */
const OTHERS_EVERY = 50
const WARM_SHARE = 0.5
const GENERATOR = fileURLToPath(new URL("../fair-generator.js", import.meta.url))
const NEW_KEY = z.object({ accessKeyId: z.string(), secretAccessKey: z.string() })

export const LOADS = ["small GET", "small PUT", "large GET", "large PUT", "listing"] as const
export type KindOfLoad = (typeof LOADS)[number]

const SMALL_OF_A = { bucket: "of-a", prefix: "k/", sizeBytes: SMALL_BYTES, keys: KEYS }
const LARGE_OF_A = { bucket: "of-a", prefix: "large/", sizeBytes: LARGE_BYTES, keys: 64 }
const READ_OF_A = { bucket: "of-a", prefix: "read/", sizeBytes: READ_BYTES, keys: 1 }
const SMALL_OF_B = { bucket: "of-b", prefix: "k/", sizeBytes: SMALL_BYTES, keys: KEYS }

/** The instructions for the process of A. */
export interface GeneratorTask {
  readonly access: S3Access
  readonly kind: KindOfLoad
  readonly connections: number
}

/** The requests of A. */
export function requestsOf(kind: KindOfLoad, forge: RequestForge): () => LoadRequest | undefined {
  const set = kind.startsWith("large") ? LARGE_OF_A : SMALL_OF_A
  const mix = kind === "listing" ? { list: 1 } : kind.endsWith("GET") ? { get: 1 } : { put: 1 }
  return new S3Work(forge, set).requests(mix)
}

class Fair implements Fixture {
  private constructor(
    private readonly bench: Bench,
    private readonly store: OwnStore,
    private readonly a: RequestForge,
    private readonly b: RequestForge,
  ) {}

  static async open(bench: Bench): Promise<Fair> {
    const store = await OwnStore.open(bench, { name: "fair", folders: 1 })
    const accessOf = (name: string): Promise<S3Access> =>
      store.admin(async admin => {
        await admin.post("/v1/accounts", { id: name, displayName: name })
        return { ...store.access, ...NEW_KEY.parse(await admin.post("/v1/keys", { accountId: name })) }
      })
    const { clock, signal } = bench
    const filled = async (access: S3Access, bucket: string): Promise<RequestForge> => {
      const client = new S3Client(access, clock, signal, { md5: false })
      await client.createBucket(bucket)
      client.close()
      const forge = new RequestForge(access, clock)
      const work = new S3Work(forge, { bucket, prefix: "k/", sizeBytes: SMALL_BYTES, keys: KEYS })
      await work.fill(CONNECTIONS_B, clock, signal)
      return forge
    }
    const [a, b] = [await accessOf("a"), await accessOf("b")]
    const forgeOfA = await filled(a, "of-a")
    await new S3Work(forgeOfA, LARGE_OF_A).fill(CONNECTIONS_B, clock, signal)
    await new S3Work(forgeOfA, READ_OF_A).fill(1, clock, signal)
    return new Fair(bench, store, forgeOfA, await filled(b, "of-b"))
  }

  close(): Promise<void> {
    return this.store.close()
  }

  async beside(kind: KindOfLoad): Promise<Measured> {
    const alone = await this.loadOfB()
    const beside = await this.whileA(kind, () => this.loadOfB())
    await this.limitA({ requestsPerSecond: 1 })
    const refused = await this.whileA(kind, () => this.loadOfB())
    await this.limitA({})
    return {
      figure: beside.operationsPerSecond,
      unit: "/s",
      limit: alone.operationsPerSecond,
      also: {
        timesP99: beside.p99Ms / alone.p99Ms,
        p99Ms: beside.p99Ms,
        aloneP99Ms: alone.p99Ms,
        refusedShare: refused.operationsPerSecond / alone.operationsPerSecond,
        refusedTimesP99: refused.p99Ms / alone.p99Ms,
      },
    }
  }

  async behindReaders(): Promise<Measured> {
    const { clock } = this.bench
    const getOf = (work: S3Work) => must(work.requests({ get: 1 })(), "gets have no end").request.bytes
    const read = getOf(new S3Work(this.a, READ_OF_A))
    const get = getOf(new S3Work(this.b, SMALL_OF_B))
    const readers = Array.from({ length: READERS }, () => this.send(read).pause())
    const beganMs = clock.monotonicMs()
    const newcomer = this.send(get)
    try {
      const answer = String(await once(newcomer, "data", { signal: this.bench.signal }))
      if (!answer.startsWith("HTTP/1.1 200")) throw new Error(`B's GET was answered ${answer}`)
      return { figure: clock.monotonicMs() - beganMs, unit: "ms" }
    } finally {
      for (const socket of [...readers, newcomer]) socket.destroy()
    }
  }

  /** A connection of its own. */
  private send(request: Uint8Array): Socket {
    const { hostname, port } = this.b.endpoint
    const socket = connect({ host: hostname, port: Number(port) })
    socket.on("error", () => undefined)
    socket.write(request)
    return socket
  }

  private limitA(limits: Readonly<Record<string, number>>): Promise<unknown> {
    return this.store.admin(admin => admin.post("/v1/accounts/a/limits", limits))
  }

  private async loadOfB(): Promise<LoadResult> {
    const set = SMALL_OF_B
    const small = new S3Work(this.b, set).requests({ get: 1, put: 1 })
    const large = new S3Work(this.b, { ...set, prefix: "large/", sizeBytes: LARGE_BYTES, keys: 8 }).requests({ put: 1 })
    const listing = new S3Work(this.b, set).requests({ list: 1 })
    let count = 0
    const next = (): LoadRequest | undefined => {
      count += 1
      if (count % OTHERS_EVERY === 0) return large()
      return count % OTHERS_EVERY === 1 ? listing() : small()
    }
    const { clock, signal, scale } = this.bench
    const plan = { endpoint: this.b.endpoint, connections: CONNECTIONS_B, next, seconds: scale.tailSeconds }
    const load = await runLoad(plan, clock, signal)
    if (load.firstError !== undefined) throw new Error(`a request of B failed: ${load.firstError}`)
    return load
  }

  private async whileA<T>(kind: KindOfLoad, work: () => Promise<T>): Promise<T> {
    const task: GeneratorTask = { access: this.a.access, kind, connections: CONNECTIONS_A }
    const generator = spawn("nice", ["-n", "19", process.execPath, GENERATOR, JSON.stringify(task)], {
      stdio: ["ignore", "ignore", "inherit"],
    })
    try {
      await this.bench.clock.sleep(WARM_SHARE * this.bench.scale.tailSeconds * 1_000, this.bench.signal)
      if (generator.exitCode !== null) throw new Error("A's generator has ended")
      return await work()
    } finally {
      await stop(generator)
    }
  }
}

async function stop(generator: ChildProcess): Promise<void> {
  const exited = once(generator, "exit")
  if (generator.exitCode === null && generator.kill()) await exited
}

export const FAIR = theme({
  name: "fair",
  isOnRequest: true,
  open: bench => Fair.open(bench),
  rows: () => [
    ...LOADS.map(kind => ({
      work: `B beside A's 256 connections of ${kind}`,
      target: all(atLeast("ratio", 0.5), atMost("timesP99", 2)),
      measure: (it: Fair) => it.beside(kind),
      isOnce: true,
    })),
    {
      work: `B's first GET behind ${READERS} connections of A that read nothing`,
      target: all(atMost("figure", 2_000)),
      measure: (it: Fair) => it.behindReaders(),
    },
  ],
})
