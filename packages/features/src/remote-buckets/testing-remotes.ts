/** Remote buckets over a store in memory and a remote in memory, for tests. */
import assert from "node:assert/strict"
import { must } from "@hayloft/base/assert.js"
import { isFailure, type FailureKind } from "@hayloft/base/failures.js"
import { objectKeyOfText, type ObjectKey } from "@hayloft/base/ids.js"
import { asPromise } from "@hayloft/base/soon.js"
import { gathered, type Bucket, type Conditions, type ContentHeaders, type GetRequest } from "@hayloft/objects/index.js"
import { noSignal, open, type World } from "@hayloft/upkeep/repair/testing-repair.js"
import { sourceOf } from "@hayloft/objects/bodies/testing-bodies.js"
import { MIB } from "@hayloft/base/limits.js"
import type { PendingWrite, ReadOutcome, RemoteListPage, RemoteListRequest, RemoteSetting } from "./contract.js"
import { Eviction } from "../eviction/index.js"
import { REMOTE_LIMITS } from "./limits.js"
import { StoreRemotes } from "./remote-buckets.js"
import { MemoryOrigin } from "./testing-origin.js"

const START_MS = 1_800_000_000_000
/** The time of the store in memory, when it is made. */
const DECISIONS_START_MS = 1_700_000_000_000

interface ReadResult {
  readonly bytes: Buffer
  readonly text: string
  readonly outcome: ReadOutcome
  readonly etag: string
  readonly sizeBytes: number
  readonly lastModifiedMs: number
  readonly headers: ContentHeaders
  readonly range: { readonly first: number; readonly lengthBytes: number } | undefined
}

type Asked = Pick<GetRequest, "range" | "ifRange" | "headersOnly"> & {
  readonly conditions?: Conditions
  readonly revalidates?: boolean
}

const SETTING: RemoteSetting = {
  store: "far",
  bucket: "theirs",
  prefix: "",
  freshness: { check: "Never" },
  serveStale: false,
  writes: "Through",
  opaqueEtags: false,
}

export const fromTo = (first: number, last?: number) => ({ kind: "fromTo", first, last }) as const
export const suffix = (lengthBytes: number) => ({ kind: "suffix", lengthBytes }) as const

/** The outcome of a piece of work. A rejection is noted early, so that a test may wait for it later. */
type Ended<T> = { readonly value: T } | { readonly error: unknown }

export const ended = <T>(work: Promise<T>): Promise<Ended<T>> =>
  work.then(
    value => ({ value }),
    (error: unknown) => ({ error }),
  )

export class RemoteScene {
  readonly origin: MemoryOrigin
  remotes: StoreRemotes
  /** The latest process, which is the sender if there is one. */
  private process = 0
  isSender = true
  isStoreFull = false

  private constructor(
    readonly world: World,
    public bucket: Bucket,
    public setting: RemoteSetting,
    private readonly cacheBytesMax: number,
    private readonly blockBytes: number,
  ) {
    this.origin = new MemoryOrigin(world.clock)
    this.remotes = this.started()
  }

  static async open(
    more: Partial<RemoteSetting> = {},
    cacheBytesMax = 1024 * MIB,
    blockBytes: number = REMOTE_LIMITS.blockBytes,
  ): Promise<RemoteScene> {
    const world = await open("replica:1", 1, MIB)
    const { clock, tablet, services } = world
    await clock.advance(START_MS - clock.wallMs())
    // Decisions are made at the time of the clock.
    Object.defineProperty(tablet, "aheadMs", { get: () => clock.wallMs() - DECISIONS_START_MS - tablet.position })
    await clock.runUntil(services.storeClock.start())
    await clock.runUntil(services.buckets.setSetting(world.home, "remote", "<x/>"))
    await clock.runUntil(services.buckets.setVersioning(world.home, "enabled"))
    const bucket = await clock.runUntil(asPromise(() => services.buckets.open(world.home.name)))
    return new RemoteScene(world, bucket, { ...SETTING, ...more }, cacheBytesMax, blockBytes)
  }

  /** A process that has just started, and sends from now on; those before go on with what they do. */
  private started(): StoreRemotes {
    const own = (this.process += 1)
    const { world, origin, cacheBytesMax, blockBytes } = this
    const { clock, random, telemetry, tablet: metadata, services } = world
    const { objects, buckets, storeClock } = services
    const config = { endpoint: "https://far.example", region: "us-east-1" }
    const health = { requests: 0, failures: 0, lastError: undefined, lastErrorMs: undefined }
    const store = { name: "far", config, health, bucket: () => origin }
    return new StoreRemotes({
      clock,
      storeClock,
      random,
      log: telemetry.log,
      metrics: telemetry.metrics,
      metadata,
      objects,
      buckets,
      stores: new Map([["far", store]]),
      cacheBytesMax,
      isStoreFull: () => this.isStoreFull,
      blockBytes,
      signal: noSignal,
      settingOf: () => this.setting,
      mayUse: async () => true,
      refuseEarlier: async () => undefined,
      isShared: true,
      auditBucket: undefined,
      isSender: () => this.isSender && own === this.process,
    })
  }

  /** The next process. */
  restart(): void {
    this.remotes = this.started()
  }

  run<T>(work: Promise<T>): Promise<T> {
    return this.world.clock.runUntil(work)
  }

  /** Lets all work go on until it waits for time, or a gate. */
  settle(): Promise<void> {
    return this.world.clock.advance(0)
  }

  advance(ms: number): Promise<void> {
    return this.world.clock.advance(ms)
  }

  /** Puts an object into the remote, without a request. */
  far(key: string, content: string | Uint8Array, headers: ContentHeaders = {}): void {
    this.origin.set(objectKeyOfText(key), typeof content === "string" ? Buffer.from(content) : content, { headers })
  }

  farRemove(key: string): void {
    this.origin.objects.delete(objectKeyOfText(key))
  }

  /** The remote's object; undefined if it does not exist. */
  farText(key: string): string | undefined {
    const object = this.origin.objects.get(objectKeyOfText(key))
    return object && Buffer.from(object.bytes).toString()
  }

  keyOf(key: string): ObjectKey {
    return objectKeyOfText(key)
  }

  /** Starts a read; the test drives the clock. */
  async reading(key: string, asked: Asked = {}): Promise<ReadResult> {
    const { conditions = {}, revalidates = false, ...wanted } = asked
    const request = { bucket: this.bucket, key: objectKeyOfText(key), conditions, ...wanted }
    const { body, outcome } = await this.remotes.open(this.setting, request, {
      revalidates,
      signal: noSignal,
      hops: undefined,
    })
    const bytes = Buffer.from(await gathered(body, noSignal))
    const { etag, sizeBytes, lastModifiedMs, headers } = body.info
    const about = { etag, sizeBytes, lastModifiedMs, headers, range: body.range }
    return { bytes, text: bytes.length > 1_000 ? "(long)" : bytes.toString(), outcome, ...about }
  }

  read(key: string, asked: Asked = {}): Promise<ReadResult> {
    return this.run(this.reading(key, asked))
  }

  /** Text and outcome. */
  async seen(key: string, asked: Asked = {}): Promise<readonly [string, ReadOutcome]> {
    const { text, outcome } = await this.read(key, asked)
    return [text, outcome]
  }

  async writing(
    key: string,
    content: string | Uint8Array,
    conditions: Pick<Conditions, "ifMatch" | "ifNoneMatch"> = {},
    headers: ContentHeaders = {},
  ): Promise<string | undefined> {
    const bytes = typeof content === "string" ? Buffer.from(content) : content
    const { objects } = this.world.services
    const target = { bucket: this.bucket, key: objectKeyOfText(key), conditions: {} }
    const attributes = { headers, userMetadata: [] }
    const { versionId } = await objects.put({
      ...target,
      attributes,
      tags: [],
      body: sourceOf(bytes, MIB),
      signal: noSignal,
    })
    return this.remotes.written(this.bucket, target.key, must(versionId, "the bucket has versions"), {
      ...conditions,
      hops: undefined,
    })
  }

  write(...written: Parameters<RemoteScene["writing"]>): Promise<string | undefined> {
    return this.run(this.writing(...written))
  }

  removing(key: string, conditions: Conditions = {}): Promise<void> {
    return this.remotes.remove(this.bucket, objectKeyOfText(key), conditions, { hops: undefined })
  }

  remove(key: string, conditions: Conditions = {}): Promise<void> {
    return this.run(this.removing(key, conditions))
  }

  evict(key: string): Promise<void> {
    return this.run(this.remotes.evict(this.bucket, objectKeyOfText(key)))
  }

  async sweeping(): Promise<void> {
    const eviction = this.remotes.services.find(service => service instanceof Eviction)
    await must(eviction, "it is a service").sweep(noSignal)
  }

  sweep(): Promise<void> {
    return this.run(this.sweeping())
  }

  rounding(): Promise<void> {
    return this.remotes.pendingWrites.round(noSignal)
  }

  /** Sends what is pending, once. */
  round(): Promise<void> {
    return this.run(this.rounding())
  }

  pending(): Promise<readonly PendingWrite[]> {
    return this.run(this.remotes.pending(this.bucket, 1_000))
  }

  /** Versions of the bucket itself. */
  async versions(): Promise<number> {
    return (await this.run(this.world.services.buckets.usage(this.bucket))).versions
  }

  listing(asked: Partial<RemoteListRequest> = {}): Promise<RemoteListPage> {
    const request = {
      bucket: this.bucket,
      prefix: "",
      delimiter: "",
      after: "",
      max: 1_000,
      withStatus: false,
      ...asked,
    }
    return this.remotes.list(this.setting, request, { signal: noSignal, hops: undefined })
  }

  /** All pages of a listing: keys with their status, and common prefixes. */
  async list(asked: Partial<RemoteListRequest> = {}): Promise<readonly string[]> {
    const found: string[] = []
    for (let after: string | undefined = asked.after ?? ""; after !== undefined;) {
      const page: RemoteListPage = await this.run(this.listing({ ...asked, after }))
      found.push(...page.entries.map(entry => shownEntry(entry, asked.withStatus === true)))
      assert.ok(page.next === undefined || page.next > after, "a listing goes on")
      after = page.next
    }
    return found
  }

  /** The admin API or the protocol sets the setting. */
  async change(more: Partial<RemoteSetting>): Promise<void> {
    const next = { ...this.setting, ...more }
    await this.run(this.remotes.prepare(this.bucket, next))
    this.setting = next
  }

  async refuses(work: Promise<unknown>, ...kinds: FailureKind[]): Promise<void> {
    await assert.rejects(work, (error: unknown) => isFailure(error, ...kinds))
  }
}

export function shownEntry(entry: RemoteListPage["entries"][number], withStatus: boolean): string {
  if (entry.kind === "prefix") return entry.prefix
  return withStatus ? `${entry.object.key} ${entry.status}` : entry.object.key
}

/** So many bytes, other ones for each seed and at each place. */
export function bytesOf(length: number, seed: number): Buffer {
  const bytes = Buffer.alloc(length, seed)
  for (let at = 0; at + 4 <= length; at += 1024) bytes.writeUInt32LE(at ^ seed, at)
  return bytes
}
