/**
 * Small objects over many connections: requests per second of processor time of the server's process, compared with
 * a bare server that reads the same bodies, or sends as many bytes.
 */
import { KIB } from "@hayloft/base/limits.js"
import { sizeText } from "@hayloft/cli/text.js"
import { runLoad, type LoadResult } from "@hayloft/client/load/raw-load.js"
import { S3Work } from "@hayloft/client/load/s3-work.js"
import type { LoadOperation } from "@hayloft/client/load/work-mix.js"
import type { Bench } from "../bench.js"
import { BUCKET, OwnStore } from "../own-store.js"
import { PlainServer } from "../plain-server.js"
import { CPU_SECONDS_MIN, cpuSecondsOf } from "../process-usage.js"
import { FLAT, Flatness } from "../flatness.js"
import { all, atLeast, atMost, type Measured, type Row } from "../row.js"
import { shareOf, type Scale } from "../scale.js"
import { theme, type Fixture } from "../theme.js"

const SMALL_BYTES = 4 * KIB
/** The number of the larger objects that are reported. */
const OTHER_KEYS = 200
/** A bucket whose objects are encrypted. */
const SEALED = "sealed"
const SEALED_KEYS = 1_000
const WARM_SHARE = 0.3

interface Load {
  readonly operation: LoadOperation
  readonly sizeBytes: number
  readonly keys: number
  readonly seconds?: number
}

class SmallObjects implements Fixture {
  private readonly sets = new Map<string, S3Work>()
  private readonly bare = new Map<number, PlainServer>()
  private readonly flatness = new Flatness()

  private constructor(
    private readonly bench: Bench,
    private readonly store: OwnStore,
  ) {}

  static async open(bench: Bench): Promise<SmallObjects> {
    return new SmallObjects(bench, await OwnStore.open(bench, { name: "small", folders: 1 }))
  }

  async close(): Promise<void> {
    for (const bare of this.bare.values()) await bare.stop()
    await this.store.close()
  }

  async perCpuSecond({ operation, sizeBytes, keys, seconds }: Load): Promise<Measured> {
    const work = await this.filled(sizeBytes, keys)
    const next = work.requests({ [operation]: 1 })
    const bare = await this.bareOf(sizeBytes)
    const limit = await this.thousands(bare.pid, bare.endpoint, next)
    const own = await this.thousands(this.store.pid, this.store.forge.endpoint, next, seconds)
    const { operationsPerSecond: perSecond, p50Ms, p99Ms, megabytesPerSecond } = own.load
    // Relative to the bare server, because the speed of a shared machine changes between the sets.
    const ofFewest = this.flatness.of(`${operation} ${sizeBytes}`, keys, own.figure / limit.figure)
    const also = { perSecond, megabytesPerSecond, p50Ms, p99Ms, ofFewest }
    return { figure: own.figure, unit: "k/CPU s", limit: limit.figure, also }
  }

  /** Requests for encrypted objects, beside the same requests for plain ones. */
  async sealed(operation: LoadOperation): Promise<Measured> {
    if (!this.hasSealedBucket) await this.store.createSealedBucket(SEALED)
    this.hasSealedBucket = true
    const seconds = this.bench.scale.seconds / 2
    const thousands = async (bucket: string) => {
      const work = await this.filled(SMALL_BYTES, SEALED_KEYS, bucket)
      return this.thousands(this.store.pid, this.store.forge.endpoint, work.requests({ [operation]: 1 }), seconds)
    }
    // In both orders, because each run also pays for checkpoints of what the run before it wrote.
    const [plain, sealed] = [await thousands(BUCKET), await thousands(SEALED)]
    const [sealedAgain, plainAgain] = [await thousands(SEALED), await thousands(BUCKET)]
    const figure = (sealed.figure + sealedAgain.figure) / 2
    const limit = (plain.figure + plainAgain.figure) / 2
    const p99Ms = Math.max(sealed.load.p99Ms, sealedAgain.load.p99Ms)
    return { figure, unit: "k/CPU s", limit, also: { p99Ms } }
  }

  private hasSealedBucket = false

  private async bareOf(sizeBytes: number): Promise<PlainServer> {
    const bare = this.bare.get(sizeBytes) ?? (await PlainServer.start({ bytes: sizeBytes }))
    this.bare.set(sizeBytes, bare)
    return bare
  }

  /** Thousand requests per second of processor time, after a warm-up of code and caches. */
  private async thousands(
    pid: number,
    endpoint: URL,
    next: ReturnType<S3Work["requests"]>,
    seconds = this.bench.scale.seconds,
  ): Promise<{ readonly figure: number; readonly load: LoadResult }> {
    const { scale, clock, signal } = this.bench
    const plan = { endpoint, connections: scale.connections, next }
    await runLoad({ ...plan, seconds: scale.seconds * WARM_SHARE }, clock, signal)
    const before = await cpuSecondsOf(pid)
    const load = await runLoad({ ...plan, seconds }, clock, signal)
    if (load.firstError !== undefined) throw new Error(`a request failed: ${load.firstError}`)
    const cpuSeconds = Math.max(CPU_SECONDS_MIN, (await cpuSecondsOf(pid)) - before)
    return { figure: load.count / 1000 / cpuSeconds, load }
  }

  private async filled(sizeBytes: number, keys: number, bucket = BUCKET): Promise<S3Work> {
    const prefix = `${sizeBytes}/${keys}/`
    const known = this.sets.get(`${bucket}/${prefix}`)
    if (known !== undefined) return known
    const work = new S3Work(this.store.forge, { bucket, prefix, sizeBytes, keys })
    await work.fill(this.bench.scale.connections, this.bench.clock, this.bench.signal)
    this.sets.set(`${bucket}/${prefix}`, work)
    return work
  }
}

function rowsOf(scale: Scale): Row<SmallObjects>[] {
  const { smallKeys, otherSizes, overwriteKeys, overwriteSeconds: seconds } = scale
  const otherKeys = shareOf(scale, OTHER_KEYS)
  const sizeBytes = SMALL_BYTES
  // Sets of up to 10^5 keys; the next row measures larger ones.
  const fewest = smallKeys.filter(keys => keys <= 100_000).at(-1) ?? 1000
  const put = { operation: "put", sizeBytes, keys: fewest } as const
  const overwrite = { operation: "put", sizeBytes, keys: overwriteKeys, seconds } as const
  return [
    { work: `PUT 4 KiB, ${fewest} keys`, target: all(atLeast("ratio", 0.38)), measure: it => it.perCpuSecond(put) },
    ...smallKeys.flatMap((keys): Row<SmallObjects>[] => [
      {
        work: `GET 4 KiB, ${keys} keys`,
        target: all(atLeast("ratio", 0.5), FLAT),
        measure: it => it.perCpuSecond({ operation: "get", sizeBytes, keys }),
      },
      {
        work: `HEAD, ${keys} keys`,
        target: all(atLeast("ratio", 0.65), FLAT),
        measure: it => it.perCpuSecond({ operation: "head", sizeBytes, keys }),
      },
    ]),
    {
      work: `PUT 4 KiB, ${overwriteKeys} keys, overwrites for ${seconds} s`,
      target: all(atLeast("ratio", 0.24), atMost("p99Ms", 15)),
      measure: it => it.perCpuSecond(overwrite),
      isOnce: true,
    },
    ...otherSizes.flatMap(size =>
      (["put", "get"] as const).map(operation => ({
        work: `${operation.toUpperCase()} ${sizeText(size)}`,
        measure: (it: SmallObjects) => it.perCpuSecond({ operation, sizeBytes: size, keys: otherKeys }),
      })),
    ),
  ]
}

export const SEALED_SMALL = theme({
  name: "sealed-small",
  open: bench => SmallObjects.open(bench),
  rows: () => [
    { work: "sealed PUT 4 KiB", target: all(atLeast("ratio", 0.85)), measure: it => it.sealed("put") },
    { work: "sealed GET 4 KiB", target: all(atLeast("ratio", 0.85)), measure: it => it.sealed("get") },
  ],
})

export const SMALL = theme({ name: "small", open: bench => SmallObjects.open(bench), rows: rowsOf })
