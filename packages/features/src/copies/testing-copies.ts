/** Copies over a store in memory and a target in memory, for tests. */
import assert from "node:assert/strict"
import { objectKeyOfText, textOfObjectKey, type ObjectKey } from "@hayloft/base/ids.js"
import { MIB } from "@hayloft/base/limits.js"
import { asPromise } from "@hayloft/base/soon.js"
import { gathered, type Bucket, type ObjectInfo } from "@hayloft/objects/index.js"
import { openCopyLog, type CopyLog, type CopyPosition } from "./copy-log.js"
import { noSignal, open, type World } from "@hayloft/upkeep/repair/testing-repair.js"
import { sourceOf } from "@hayloft/objects/bodies/testing-bodies.js"
import { MemoryOrigin } from "../remote-buckets/testing-origin.js"
import type { Origin } from "../remote-buckets/index.js"
import type { CopiesStatus } from "./contract.js"
import type { CopiesValue } from "./setting.js"
import { StoreCopies } from "./store-copies.js"

const START_MS = 1_800_000_000_000
/** The time of the store in memory, when it is made. */
const DECISIONS_START_MS = 1_700_000_000_000

const VALUE: CopiesValue = { store: "far", bucket: "theirs", prefix: "", deletes: true, opaqueEtags: false }

/** A log that shows some rows only once a moment is closed: as a database in which other processes commit. */
function hiding(copyLog: CopyLog): CopyLog {
  let closedUs = 0
  const isShown = ({ us, key }: CopyPosition): boolean => us <= closedUs || (us + key.length) % 3 !== 0
  const rows = async (...[id, after, toUs]: Parameters<CopyLog["count"]>) =>
    (await copyLog.page(id, after, toUs, 10_000)).filter(isShown)
  return {
    ...copyLog,
    async close() {
      const us = await copyLog.close()
      closedUs = Math.max(closedUs, us)
      return us
    },
    page: async (id, after, toUs, max) => (await rows(id, after, toUs, max)).slice(0, max),
    async count(id, after, toUs, max) {
      const found = await rows(id, after, toUs, max)
      const some = found.slice(0, max)
      const bytes = some.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
      const [first, last] = [some[0], some.at(-1)]
      const hasMore = found.length > max
      return { changes: some.length, bytes, oldestUs: first?.us, last: last && { us: last.us, key: last.key }, hasMore }
    },
  }
}

/** The target as a process reaches it. */
const ofProcess = (origin: Origin, killed: AbortSignal): Origin => ({
  head: (key, signal) => origin.head(key, AbortSignal.any([signal, killed])),
  get: (key, wanted, signal) => origin.get(key, wanted, AbortSignal.any([signal, killed])),
  list: (request, signal) => origin.list(request, AbortSignal.any([signal, killed])),
  put: (key, upload, signal) => origin.put(key, upload, AbortSignal.any([signal, killed])),
  remove: (key, conditions, signal) => origin.remove(key, conditions, AbortSignal.any([signal, killed])),
})

export class CopiesScene {
  origin: MemoryOrigin
  copies: StoreCopies
  isSender = true
  /** Processes that were killed send nothing any more. */
  private process = 0
  private killed = new AbortController()

  private constructor(
    readonly world: World,
    public bucket: Bucket,
    readonly log: CopyLog,
  ) {
    this.origin = new MemoryOrigin(world.clock)
    this.copies = this.started()
  }

  static async open({ isVersioned = false } = {}): Promise<CopiesScene> {
    const world = await open("replica:1", 1, MIB)
    const { clock, tablet, services } = world
    await clock.advance(START_MS - clock.wallMs())
    // Decisions are made at the time of the clock.
    Object.defineProperty(tablet, "aheadMs", { get: () => clock.wallMs() - DECISIONS_START_MS - tablet.position })
    await clock.runUntil(services.storeClock.start())
    if (isVersioned) await clock.runUntil(services.buckets.setVersioning(world.home, "enabled"))
    const scene = new CopiesScene(world, world.home, hiding(openCopyLog(tablet)))
    await scene.refresh()
    return scene
  }

  private started(): StoreCopies {
    const { clock, random, telemetry, services } = this.world
    const { objects, buckets } = services
    const own = (this.process += 1)
    this.killed.abort()
    const { signal } = (this.killed = new AbortController())
    const store = { config: {}, bucket: () => ofProcess(this.origin, signal) }
    const log: CopyLog = {
      ...this.log,
      // A process that was killed commits nothing.
      change: async (...args) => (own === this.process ? this.log.change(...args) : undefined),
    }
    return new StoreCopies({
      storeClock: services.storeClock,
      clock,
      random,
      log: telemetry.log,
      copyLog: log,
      objects,
      buckets,
      stores: new Map([["far", store]]),
      mayUse: async () => true,
      refuseEarlier: async () => undefined,
      isSender: () => this.isSender && own === this.process,
      auditBucket: undefined,
    })
  }

  /** The process is killed, and another one begins. What the target has received stays. */
  restart(): void {
    this.copies = this.started()
  }

  run<T>(work: Promise<T>): Promise<T> {
    return this.world.clock.runUntil(work)
  }

  async refresh(): Promise<void> {
    const { services, home } = this.world
    this.bucket = await this.run(asPromise(() => services.buckets.open(home.name)))
  }

  async set(value: Partial<CopiesValue> = {}): Promise<void> {
    await this.run(this.copies.set(this.bucket, { ...VALUE, ...value }))
    await this.refresh()
  }

  /** Removes the setting the way the admin API does. */
  async unset(): Promise<void> {
    await this.run(this.world.services.buckets.setSetting(this.bucket, "copies", undefined))
    await this.refresh()
  }

  async put(
    key: string,
    content: string | Uint8Array,
    more: {
      readonly isCopy?: true
      readonly mark?: string
      readonly tags?: readonly (readonly [string, string])[]
    } = {},
  ): Promise<void> {
    const bytes = typeof content === "string" ? Buffer.from(content) : content
    const { isCopy, mark, tags = [] } = more
    const userMetadata: ObjectInfo["userMetadata"] = mark === undefined ? [] : [["hayloft-copy", mark]]
    const attributes = { headers: { contentType: "text/plain" }, userMetadata }
    const target = { bucket: this.bucket, key: objectKeyOfText(key), conditions: isCopy ? { isCopy } : {} }
    await this.run(
      this.world.services.objects.put({ ...target, attributes, tags, body: sourceOf(bytes, MIB), signal: noSignal }),
    )
  }

  async delete(key: string, isCopy = false): Promise<void> {
    const target = { bucket: this.bucket, key: objectKeyOfText(key), conditions: isCopy ? { isCopy } : {} }
    await this.run(this.world.services.objects.remove(target))
  }

  async tag(key: string, tags: readonly (readonly [string, string])[]): Promise<void> {
    await this.run(this.world.services.objects.setTags({ bucket: this.bucket, key: objectKeyOfText(key) }, tags))
  }

  /** Turns, and what they start, for so long. */
  async work(ms = 3_000): Promise<void> {
    for (let doneMs = 0; doneMs < ms; doneMs += 250) {
      await this.run(this.copies.round(noSignal))
      await this.world.clock.advance(250)
    }
  }

  /** Until nothing is left to copy. */
  async settle(limitMs = 600_000): Promise<void> {
    for (let doneMs = 0; doneMs < limitMs; doneMs += 6_000) {
      await this.work(6_000)
      const status = await this.status()
      if (status.phase === "following" && status.lag.objects === 0) return
    }
    assert.fail(`something is left to copy: ${JSON.stringify(await this.status())}`)
  }

  async status(): Promise<CopiesStatus> {
    const status = await this.run(this.copies.status(this.bucket))
    assert.ok(status !== undefined, "the bucket is copied")
    return status
  }

  /** Rows of the log, however they are hidden. */
  async rows(): Promise<number> {
    const { tablet } = this.world
    return (await this.run(openCopyLog(tablet).count(this.bucket.id, { us: 0, key: "" }, 2 ** 52, 10_000))).changes
  }

  /** Returns what this store has, by key. */
  async here(): Promise<ReadonlyMap<string, string>> {
    const { objects } = this.world.services
    const page = await this.run(
      asPromise(() => objects.list({ bucket: this.bucket, prefix: "", delimiter: "", after: "", max: 1_000 })),
    )
    const found = new Map<string, string>()
    for (const entry of page.entries)
      if (entry.kind === "object") found.set(textOfObjectKey(entry.object.key), await this.text(entry.object.key))
    return found
  }

  private async text(key: ObjectKey): Promise<string> {
    const request = { bucket: this.bucket, key, conditions: {} }
    const body = await this.run(asPromise(() => this.world.services.objects.get(request)))
    return Buffer.from(await this.run(gathered(body, noSignal))).toString("latin1")
  }

  /** Returns what the target has. */
  there(): ReadonlyMap<string, string> {
    const found = Array.from(
      this.origin.objects,
      ([key, { bytes }]) => [textOfObjectKey(key), Buffer.from(bytes).toString("latin1")] as const,
    )
    return new Map(found.sort(([a], [b]) => (a < b ? -1 : 1)))
  }

  async assertCopied(when: string): Promise<void> {
    assert.deepEqual(this.there(), await this.here(), when)
    assert.equal(await this.rows(), 0, `${when}: the log is empty`)
  }
}
