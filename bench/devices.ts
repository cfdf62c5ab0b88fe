/**
 * Devices: how fast a store repairs a lost folder and verifies everything, compared with plain file calls on the
 * same bytes in the same folders, and how this work affects clients.
 *
 *   repair      from the start until the device in the empty folder has all its shards, at full speed, for the
 *               bytes written there; compared with copying as many bytes into a file there, synced once at the end,
 *               and reading as much from the other folders as a rebuilt byte needs: four bytes at 4+3. Both read
 *               from the page cache.
 *   scrub       one pass over all folders at full speed; compared with reading the same files, all folders
 *               concurrently. Both read from the disk if the files can be dropped from the page cache.
 *   foreground  puts and gets of 64 KiB at 40 % of the store's peak rate, while it repairs and while it scrubs,
 *               both at their default throttle; compared with the same load before and after.
 *
 * Figures are medians of rounds; each round measures plain calls before and after, since their speed depends on
 * whether memory was just freed or written.
 */
import { must } from "@hayloft/base/assert.js"
import { KIB, MIB } from "@hayloft/base/limits.js"
import { mapBounded } from "@hayloft/base/life/index.js"
import { S3Client } from "@hayloft/client/s3-client.js"
import type { S3Access } from "@hayloft/client/signed-call.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { DeviceStore } from "./device-store.js"
import type { Summary } from "@hayloft/client/load/latencies.js"
import { bytesOfFiles, dropFromCache, plainCopy, plainRead, volumesOf } from "./plain-files.js"
import { SteadyLoad } from "./steady-load.js"

const OBJECT_BYTES = 16 * MIB
const FOREGROUND_BYTES = 64 * KIB
const FOREGROUND_KEYS = 500
const FOREGROUND_SHARE = 0.4
const PEAK_AT_ONCE = 16
const BUCKET = "devices"
const FULL_SPEED = 0
const WARM_SECONDS = 5

/** The smallest share of the speed of plain file calls, and the largest multiple of the latency without the work. */
export const TARGETS = { share: 0.6, times: 2 } as const

export const DEVICE_STORES = [
  { folders: 7, redundancy: "ec:4+3", readPerWritten: 4 },
  { folders: 2, redundancy: "replica:2", readPerWritten: 1 },
] as const

export interface DeviceSpeed {
  readonly what: "repair" | "scrub"
  readonly redundancy: string
  readonly bytes: number
  readonly seconds: number
  readonly plainSeconds: number
  readonly isCold: boolean
  /** The reached share of the plain speed. */
  readonly share: number | undefined
  readonly isMet: boolean
}

export interface DeviceLatency {
  readonly during: "repair" | "scrub"
  readonly redundancy: string
  readonly requestsPerSecond: number
  /** Without the work: the mean of the loads before and after it. */
  readonly alone: Pick<Summary, "p50Ms" | "p99Ms">
  readonly load: Summary
  /** p99 with the work, divided by p99 without it. */
  readonly p99Times: number | undefined
  readonly isMet: boolean
}

export interface DevicesResult {
  readonly speeds: readonly DeviceSpeed[]
  readonly latencies: readonly DeviceLatency[]
}

export interface DevicesOptions {
  readonly folders: number
  readonly redundancy: string
  /** Bytes that must be read to rebuild one byte. */
  readonly readPerWritten: number
  readonly bytes: number
  readonly rounds: number
  /** The duration of the load without work. */
  readonly seconds: number
}

export async function devicesScenario(
  folder: string,
  options: DevicesOptions,
  clock: Clock,
  signal: AbortSignal,
  say: (line: string) => void,
): Promise<DevicesResult> {
  const store = new DeviceStore(folder, options.folders, options.redundancy, clock, signal)
  const scenario = new Scenario(store, options, clock, signal, say)
  try {
    return await scenario.run()
  } finally {
    await store.stop()
  }
}

interface Timed {
  readonly bytes: number
  readonly seconds: number
  readonly plainSeconds: number
  readonly isCold: boolean
}

interface Felt {
  readonly alone: Pick<Summary, "p50Ms" | "p99Ms">
  readonly load: Summary
}

class Scenario {
  private perSecond = 0

  constructor(
    private readonly store: DeviceStore,
    private readonly options: DevicesOptions,
    private readonly clock: Clock,
    private readonly signal: AbortSignal,
    private readonly say: (line: string) => void,
  ) {}

  async run(): Promise<DevicesResult> {
    await this.fill(await this.store.start())
    const rounds = Array.from({ length: this.options.rounds }, (_, i) => i)
    const scrubs: Timed[] = []
    for (const _ of rounds) scrubs.push(await this.scrub())
    const repairs: Timed[] = []
    for (const _ of rounds) repairs.push(await this.repair())
    const felt = { repair: [] as Felt[], scrub: [] as Felt[] }
    for (const _ of rounds) {
      felt.scrub.push(await this.feelScrub())
      felt.repair.push(await this.feelRepair())
    }
    return {
      speeds: [this.speed("repair", repairs), this.speed("scrub", scrubs)],
      latencies: [this.latency("repair", felt.repair), this.latency("scrub", felt.scrub)],
    }
  }

  private withClient<T>(access: S3Access, use: (client: S3Client) => Promise<T>): Promise<T> {
    const client = new S3Client(access, this.clock, this.signal, { md5: false, connectionsMax: 64 })
    return use(client).finally(() => client.close())
  }

  private fill(access: S3Access): Promise<void> {
    return this.withClient(access, async client => {
      await client.createBucket(BUCKET)
      const body = Buffer.alloc(OBJECT_BYTES)
      for (let i = 0; i < body.length; i += 4) body.writeUInt32LE(Math.imul(i, 2_654_435_761) >>> 0, i)
      const count = Math.ceil(this.options.bytes / OBJECT_BYTES)
      await mapBounded(
        Array.from({ length: count }, (_, i) => i),
        4,
        i => client.put({ bucket: BUCKET, key: `large-${i}`, body }),
      )
      const load = this.load(client)
      await load.fill()
      const peak = await load.peak(PEAK_AT_ONCE, Math.min(5, this.options.seconds))
      this.perSecond = Math.max(1, Math.round(peak * FOREGROUND_SHARE))
      this.say(`${this.options.redundancy}: filled; 64 KiB at most ${Math.round(peak)} requests/s`)
    })
  }

  private load(client: S3Client): SteadyLoad {
    return new SteadyLoad(client, this.clock, BUCKET, FOREGROUND_BYTES, FOREGROUND_KEYS, this.signal)
  }

  private async timed<T>(work: () => Promise<T>): Promise<{ readonly result: T; readonly seconds: number }> {
    const beganMs = this.clock.monotonicMs()
    const result = await work()
    return { result, seconds: (this.clock.monotonicMs() - beganMs) / 1000 }
  }

  private async scrub(): Promise<Timed> {
    await this.store.setThrottle("scrub", FULL_SPEED)
    const perFolder = await Promise.all(this.store.dataFolders.map(volumesOf))
    let isCold = true
    const cold = async <T>(work: () => Promise<T>) => {
      isCold = (await dropFromCache(perFolder.flat())) && isCold
      return this.timed(work)
    }
    // Folders are partly preallocated and written to in the meantime: compare the speed per byte.
    const plainPerByte = async () => {
      const { result, seconds } = await cold(() => Promise.all(perFolder.map(plainRead)))
      return seconds / result.reduce((sum, bytes) => sum + bytes, 0)
    }
    const before = await plainPerByte()
    const { result, seconds } = await cold(() => this.store.scrub())
    const after = await plainPerByte()
    const timed = { bytes: result, seconds, plainSeconds: ((before + after) / 2) * result, isCold }
    this.tell("scrub", timed)
    return timed
  }

  private async repair(): Promise<Timed> {
    const empty = await this.store.replaceFirst()
    await this.store.setThrottle("repair", FULL_SPEED)
    const others = this.store.dataFolders.filter(folder => folder !== empty)
    const perFolder = await Promise.all(others.map(volumesOf))
    const { readPerWritten } = this.options
    const plainPerByte = async (bytes: number) => {
      const target = { bytes, readPerWritten }
      const { result, seconds } = await this.timed(() => plainCopy(perFolder.flat(), `${empty}/plain-copy`, target))
      return seconds / result
    }
    // Every folder contains about as many bytes.
    const before = await plainPerByte(await bytesOfFiles(must(perFolder[0], "there are other folders")))
    const { seconds } = await this.timed(() => this.store.repair(empty))
    const bytes = await bytesOfFiles(await volumesOf(empty))
    const after = await plainPerByte(bytes)
    const timed = { bytes, seconds, plainSeconds: ((before + after) / 2) * bytes, isCold: false }
    this.tell("repair", timed)
    return timed
  }

  private tell(what: string, { bytes, seconds, plainSeconds }: Timed): void {
    const { redundancy } = this.options
    this.say(
      `${redundancy}: ${what} of ${Math.round(bytes / 1e6)} MB in ${seconds.toFixed(2)} s, plainly ${plainSeconds.toFixed(2)} s`,
    )
  }

  /** The load alone, while there is work, and alone again. */
  private async feel(load: SteadyLoad, work: () => Promise<unknown>): Promise<Felt> {
    const { perSecond } = this
    const alone = (seconds = this.options.seconds) =>
      load.during(perSecond, () => this.clock.sleep(seconds * 1000, this.signal))
    // Warms up the store, which has just been started, so that its code is compiled.
    await alone(WARM_SECONDS)
    const before = (await alone()).load
    const during = (await load.during(perSecond, work)).load
    const after = (await alone()).load
    const middle = (name: "p50Ms" | "p99Ms") => Number(((before[name] + after[name]) / 2).toPrecision(3))
    return { alone: { p50Ms: middle("p50Ms"), p99Ms: middle("p99Ms") }, load: during }
  }

  private async feelScrub(): Promise<Felt> {
    const access = await this.store.restart()
    const felt = await this.withClient(access, client => this.feel(this.load(client), () => this.store.scrub()))
    this.tellFelt("scrub", felt)
    return felt
  }

  private async feelRepair(): Promise<Felt> {
    const access = await this.store.restart()
    const empty = await this.store.replaceFirst()
    const felt = await this.withClient(access, client => this.feel(this.load(client), () => this.store.repair(empty)))
    this.tellFelt("repair", felt)
    return felt
  }

  private tellFelt(what: string, { alone, load }: Felt): void {
    const { redundancy } = this.options
    this.say(
      `${redundancy}: p99 ${alone.p99Ms} ms alone, ${load.p99Ms} ms during ${load.seconds} s of ${what}, ${load.errors} errors`,
    )
  }

  private speed(what: DeviceSpeed["what"], rounds: readonly Timed[]): DeviceSpeed {
    const middle = medianBy(rounds, ({ seconds, plainSeconds }) => plainSeconds / seconds)
    const share = ratio(middle.plainSeconds, middle.seconds)
    const { redundancy } = this.options
    return { what, redundancy, ...middle, share, isMet: (share ?? 0) >= TARGETS.share }
  }

  private latency(during: DeviceLatency["during"], rounds: readonly Felt[]): DeviceLatency {
    const { alone, load } = medianBy(rounds, felt => felt.load.p99Ms / felt.alone.p99Ms)
    const p99Times = ratio(load.p99Ms, alone.p99Ms)
    const { perSecond: requestsPerSecond } = this
    const { redundancy } = this.options
    return {
      during,
      redundancy,
      requestsPerSecond,
      alone,
      load,
      p99Times,
      isMet: (p99Times ?? Infinity) <= TARGETS.times,
    }
  }
}

/** The median element by a figure of each. */
function medianBy<T>(items: readonly T[], figure: (item: T) => number): T {
  const sorted = [...items].sort((a, b) => figure(a) - figure(b))
  return must(sorted[sorted.length >> 1], "there was a round")
}

/** A quotient with two significant digits; undefined if the divisor is 0. */
const ratio = (value: number, limit: number): number | undefined =>
  limit > 0 ? Number((value / limit).toPrecision(2)) : undefined
