/**
 * Kill -9 in a loop: a real server under mixed load, with every feature switched on, is killed at random moments and
 * restarted; at the end everything that was acknowledged must exist byte for byte, no partial write may exist, listings,
 * reads and counters must agree, and the history of every key must be linearizable. Features with promises of their own
 * have plug-ins (`plugin.ts`).
 *
 *   node dist/tests/kill/kill-loop.js --kills 50 --folders 1|7 --seed N [--threads N]
 *
 * Limits  The history checker's per key; a new group of keys begins every KILLS_PER_GROUP kills.
 */
import { join } from "node:path"
import { parseArgs } from "node:util"
import { fileURLToPath } from "node:url"
import { setTimeout as later } from "node:timers/promises"
import type { Client } from "../../conformance/client.js"
import { expectStatus } from "../../conformance/expect.js"
import { md5Base64 } from "../../conformance/checksums.js"
import { checkHistory, describeVerdict } from "../../sim/history/index.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { CopiedBucket } from "../copies/kill-plugin.js"
import { remotesFile } from "../copies/world.js"
import { SharedBlocks } from "../dedup/kill-plugin.js"
import { liveBytes, shrinksTo } from "../dedup/world.js"
import { dataFolders, withFolder } from "../harness/folders.js"
import { freePort } from "../harness/free-port.js"
import { ServerProcess } from "../harness/server.js"
import { PackedObjects } from "../packing/kill-plugin.js"
import { QueuedJobs } from "../queue/kill-plugin.js"
import { RemoteBucket } from "../remote/kill-plugin.js"
import { Transactions } from "../transactions/kill-plugin.js"
import { EndingObjects } from "../ttl/kill-plugin.js"
import { KillWorld, type KillPlugin } from "./plugin.js"
import { SeededRandom } from "./seeded-random.js"
import { SAMPLE_KEYS, checkCounters, checkReads, checkVersions } from "./quiet-checks.js"
import { Record } from "./record.js"
import type { Service } from "./route.js"
import type { Bucket } from "./record.js"
import { KEYS_PER_GROUP, Shared, Worker } from "./workload.js"

export interface KillOptions {
  readonly kills: number
  readonly folders: number
  readonly seed: number
  /** Front threads of the store that is killed; default: those of the run. */
  readonly threads?: number | undefined
  readonly log?: (line: string) => void
}

export interface KillResult {
  readonly violations: readonly string[]
  readonly operations: number
  readonly counts: ReadonlyMap<string, number>
}

const CLIENTS = 4
const KILLS_PER_GROUP = 4
/** Clients rest between requests, those of features and those of long runs for longer. */
const REST_MS = 15
const PACE_MS = 50
const LONG_PACE_MS = 150
/** Clients of features ask so often whether an ended process has a successor. */
const DOWN_PACE_MS = 400
/** Each process acknowledges so many changes of each feature before it is killed. */
const CHANGES_MIN = 2
const LOOK_MS = 10
/** Rows that the removal of objects adds, and jobs at work. */
const SLACK_BYTES = 128 * 1024
const RUN_MS = { min: 60, max: 900 } as const
/** Some processes run long enough to begin a checkpoint (5 s), and are killed around it. */
const LONG_RUN_MS = { min: 4_200, max: 6_200 } as const
const LONG_RUN_ONE_IN = 4
/** Every second process is killed while a client awaits the answer of a transaction. */
const RISKY_ONE_IN = 2
const RISKY_MS_MAX = 12
/** The store of copies and of remote buckets is killed with every second process. */
const FAR_KILLED_ONE_IN = 2

/** Blocks that a deduplicated bucket shares. */
const BLOCK_BYTES = 1024 * 1024

const BUCKETS: readonly Bucket[] = [
  { name: "plain", mode: "never" },
  { name: "versioned", mode: "enabled" },
]

class KillLoop {
  private readonly record = new Record()
  private readonly shared: Shared
  private readonly random: SeededRandom

  private readonly server: ServerProcess
  private readonly plugins: readonly KillPlugin[]
  /** Never resolves while the clients of features work; rejects when a promise was broken. */
  private working: Promise<unknown> = Promise.resolve()

  constructor(
    private readonly world: KillWorld,
    private readonly options: KillOptions,
  ) {
    this.server = world.near
    this.plugins = [
      new QueuedJobs(world),
      new RemoteBucket(world, "Through"),
      new RemoteBucket(world, "Back"),
      new CopiedBucket(world),
      new SharedBlocks(world),
      new Transactions(world),
      new EndingObjects(world),
      new PackedObjects(world),
    ]
    this.shared = new Shared(options.seed, BUCKETS, this.record)
    this.random = new SeededRandom(options.seed)
  }

  private get client(): Client {
    return this.server.client()
  }

  private get service(): Service {
    return { nodes: [this.client], mayFail: false }
  }

  private async makeBuckets(): Promise<void> {
    const body = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
    const headers = { "Content-MD5": md5Base64(Buffer.from(body)) }
    for (const { name, mode } of BUCKETS) {
      expectStatus(await this.client.call("PUT", { bucket: name }), 200)
      if (mode === "never") continue
      expectStatus(await this.client.call("PUT", { bucket: name, query: "versioning", body, headers }), 200)
    }
  }

  /** Clients at work until the server is killed under them. */
  private async runIncarnation(incarnation: number): Promise<void> {
    let dying = false
    const workers = Array.from(
      { length: CLIENTS },
      (_, at) => new Worker(this.service, this.shared, incarnation * CLIENTS + at),
    )
    const isLong = incarnation % LONG_RUN_ONE_IN === 2
    this.world.paceMs = isLong ? LONG_PACE_MS : PACE_MS
    const changes = this.plugins.map(({ done }) => done)
    const working = workers.map(async worker => {
      await worker.work(
        () => false,
        () => later(isLong ? LONG_PACE_MS : REST_MS),
      )
      if (!dying)
        this.record.violation(`process ${incarnation}: the running server did not answer ${worker.unanswered}`)
    })
    const { min, max } = isLong ? LONG_RUN_MS : RUN_MS
    await this.whileWorking(later(min + this.random.below(max - min)))
    while (this.plugins.some(({ done }, at) => done < (changes[at] ?? 0) + CHANGES_MIN))
      await this.whileWorking(later(LOOK_MS))
    if (incarnation % RISKY_ONE_IN === 0) await this.untilRisky()
    dying = true
    if (incarnation % FAR_KILLED_ONE_IN === 1) await this.world.far.kill()
    this.world.paceMs = DOWN_PACE_MS
    await this.server.kill()
    await Promise.all(working)
  }

  /** Resolves a moment after the answer of a change is awaited. */
  private async untilRisky(): Promise<void> {
    while (!this.plugins.some(({ isAtRisk }) => isAtRisk === true)) await this.whileWorking(later(1))
    await later(this.random.below(RISKY_MS_MAX))
  }

  private async whileWorking(moment: Promise<unknown>): Promise<void> {
    await Promise.race([moment, this.working])
  }

  private async afterRestart(): Promise<void> {
    const { client, record } = this
    const sample = (of: number) => Array.from({ length: Math.min(of, SAMPLE_KEYS) }, () => this.random.below(of))
    for (const bucket of BUCKETS) {
      await checkCounters(this.server, client, bucket, record)
      await checkReads(client, bucket, record, sample)
    }
    await this.readGroup(this.shared.group)
  }

  /** Reads all values, the listing and the versions of a group into the history. */
  private async readGroup(group: number): Promise<void> {
    const now = this.shared.group
    this.shared.group = group
    const reader = new Worker(this.service, this.shared, -1 - group)
    for (const bucket of BUCKETS) {
      await reader.list(bucket)
      for (let index = 0; index < KEYS_PER_GROUP; index += 1) {
        await reader.get(bucket, this.shared.keyName(index))
        await reader.versions(bucket, this.shared.keyName(index))
      }
    }
    reader.close()
    this.shared.group = now
  }

  private async readAll(): Promise<void> {
    for (let group = 0; group <= this.shared.group; group += 1) await this.readGroup(group)
  }

  /** Completes all uploads whose parts were acknowledged, however many kills ago. */
  private async finishUploads(): Promise<void> {
    const finisher = new Worker(this.service, this.shared, 999)
    for (const upload of this.shared.uploads.splice(0)) await finisher.finish(upload)
    finisher.close()
    if (this.shared.uploads.length > 0) this.record.violation("an upload could not be completed at the end")
  }

  /** Removes the objects of features that promise to store less then. */
  private async removeAll(): Promise<void> {
    const storedBytes = await liveBytes(this.server)
    let removedBytes = 0
    for (const plugin of this.plugins) removedBytes += (await plugin.removeAll?.()) ?? 0
    await shrinksTo(this.server, storedBytes - removedBytes + SLACK_BYTES)
  }

  private judge(): void {
    for (const { name, mode } of BUCKETS) {
      for (const verdict of checkHistory(mode, this.record.history.get(name) ?? [])) {
        if (verdict.verdict !== "legal") this.record.violation(`${name}/${describeVerdict(verdict)}`)
      }
    }
  }

  async run(): Promise<KillResult> {
    const { kills, log = () => {} } = this.options
    await this.makeBuckets()
    for (const plugin of this.plugins) await plugin.begin()
    this.working = Promise.all(this.plugins.map(plugin => plugin.work()))
    this.working.catch(() => undefined)
    for (let incarnation = 0; incarnation < kills && this.record.violations.length === 0; incarnation += 1) {
      this.shared.group = Math.floor(incarnation / KILLS_PER_GROUP)
      await this.runIncarnation(incarnation)
      const started = performance.now()
      await this.server.launch()
      if (incarnation % FAR_KILLED_ONE_IN === 1) await this.world.far.launch()
      log(`kill ${incarnation + 1} of ${kills}; ready again after ${Math.round(performance.now() - started)} ms`)
      await this.world.quietly(() => this.afterRestart())
    }
    this.world.isOver = true
    await this.working
    await this.finishUploads()
    await this.readAll()
    const code = await this.server.stop()
    if (code !== 0) this.record.violation(`SIGTERM ended the server with ${code}`)
    await this.server.launch()
    await this.readAll()
    const everything = (of: number) => Array.from({ length: of }, (_, index) => index)
    for (const bucket of BUCKETS) {
      await checkCounters(this.server, this.client, bucket, this.record)
      await checkReads(this.client, bucket, this.record, everything)
      await checkVersions(this.client, bucket, this.record)
    }
    this.judge()
    for (const plugin of this.plugins) await plugin.end()
    await this.removeAll()
    await this.server.stop()
    for (const plugin of this.plugins) await plugin.afterStop?.()
    const operations = [...this.record.history.values()].reduce((sum, list) => sum + list.length, 0)
    return { violations: this.record.violations, operations, counts: this.record.counts }
  }
}

export const replayCommand = ({ kills, folders, seed, threads }: KillOptions): string =>
  `node dist/tests/kill/kill-loop.js --kills ${kills} --folders ${folders} --seed ${seed}${
    threads === undefined ? "" : ` --threads ${threads}`
  }`

/** Runs the loop on a server of its own; reports the server's faults instead of throwing. */
export function killLoop(options: KillOptions): Promise<KillResult> {
  return withFolder(async folder => {
    const far = await ServerProcess.start({ folders: [join(folder, "far")] })
    try {
      const [folders, queueHost] = [dataFolders(folder, options.folders), `127.0.0.1:${await freePort()}`]
      const remotes = ["--remotes", remotesFile(folder, "far", far.endpoint)]
      const args = [...remotes, "--queue-listen", queueHost, "--block-size", String(BLOCK_BYTES)]
      const near = await ServerProcess.start({
        folders,
        args,
        ...(options.threads !== undefined && { threads: options.threads }),
      })
      try {
        const world = new KillWorld(near, far, { folder, folders, queueHost }, new SimRandom(options.seed))
        try {
          return await new KillLoop(world, options).run()
        } finally {
          world.abandon()
        }
      } finally {
        await near.kill()
      }
    } finally {
      await far.kill()
    }
  })
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      kills: { type: "string", default: "50" },
      folders: { type: "string", default: "1" },
      seed: { type: "string", default: String(Date.now() % 1_000_000) },
      threads: { type: "string" },
    },
  })
  const threads = values.threads === undefined ? undefined : Number(values.threads)
  const options = { kills: Number(values.kills), folders: Number(values.folders), seed: Number(values.seed), threads }
  const log = (line: string) => void process.stdout.write(`${line}\n`)
  log(`seed ${options.seed}, ${options.folders} folders`)
  const { violations, operations, counts } = await killLoop({ ...options, log })
  log([...counts].map(([name, count]) => `${name} ${count}`).join(", "))
  for (const violation of violations) log(violation)
  log(
    violations.length === 0
      ? `${operations} operations, nothing lost`
      : `failed; replay with: ${replayCommand(options)}`,
  )
  return violations.length === 0 ? 0 : 1
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exitCode = await main()
