/**
 * Drama: clients use a real server on real folders while devices are lost, replaced, added, drained, removed,
 * copied, damaged and given new weights, and the server is killed in between. At the end every
 * acknowledged object exists byte for byte, no deleted object has reappeared, listings and counters agree, every
 * block has all its shards on their assigned devices, and dead space is freed.
 *
 * Limits  Those of the clients and the nemesis; WHOLE_MS until the store is fully redundant at the end.
 */
import { join } from "node:path"
import { setTimeout as later } from "node:timers/promises"
import { BLOCK_BYTES_DEFAULT } from "@hayloft/base/limits.js"
import { missingForShim, Shim } from "../faults/shim.js"
import { dataFolders, quietParent, withFolder } from "../harness/folders.js"
import { HURRIED_JOBS, ServerProcess } from "../harness/server.js"
import { Clients, usedServer, type Pace } from "./clients.js"
import { Nemesis, type Act } from "./nemesis.js"
import { Operator } from "./operator.js"
import { bytesByDevice, problemsOf, readShards, describePlaces } from "./shards.js"

export interface DramaOptions {
  readonly minutes: number
  readonly devices: number
  readonly seed: number
  /** The run continues until this many acts have been played, even if that takes longer. */
  readonly actsLeast?: number | undefined
  /** The acts to play; all if absent. */
  readonly only?: readonly Act[] | undefined
  readonly pace?: Pace
  /** Jobs rest for a shorter time than in a store of users. */
  readonly isHurried?: boolean
  readonly log?: (line: string) => void
}

export interface DramaResult {
  readonly violations: readonly string[]
  readonly operations: number
  readonly acts: ReadonlyMap<Act, number>
  readonly longestMs: number
}

const WHOLE_MS = 300_000
/** Two rounds of collection, with the pauses of idle jobs. */
const SPACE_MS = 300_000
const DEAD_SHARE_MAX = 0.25
/** Padding, and dead bytes below the compaction threshold, in each of a few volumes. */
const DEAD_BYTES_FREE = 2 * 1024 * 1024
/** The bytes of a store without an object: its copies of the metadata. */
const EMPTY_BYTES_MAX = 16 * 1024 * 1024

class Drama {
  private readonly clients: Clients
  private readonly operator: Operator
  private readonly nemesis: Nemesis

  constructor(
    root: string,
    private readonly folders: string[],
    private readonly server: ServerProcess,
    shim: Shim | undefined,
    private readonly options: DramaOptions,
    private readonly log: (line: string) => void,
  ) {
    const { seed, only, pace } = options
    this.clients = new Clients(usedServer(server), seed, text => log(`VIOLATION ${text.slice(0, 200)}`), pace)
    this.operator = new Operator(server, log)
    const { clients, operator } = this
    this.nemesis = new Nemesis({ root, folders, server, clients, operator, shim }, seed, log, only)
  }

  async run(): Promise<DramaResult> {
    const { record } = this.clients
    try {
      await this.play()
      await this.look()
    } catch (error) {
      record.violation(`${String(error)}\n${this.server.log}`)
      record.violation(
        await this.clients
          .whileServerEnds(() => this.server.stop())
          .then(
            () => describePlaces(this.folders),
            (failure: unknown) => String(failure),
          ),
      )
    }
    await this.clients.whileServerEnds(() => this.server.kill()).catch(() => undefined)
    this.clients.checkHistories()
    const { operations, longestMs } = this.clients
    return { violations: record.violations, operations, acts: this.nemesis.done, longestMs }
  }

  private async play(): Promise<void> {
    const { minutes, actsLeast = 1 } = this.options
    const endMs = performance.now() + minutes * 60_000
    await this.clients.makeBuckets()
    this.clients.begin()
    for (let acts = 0; performance.now() < endMs || acts < actsLeast; acts += 1) {
      await this.nemesis.act()
      if (this.clients.record.violations.length > 0) return this.clients.record.violation(this.server.log)
    }
    await this.nemesis.end()
  }

  private async look(): Promise<void> {
    const { clients, operator } = this
    const settling = operator.whole(WHOLE_MS)
    // Clients continue for a limited time: objects written during repair must become fully redundant too.
    await Promise.race([settling, later(10_000)])
    await clients.quiet()
    await settling
    await operator.whole(WHOLE_MS)
    this.log("whole")
    await clients.finishUploads()
    await clients.readAll()
    await clients.checkQuiet()
    await this.untilSpaceIsBack()
    await operator.collected(WHOLE_MS)
    await this.checkStopped()
    await clients.readAll()
    await clients.checkQuiet()
    await clients.removeAll()
    await clients.checkQuiet()
    await this.checkEmpty()
  }

  /** Stops the store, checks volumes, indexes and every shard's place, and starts it again. */
  private async checkStopped(): Promise<void> {
    const waiting = await this.operator.waitingBlocks()
    await this.stop()
    const shards = await readShards(this.folders)
    await Promise.all(this.folders.map(folder => this.operator.fsck(folder, shards.live)))
    for (const problem of problemsOf(shards, new Map(), waiting)) this.clients.record.violation(problem)
    const sizes = [...bytesByDevice(shards)].map(([id, bytes]) => `${id} ${Math.round(bytes / 1e6)} MB`)
    this.log(`${shards.blocks.size} blocks; ${sizes.join(", ")}`)
    await this.server.launch()
  }

  private async stop(): Promise<void> {
    const code = await this.server.stop()
    if (code !== 0) this.clients.record.violation(`SIGTERM ended the server with ${code}`)
  }

  /** Waits until compaction has shrunk all volumes to a size that fits their live bytes. */
  private async untilSpaceIsBack(): Promise<void> {
    await this.untilVolumes(
      "too many bytes are dead",
      ({ bytes, deadBytes }) => deadBytes <= Math.max(DEAD_BYTES_FREE, DEAD_SHARE_MAX * bytes),
    )
  }

  /** Checks that no bytes of deleted objects remain after collection. */
  private async checkEmpty(): Promise<void> {
    const waitingBytes = BLOCK_BYTES_DEFAULT * (await this.operator.waitingBlocks())
    await this.untilVolumes("all objects were deleted", ({ bytes }) => bytes <= EMPTY_BYTES_MAX + waitingBytes)
  }

  private async untilVolumes(why: string, isRight: (volumes: VolumeBytes) => boolean): Promise<void> {
    for (const job of ["collector", "orphans", "repair", "compaction"]) await this.operator.wake(job)
    const deadlineMs = performance.now() + SPACE_MS
    for (;;) {
      const all = await this.volumeBytes()
      const wrong = all.filter(volumes => !isRight(volumes))
      if (wrong.length === 0) return
      if (performance.now() > deadlineMs) {
        this.clients.record.violation(`volumes keep their bytes though ${why}: ${JSON.stringify(wrong)}`)
        return
      }
      await later(1_000)
    }
  }

  private async volumeBytes(): Promise<readonly VolumeBytes[]> {
    const text = await this.server.metrics()
    const rows = (name: string) =>
      new Map(
        Array.from(text.matchAll(new RegExp(`^${name}\\{device="([^"]+)"\\} (\\S+)$`, "gm")), ([, id = "", bytes]) => [
          id,
          Number(bytes),
        ]),
      )
    const dead = rows("hayloft_volume_dead_bytes")
    return Array.from(rows("hayloft_volume_bytes"), ([id, bytes]) => ({ id, bytes, deadBytes: dead.get(id) ?? 0 }))
  }
}

interface VolumeBytes {
  readonly id: string
  readonly bytes: number
  readonly deadBytes: number
}

export const replayCommand = ({ minutes, devices, seed, only, actsLeast, isHurried }: DramaOptions): string =>
  [
    `npm run drama -- --minutes ${minutes} --devices ${devices} --seed ${seed}`,
    ...(actsLeast === undefined ? [] : [`--acts ${actsLeast}`]),
    ...(only ? [`--only ${only.join()}`] : []),
    ...(isHurried === true ? ["--hurried"] : []),
  ].join(" ")

/** Plays on a server of its own; reports the server's faults instead of throwing. */
export function drama(options: DramaOptions): Promise<DramaResult> {
  const startedMs = performance.now()
  const log = (line: string): void => {
    options.log?.(`${((performance.now() - startedMs) / 1000).toFixed(1).padStart(7)} ${line}`)
  }
  return withFolder(async root => {
    const missing = await missingForShim()
    if (missing !== undefined) console.log(`SKIPPED: disks that fail or hang during use: ${missing}`)
    const shim = missing === undefined ? await Shim.build(root) : undefined
    shim?.set([])
    const folders = dataFolders(join(root, "disks"), options.devices)
    const env = { ...shim?.env, ...(options.isHurried === true && HURRIED_JOBS) }
    const server = await ServerProcess.start({ folders, env, args: ["--log-level", "warn"] })
    try {
      return await new Drama(join(root, "disks"), folders, server, shim, options, log).run()
    } finally {
      await server.kill()
    }
  }, quietParent())
}
