/**
 * `npm run bench`: figures of a store, and shares of what the machine can do, in one run.
 *
 * Starts a store of its own in a temporary folder unless `--endpoint` names one; removes what it made,
 * also when interrupted. Time and space are bounded by the options.
 */
import { mkdir, mkdtemp, rm } from "node:fs/promises"
import { cpus, tmpdir } from "node:os"
import { join } from "node:path"
import { S3Client, type S3Access } from "../src/main/client/s3-client.js"
import { StoreProcess } from "../src/main/client/store-process.js"
import { RealClock } from "../src/seams/clock/real.js"
import { DEVICE_STORES, devicesScenario, type DevicesResult } from "./devices.js"
import { judgingScenario } from "./judging.js"
import { diskLimit, hashLimit, PlainHttp } from "./limits.js"
import { ratio, type Summary } from "../src/main/client/load/latencies.js"
import { parseOptions, USAGE, type BenchOptions, type OperationName } from "./options.js"
import { textOfReport, type Report, type WorkloadRow } from "./report.js"
import { listingScenario, multipartScenario, residentMegabytes } from "./scenarios.js"
import type { ListingResult, MultipartResult } from "./scenarios.js"
import { Workload } from "./workload.js"

const clock = new RealClock()
const MULTIPART_FOLDERS = 7

class Bench {
  constructor(
    private readonly options: BenchOptions,
    private readonly workFolder: string,
    private readonly signal: AbortSignal,
    private readonly say: (line: string) => void,
  ) {}

  async run(): Promise<Report> {
    const { scenarios } = this.options
    const judging = scenarios.includes("judging") ? judgingScenario() : []
    const workload: WorkloadRow[] = []
    const listing: ListingResult[] = []
    let multipart: MultipartResult | undefined
    let idleMegabytes: number | undefined
    if (scenarios.includes("memory") && this.options.endpoint === undefined) idleMegabytes = await this.#idleMemory()
    if (scenarios.includes("workload")) {
      for (const sizeBytes of this.options.sizes) workload.push(...(await this.#workload(sizeBytes)))
    }
    if (scenarios.includes("multipart")) multipart = await this.#multipart()
    if (scenarios.includes("listing")) {
      await this.#withStore("listing", this.options.folders, async (access, bucket) => {
        const client = new S3Client(access, clock, this.signal, { md5: false })
        for await (const result of listingScenario(client, clock, bucket, this.options.keysMax, this.signal)) {
          this.say(`listing: a page of 1,000 among ${result.keys} keys: p50 ${result.page.p50Ms} ms`)
          listing.push(result)
        }
        client.close()
      })
    }
    const devices: DevicesResult[] = []
    if (scenarios.includes("devices") && this.options.endpoint === undefined) {
      const { devicesFolders } = this.options
      const stores = DEVICE_STORES.filter(({ folders }) => devicesFolders.includes(folders))
      for (const store of stores) devices.push(await this.#devices(store))
    }
    const [cpu] = cpus()
    const machine = { cpu: cpu?.model ?? "unknown", cores: cpus().length, node: process.versions.node }
    return { machine, workload, multipart, listing, idleMegabytes, devices, judging }
  }

  async #idleMemory(): Promise<number | undefined> {
    const store = await this.#start("idle", this.options.folders)
    try {
      await clock.sleep(this.options.idleSeconds * 1000, this.signal)
      return await residentMegabytes(store.pid)
    } finally {
      await store.stop()
    }
  }

  async #devices(store: (typeof DEVICE_STORES)[number]): Promise<DevicesResult> {
    const { devicesBytes: bytes, rounds, seconds } = this.options
    const folder = join(this.workFolder, `devices-${store.folders}`)
    try {
      return await devicesScenario(folder, { ...store, bytes, rounds, seconds }, clock, this.signal, this.say)
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  }

  #multipart(): Promise<MultipartResult> {
    const folders = Math.max(this.options.folders, MULTIPART_FOLDERS)
    this.say(`multipart: ${this.options.multipartBytes} bytes with the AWS SDK`)
    return this.#withStore("multipart", folders, (access, bucket) =>
      multipartScenario(access, clock, bucket, this.options.multipartBytes),
    )
  }

  /** All operations at one size: each concurrency fills, reads, lists and deletes its own objects. */
  #workload(sizeBytes: number): Promise<WorkloadRow[]> {
    const { operations, concurrencies, seconds, objectsMax } = this.options
    const body = new Uint8Array(sizeBytes).map((_, i) => (i * 31 + (i >> 8)) & 0xff)
    return this.#withStore(`size-${sizeBytes}`, this.options.folders, async (access, bucket) => {
      const rows: WorkloadRow[] = []
      for (const concurrency of concurrencies) {
        const client = new S3Client(access, clock, this.signal, {
          md5: false,
          attemptsMax: 1,
          connectionsMax: concurrency,
        })
        const workload = new Workload(client, clock, bucket, body, this.signal)
        const limits = await this.#limits(body, { sizeBytes, concurrency, seconds: Math.min(seconds, 2) })
        const results: WorkloadRow[] = []
        for (const operation of operations) {
          if (operation !== "put") await workload.fill(Math.min(objectsMax, 4 * concurrency), concurrency)
          const result = await workload.run({ operation, sizeBytes, concurrency, seconds, objectsMax })
          this.say(
            `${operation} ${sizeBytes} B x${concurrency}: ${result.operationsPerSecond}/s, p99 ${result.p99Ms} ms`,
          )
          results.push({ operation, sizeBytes, concurrency, result, ...limits(operation, result) })
        }
        await workload.clear()
        client.close()
        rows.push(...results)
      }
      return rows
    })
  }

  /** Measures the limits once and gives a function that says how near a result comes. */
  async #limits(body: Uint8Array, options: { sizeBytes: number; concurrency: number; seconds: number }) {
    const disk = await diskLimit(this.workFolder, clock, body, options)
    const hashMegabytes = hashLimit(clock, body, Math.min(0.5, options.seconds))
    const plain = await PlainHttp.start(options.sizeBytes)
    const access = { endpoint: plain.endpoint, region: "us-east-1", accessKeyId: "plain", secretAccessKey: "plain" }
    const client = new S3Client(access, clock, this.signal, { md5: false, connectionsMax: options.concurrency })
    const workload = new Workload(client, clock, "plain", body, this.signal)
    const run = { ...options, objectsMax: Number.MAX_SAFE_INTEGER }
    const put = await workload.run({ ...run, operation: "put" })
    const get = await workload.run({ ...run, operation: "get" })
    client.close()
    await plain.stop()
    return (operation: OperationName, { operationsPerSecond, megabytesPerSecond }: Summary) => ({
      ...(operation === "put"
        ? {
            ofDisk: ratio(operationsPerSecond, disk.operationsPerSecond),
            ofHash: ratio(megabytesPerSecond, hashMegabytes),
            ofHttp: ratio(operationsPerSecond, put.operationsPerSecond),
          }
        : {}),
      ...(operation === "get" ? { ofHttp: ratio(operationsPerSecond, get.operationsPerSecond) } : {}),
    })
  }

  /** Runs with an empty bucket, on a store of its own or on the given endpoint, and removes it. */
  async #withStore<T>(
    name: string,
    folders: number,
    use: (access: S3Access, bucket: string) => Promise<T>,
  ): Promise<T> {
    const store = this.options.endpoint === undefined ? await this.#start(name, folders) : undefined
    try {
      const access = (await store?.access()) ?? accessOfEnvironment(this.options.endpoint ?? "")
      const client = new S3Client(access, clock, this.signal)
      const bucket = `hayloft-bench-${name}-${process.pid}`
      await client.createBucket(bucket)
      try {
        return await use(access, bucket)
      } finally {
        if (store === undefined) await emptyBucket(access, bucket)
        client.close()
      }
    } finally {
      await store?.stop()
      await rm(join(this.workFolder, name), { recursive: true, force: true })
    }
  }

  async #start(name: string, folders: number): Promise<StoreProcess> {
    const dataFolders = Array.from({ length: folders }, (_, i) => join(this.workFolder, name, `disk${i + 1}`))
    for (const folder of dataFolders) await mkdir(folder, { recursive: true })
    const { redundancy } = this.options
    // A redundancy for other folder counts than the one asked for would not fit.
    const args = redundancy === undefined || folders !== this.options.folders ? [] : ["--redundancy", redundancy]
    return StoreProcess.start({ dataFolders, args: [...args, "--log-level", "warn"] }, clock)
  }
}

/** With a signal of its own, so that an interrupted run cleans up too. */
async function emptyBucket(access: S3Access, bucket: string): Promise<void> {
  const client = new S3Client(access, clock, AbortSignal.timeout(600_000))
  const keys: string[] = []
  const flush = () => client.removeMany(bucket, keys.splice(0))
  for await (const { key } of client.keys(bucket, "")) {
    keys.push(key)
    if (keys.length === 1000) await flush()
  }
  if (keys.length > 0) await flush()
  await client.removeBucket(bucket)
  client.close()
}

function accessOfEnvironment(endpoint: string): S3Access {
  const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey, AWS_REGION: region } = process.env
  if (!accessKeyId || !secretAccessKey) throw new Error("--endpoint needs AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
  return { endpoint, region: region ?? "us-east-1", accessKeyId, secretAccessKey }
}

async function main(): Promise<number> {
  const options = parseOptions(process.argv.slice(2))
  if (options === "help") {
    process.stdout.write(USAGE)
    return 0
  }
  const stop = new AbortController()
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stop.abort())
  const say = (line: string) => void (options.json || process.stderr.write(`${line}\n`))
  const workFolder = await mkdtemp(join(options.workFolder ?? tmpdir(), "hayloft-bench-"))
  try {
    const report = await new Bench(options, workFolder, stop.signal, say).run()
    process.stdout.write(options.json ? `${JSON.stringify(report, undefined, 2)}\n` : textOfReport(report))
    return 0
  } finally {
    await rm(workFolder, { recursive: true, force: true })
  }
}

try {
  process.exit(await main())
} catch (error) {
  const message = error instanceof Error ? error.message : String(error)
  process.stderr.write(`bench: ${message}\n`)
  process.exit(1)
}
