/**
 * Clients of one store across all restarts of its server: they send requests while it runs, and a janitor deletes
 * most objects of older groups of keys, so that long runs stay small and a reappearing object would be detected.
 *
 * Limits  A pace: concurrent clients, with a pause after each operation; a new group of keys begins after
 *         OPERATIONS_PER_GROUP answers, so that each key's history is short enough to be checked.
 */
import { setTimeout as later } from "node:timers/promises"
import { expectStatus } from "../../conformance/expect.js"
import { md5Base64 } from "../../conformance/checksums.js"
import type { Client } from "../../conformance/client.js"
import { checkHistory, describeVerdict } from "../../sim/history/index.js"
import type { BucketUsage, ServerProcess } from "../harness/server.js"
import { checkCounters, checkReads, checkVersions } from "../kill/quiet-checks.js"
import { Record, type Bucket } from "../kill/record.js"
import type { Service } from "../kill/route.js"
import { KEYS_PER_GROUP, Shared, Worker, type Lengths } from "../kill/workload.js"

export interface Pace {
  readonly clients: number
  /** The pause of each client after an operation. */
  readonly restMs: number
}

const PACE: Pace = { clients: 4, restMs: 40 }
/** A landing needs no more: faults and commands last as long whatever clients do, and clients use most of the processor. */
export const SLOW_PACE: Pace = { clients: 4, restMs: 400 }
const OPERATIONS_PER_GROUP = 6_000
/** Groups that the janitor leaves alone. */
const GROUPS_LEFT = 1
const KEPT_OF_A_GROUP = 2
/** The tries of a request at the end. */
const TRIES_MAX = 5
const TRY_AGAIN_MS = 1_000
const MIB = 1024 * 1024

const LENGTHS: Lengths = [
  ["0", 2],
  ["100", 6],
  ["4096", 3],
  ["4097", 4],
  ["70000", 8],
  ["300000", 3],
  [`${MIB + 1}`, 1],
]

export const BUCKETS: readonly Bucket[] = [
  { name: "plain", mode: "never" },
  { name: "versioned", mode: "enabled" },
]

/** The store that clients use. */
export interface UsedStore {
  readonly service: Service
  /** Returns the usage of the bucket, as counted. */
  usage(bucket: string): Promise<BucketUsage>
}

export const usedServer = (server: ServerProcess): UsedStore => ({
  service: { nodes: [server.client()], mayFail: false },
  usage: bucket => server.usage(bucket),
})

export class Clients {
  readonly record: Record
  private readonly shared: Shared
  private working: Promise<unknown> = Promise.resolve()
  private state: "working" | "quiet" | "serverEnds" = "quiet"
  private workers = 0
  private cleared = 0
  private groupFrom = 0

  constructor(
    private readonly store: UsedStore,
    seed: number,
    onViolation: (text: string) => void = () => undefined,
    private readonly pace = PACE,
  ) {
    this.record = new Record(onViolation)
    this.shared = new Shared(seed, BUCKETS, this.record, LENGTHS)
  }

  get operations(): number {
    return [...this.record.history.values()].reduce((sum, list) => sum + list.length, 0)
  }

  /** One of the nodes, or the only server. */
  private get first(): Client {
    const [client] = this.store.service.nodes
    if (client === undefined) throw new Error("a store has a node")
    return client
  }

  async makeBuckets(): Promise<void> {
    const client = this.first
    const body = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
    const headers = { "Content-MD5": md5Base64(Buffer.from(body)) }
    for (const { name, mode } of BUCKETS) {
      expectStatus(await client.call("PUT", { bucket: name }), 200)
      if (mode === "never") continue
      expectStatus(await client.call("PUT", { bucket: name, query: "versioning", body, headers }), 200)
    }
  }

  private worker(service = this.store.service): Worker {
    this.workers += 1
    return new Worker(service, this.shared, this.workers)
  }

  begin(): void {
    this.state = "working"
    const isOver = () => this.state !== "working"
    const rest = async (): Promise<void> => {
      this.moveOn()
      await later(this.pace.restMs)
    }
    const all = Array.from({ length: this.pace.clients }, async () => {
      const worker = this.worker()
      await worker.work(isOver, rest)
      if (this.state === "working") {
        this.record.violation(`the running server did not answer ${worker.unanswered}`)
      }
    })
    this.working = Promise.all([...all, this.clean(isOver)])
  }

  /** Called before the server stops: from here on requests may stay without an answer. */
  async whileServerEnds(end: () => Promise<unknown>): Promise<void> {
    this.state = "serverEnds"
    await end()
    await this.working
  }

  async quiet(): Promise<void> {
    this.state = "quiet"
    await this.working
  }

  private moveOn(): void {
    if (this.operations - this.groupFrom < OPERATIONS_PER_GROUP) return
    this.groupFrom = this.operations
    this.shared.group += 1
  }

  private async clean(isOver: () => boolean): Promise<void> {
    const janitor = this.worker()
    while (!isOver()) {
      await later(this.pace.restMs)
      if (this.cleared >= this.shared.group - GROUPS_LEFT) continue
      if (await this.clearGroup(janitor, this.cleared, KEPT_OF_A_GROUP, isOver)) this.cleared += 1
    }
    janitor.close()
  }

  /** Returns true if all but the last `kept` keys of the group were deleted. */
  private async clearGroup(janitor: Worker, group: number, kept: number, isOver: () => boolean): Promise<boolean> {
    for (const bucket of BUCKETS) {
      for (let index = 0; index < KEYS_PER_GROUP - kept; index += 1) {
        if (isOver() || !(await janitor.clear(bucket, this.shared.keyName(index, group)))) return false
      }
    }
    return true
  }

  /** Reads every value, listing and stack of versions into the history, from each node. */
  async readAll(): Promise<void> {
    for (const node of this.store.service.nodes) await this.readFrom(node)
  }

  private async readFrom(node: Client): Promise<void> {
    const { mayFail } = this.store.service
    const reader = this.worker({ nodes: [node], mayFail })
    const now = this.shared.group
    for (let group = 0; group <= now; group += 1) {
      this.shared.group = group
      for (const bucket of BUCKETS) {
        await this.answered(reader, () => reader.list(bucket))
        for (let index = 0; index < KEYS_PER_GROUP; index += 1) {
          const key = this.shared.keyName(index)
          await this.answered(reader, () => reader.get(bucket, key))
          await this.answered(reader, () => reader.versions(bucket, key))
        }
      }
    }
    this.shared.group = now
    reader.close()
  }

  /** Repeats a request until it is answered: nothing is at fault any more, but a busy machine may be slow. */
  private async answered(reader: Worker, request: () => Promise<boolean>): Promise<void> {
    for (let tries = 1; !(await request()); tries += 1) {
      if (tries === TRIES_MAX) return this.record.violation(`nothing is at fault, and no answer: ${reader.unanswered}`)
      await later(TRY_AGAIN_MS)
    }
  }

  /** Completes all uploads whose parts were acknowledged, however old. */
  async finishUploads(): Promise<void> {
    const finisher = this.worker({ nodes: [this.first], mayFail: false })
    for (const upload of this.shared.uploads.splice(0)) await finisher.finish(upload)
    finisher.close()
    if (this.shared.uploads.length > 0) this.record.violation("an upload could not be completed at the end")
  }

  /** Checks that listings, reads, versions and counters agree, while no client writes. */
  async checkQuiet(): Promise<void> {
    const everything = (of: number) => Array.from({ length: of }, (_, index) => index)
    for (const bucket of BUCKETS) {
      await checkCounters(this.store, this.first, bucket, this.record)
      for (const node of this.store.service.nodes) await checkReads(node, bucket, this.record, everything)
      await checkVersions(this.first, bucket, this.record)
    }
  }

  /** Deletes every object and version, and aborts the uploads that could not be completed. */
  async removeAll(): Promise<void> {
    const janitor = this.worker({ nodes: [this.first], mayFail: false })
    for (const bucket of BUCKETS) await janitor.abortUploads(bucket)
    for (let group = 0; group <= this.shared.group; group += 1) await this.clearGroup(janitor, group, 0, () => false)
    janitor.close()
  }

  checkHistories(): void {
    for (const { name, mode } of BUCKETS) {
      for (const verdict of checkHistory(mode, this.record.history.get(name) ?? [])) {
        if (verdict.verdict !== "legal") this.record.violation(`${name}/${describeVerdict(verdict)}`)
      }
    }
  }

  /** The longest time for which a client waited for an answer. */
  get longestMs(): number {
    let longest = 0
    for (const list of this.record.history.values()) {
      for (const { startMs, endMs, note } of list) {
        if (note !== "no answer" && Number.isFinite(endMs)) longest = Math.max(longest, endMs - startMs)
      }
    }
    return longest
  }
}
