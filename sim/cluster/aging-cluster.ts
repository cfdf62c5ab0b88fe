/**
 * A cluster whose objects age: lifecycle rules remove and move versions for weeks, while locks, restores and uploads go on,
 * rules change, processes end within passes, and wall clocks jump either way. One node at a time is down; the database is well.
 *
 * Promises  Nothing goes or moves before its time, nothing locked goes at all, and what is due goes and moves once the clocks
 *           are right. A version that moves keeps its ETag and its time, can be read at any time, and ends under the
 *           redundancy of its class.
 */
import { must } from "@hayloft/base/assert.js"
import { isFailure } from "@hayloft/base/failures.js"
import {
  objectKeyOfText,
  parseAccountId,
  parseBucketName,
  type MultipartId,
  type VersionId,
} from "@hayloft/base/ids.js"
import { parsePolicy } from "@hayloft/base/policy.js"
import type { StorageClass } from "@hayloft/base/storage-class.js"
import type { VersionLock } from "@hayloft/engine/format/objects/object-lock.js"
import { mapBounded } from "@hayloft/base/life/index.js"
import type { Engine } from "@hayloft/node/engine.js"
import type { Bucket, VersionEntry } from "@hayloft/objects/index.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { bodyBytes, get, nameOfBody, putRequest, sourceOf } from "../world/bodies.js"
import { check, CheckFailed, kindOf } from "../world/checks.js"
import * as ages from "./aging-rules.js"
import { Cluster } from "./cluster.js"
import type { ClusterNode } from "./cluster-node.js"
import { unlikePolicyOf } from "./content.js"

const { DAY_MS, PREFIXES } = ages
const NAME = parseBucketName("aging")
const OWNER = parseAccountId("root")
const STEPS = 40
const JUMP_MS_MAX = 20 * DAY_MS
const LOCKED_DAYS_MAX = 12
const PUTS_AT_ONCE = 6
/** The time by which an event may come later than a clock says: alarms are late by less. */
const SLACK_MS = 5
/** While a node is down, and what it has is repaired. */
const RETRY_MS = 500
const RETRIES_MAX = 600
const READS = 3
const END_POLL_MS = 5_000
/** A slice of a killed process is taken over after some minutes. */
const END_MS_MAX = 30 * 60_000
/** Into a row, and into one block. */
const SIZES = [100, 5_000, 9_000]
const RESTORE = { days: 2, tier: "Standard" } as const

interface Tracked {
  readonly key: string
  readonly versionId: VersionId
  readonly name: string
  readonly etag: string
  readonly modifiedMs: number
  /** When its lock ends; infinity: it has a legal hold. */
  readonly lockedUntilMs: number
  storageClass: StorageClass
  /** The time of its successor, once that was seen. */
  sinceMs: number | undefined
}

interface Begun {
  readonly key: string
  readonly initiatedMs: number
}

type Version = Extract<VersionEntry, { readonly kind: "version" | "marker" }>

const keyOf = (entry: Version): string => (entry.kind === "marker" ? entry.key : entry.object.key)
const modifiedOf = (entry: Version): number =>
  entry.kind === "marker" ? entry.lastModifiedMs : entry.object.lastModifiedMs

/** A version with its successor. */
interface Placed {
  readonly entry: Version
  readonly sinceMs: number | undefined
}

/** Listings show the newest version of a key first. */
const placed = (entries: readonly Version[]): readonly Placed[] =>
  entries.map((entry, at) => {
    const before = entries[at - 1]
    const isNoncurrent = before !== undefined && keyOf(before) === keyOf(entry)
    return { entry, sinceMs: isNoncurrent ? modifiedOf(before) : undefined }
  })

export class AgingCluster {
  readonly cluster: Cluster
  private readonly random: Random
  private readonly tracked = new Map<VersionId, Tracked>()
  private readonly uploads = new Map<MultipartId, Begun>()
  /** Those in effect, and those before that may have acted since the last look. */
  private rules: readonly ages.Rules[] = [new Map()]
  private puts = 0
  private readonly counts = { moved: 0, gone: 0, aborted: 0, read: 0 }

  constructor(
    seed: number,
    private readonly steps = STEPS,
  ) {
    this.cluster = new Cluster(seed)
    this.random = this.cluster.random.fork("aging")
    for (const zone of ["a", "b", "c"]) {
      const plan = { name: `n${zone}`, zone, devices: 1, latencyMsMax: 2, lifecycleDayMs: DAY_MS, isClockRight: true }
      this.cluster.addNode(plan)
    }
  }

  get summary(): string {
    const { moved, gone, aborted, read } = this.counts
    return `${this.puts} puts, ${moved} moved, ${gone} removed, ${aborted} uploads ended, ${read} reads`
  }

  run(): Promise<void> {
    return this.cluster.clock.runUntil(this.story())
  }

  private async story(): Promise<void> {
    const { cluster } = this
    await mapBounded(cluster.nodes, cluster.nodes.length, node => cluster.start(node))
    const { operations, engine, status } = must(cluster.serving[0], "all nodes serve")
    const { recordManager } = engine
    const isComplete = () =>
      recordManager.record.layout.devices.length === 3 && status.report().layout.transition === undefined
    while (!isComplete()) await cluster.sleep(RETRY_MS)
    for (const [storageClass, policy] of [
      ["STANDARD_IA", "replica:3"],
      ["GLACIER", "replica:2"],
    ] as const) {
      await operations.change({ kind: "setClass", storageClass, policy: parsePolicy(policy) }, undefined)
    }
    await engine.services.buckets.create({ name: NAME, owner: OWNER, location: "", hasLock: true })
    await this.setRules()
    for (let step = 0; step < this.steps; step += 1) {
      await this.step()
      await this.look()
    }
    await this.end()
  }

  private get trueMs(): number {
    return this.cluster.clock.wallMs()
  }

  private get node(): ClusterNode {
    const { nodes } = this.cluster
    return must(nodes[this.random.below(nodes.length)], "a cluster has nodes")
  }

  private step(): Promise<void> {
    const { random } = this
    switch (random.below(12)) {
      case 0:
      case 1:
      case 2:
        return this.put()
      case 3:
        return this.setRules()
      case 4:
        return this.endProcess(this.node)
      case 5:
        return this.atMidnight(() => this.endProcess(this.node))
      case 6:
        return this.atMidnight(() => this.setRules())
      case 7:
        return this.beginUpload()
      case 8:
        return this.tryToRemove()
      case 9:
        return this.cluster.sleep(random.below(2 * DAY_MS))
      default:
        this.node.clockErrors.wallOffsetMs = random.below(3) === 0 ? 0 : random.below(2 * JUMP_MS_MAX) - JUMP_MS_MAX
        return this.cluster.sleep(random.below(DAY_MS))
    }
  }

  /** Through any node, again and again while one that was ended has not come back. */
  private async through<T>(send: (engine: Engine, bucket: Bucket) => Promise<T>): Promise<T> {
    for (let tries = 0; ; tries += 1) {
      const serving = must(this.cluster.pick(this.random), "two nodes serve")
      try {
        return await send(serving.engine, await serving.engine.services.buckets.open(NAME))
      } catch (error) {
        const mayPass = isFailure(error) && (error.remedy === "backOff" || error.kind === "notEnoughShards")
        if (!mayPass || tries >= RETRIES_MAX) throw error
        await this.cluster.sleep(RETRY_MS)
      }
    }
  }

  private drawLock(): VersionLock | undefined {
    const draw = this.random.below(6)
    if (draw === 0) return { retention: undefined, legalHold: true }
    if (draw > 2) return undefined
    const untilMs = Math.ceil(this.trueMs) + this.random.below(LOCKED_DAYS_MAX * DAY_MS)
    return { retention: { mode: draw === 1 ? "COMPLIANCE" : "GOVERNANCE", untilMs }, legalHold: undefined }
  }

  private async put(): Promise<void> {
    for (let count = 0; count < PUTS_AT_ONCE; count += 1) {
      this.puts += 1
      // Some are overwritten later.
      const at = this.random.below(4) === 0 ? 1 + this.random.below(this.puts) : this.puts
      await this.putOne(`${PREFIXES[at % PREFIXES.length]}${at}`, `w${this.puts}`)
    }
  }

  private async putOne(key: string, name: string): Promise<void> {
    const lock = this.drawLock()
    const bytes = bodyBytes(name, must(SIZES[this.random.below(SIZES.length)], "a size"))
    let tries = 0
    let result
    try {
      result = await this.through((engine, bucket) => {
        tries += 1
        return engine.services.objects.put({ ...putRequest(bucket, objectKeyOfText(key), sourceOf(bytes)), lock })
      })
    } catch (error) {
      // It is over by the wall clock of that node.
      if (isFailure(error, "retentionIsOver")) return
      throw error
    }
    const versionId = must(result.versionId, "the bucket is versioned")
    for (const older of this.tracked.values()) {
      // The successor is dated by the wall clock of its node, and one whose answer was lost is not known.
      if (older.key === key) older.sinceMs ??= tries === 1 ? result.lastModifiedMs : 0
    }
    const lockedUntilMs = lock === undefined ? 0 : lock.legalHold === true ? Infinity : (lock.retention?.untilMs ?? 0)
    this.tracked.set(versionId, {
      key,
      versionId,
      name,
      etag: result.etag,
      modifiedMs: result.lastModifiedMs,
      lockedUntilMs,
      storageClass: "STANDARD",
      sinceMs: undefined,
    })
  }

  /** From the acknowledgement on, only the new rules act. */
  private async setRules(): Promise<void> {
    const rules = ages.drawRules(this.random)
    await this.look()
    this.rules = [...this.rules, rules]
    await this.through((engine, bucket) =>
      engine.services.buckets.setSetting(bucket, "lifecycle", ages.documentOf(rules)),
    )
    await this.look()
  }

  private async beginUpload(): Promise<void> {
    this.puts += 1
    const key = `${PREFIXES[this.puts % PREFIXES.length]}u${this.puts}`
    const described = { attributes: { headers: {}, userMetadata: [] }, tags: [], checksum: undefined }
    const { multipartId } = await this.through((engine, bucket) =>
      engine.services.multipart.create({ bucket, key: objectKeyOfText(key), ...described }),
    )
    const listed = (await this.listUploads()).find(upload => upload.multipartId === multipartId)
    // A clock that is days behind dates it so: then it may be gone already.
    if (listed !== undefined) this.uploads.set(multipartId, { key, initiatedMs: listed.initiatedMs })
  }

  private async listUploads() {
    const page = { prefix: "", delimiter: "", keyMarker: "", uploadIdMarker: undefined, max: 1_000 }
    const { entries } = await this.through((engine, bucket) =>
      engine.services.multipart.listUploads({ bucket, ...page }),
    )
    return entries.flatMap(entry => (entry.kind === "upload" ? entry.upload : []))
  }

  private async tryToRemove(): Promise<void> {
    const all = [...this.tracked.values()]
    const version = all[this.random.below(Math.max(1, all.length))]
    if (version === undefined) return
    const { key, versionId } = version
    const failure = await kindOf(
      this.through((engine, bucket) => {
        const target = { bucket, key: objectKeyOfText(key), versionId, conditions: {} }
        return engine.services.objects.remove(target)
      }),
    )
    if (failure === "objectLocked") return
    check("lockedStays", failure === undefined, () => `the removal of ${key} ends with ${failure}`)
    this.checkUnlocked(version, "removed by a client")
    this.tracked.delete(versionId)
  }

  private checkUnlocked({ key, lockedUntilMs }: Tracked, what: string): void {
    const earlyMs = lockedUntilMs - this.trueMs
    check("lockedStays", earlyMs <= SLACK_MS, () => `${key} is ${what} ${earlyMs} ms before its lock ends`)
  }

  /** Into a moment at which passes are under way. */
  private async atMidnight(event: () => Promise<void>): Promise<void> {
    await this.cluster.sleep(DAY_MS - (this.trueMs % DAY_MS) + this.random.below(1_500))
    await event()
  }

  /** The others go on: the store's clock is theirs. */
  private async endProcess(node: ClusterNode): Promise<void> {
    const how = this.random.below(3)
    if (how === 0) await node.stop()
    else if (how === 1) node.kill()
    else node.crash()
    await this.cluster.sleep(this.random.below(DAY_MS))
    await this.look()
    await this.cluster.start(node)
  }

  private async list(): Promise<readonly Placed[]> {
    const page = { prefix: "", delimiter: "", max: 1_000 }
    const entries: Version[] = []
    let marker: Awaited<ReturnType<Engine["services"]["objects"]["listVersions"]>>["next"]
    do {
      const { keyMarker = "", versionIdMarker } = marker ?? {}
      const got = await this.through((engine, bucket) =>
        engine.services.objects.listVersions({ bucket, ...page, keyMarker, versionIdMarker }),
      )
      for (const entry of got.entries) if (entry.kind !== "prefix") entries.push(entry)
      marker = got.next
    } while (marker !== undefined)
    return placed(entries)
  }

  /**
   * Checks that what is gone or has moved was due by the true time, and that everything else is as it was and can be
   * read.
   */
  private async look(): Promise<void> {
    const [mistake] = this.cluster.mistakes
    check("noAssertionFails", mistake === undefined, () => String(mistake))
    const shown = new Map((await this.list()).map(each => [each.entry.versionId, each]))
    for (const version of this.tracked.values()) this.lookAt(version, shown.get(version.versionId))
    const open = new Set((await this.listUploads()).map(({ multipartId }) => multipartId))
    for (const [multipartId, { key, initiatedMs }] of this.uploads) {
      if (open.has(multipartId)) continue
      this.checkTime(ages.abortedFrom(this.rules, key, initiatedMs), `the upload of ${key} is gone`)
      this.uploads.delete(multipartId)
      this.counts.aborted += 1
    }
    this.rules = this.rules.slice(-1)
    const all = [...this.tracked.values()]
    for (let read = 0; read < Math.min(READS, all.length); read += 1) {
      await this.read(must(all[this.random.below(all.length)], "a version"))
    }
  }

  private checkTime(fromMs: number, what: string): void {
    const earlyMs = fromMs - this.trueMs
    check("dueStays", earlyMs <= SLACK_MS, () => `${what} ${earlyMs} ms before its time`)
  }

  private lookAt(version: Tracked, shown: Placed | undefined): void {
    const { key, versionId } = version
    if (shown === undefined) {
      this.checkUnlocked(version, "removed")
      this.checkTime(ages.removedFrom(this.rules, version), `${key} is gone`)
      this.tracked.delete(versionId)
      this.counts.gone += 1
      return
    }
    if (shown.entry.kind === "marker") throw new CheckFailed("movedIsSame", `${key} is a delete marker`)
    const { etag, lastModifiedMs, storageClass } = shown.entry.object
    const isSame = etag === version.etag && lastModifiedMs === version.modifiedMs
    check("movedIsSame", isSame, () => `${key} has the ETag ${etag} and is of ${lastModifiedMs}`)
    if (storageClass !== version.storageClass) {
      this.checkTime(ages.movedFrom(this.rules, version, storageClass), `${key} is ${storageClass}`)
      check("movedIsSame", ages.isColder(storageClass, version.storageClass), () => `${key} became ${storageClass}`)
      version.storageClass = storageClass
      this.counts.moved += 1
    }
    version.sinceMs = shown.sinceMs
  }

  /** An archived version is restored first. */
  private async read(version: Tracked): Promise<void> {
    const key = objectKeyOfText(version.key)
    const { versionId } = version
    try {
      const { bytes } = await this.through(async (engine, bucket) => {
        const request = { bucket, key, versionId, conditions: {} }
        try {
          return await get(engine, request)
        } catch (error) {
          if (!isFailure(error, "invalidObjectState")) throw error
          await engine.services.archives.restore(request, RESTORE)
          return get(engine, request)
        }
      })
      check("noPartialWrites", nameOfBody(bytes) === version.name, () => `${version.key} has other bytes`)
      this.counts.read += 1
    } catch (error) {
      if (!isFailure(error)) throw error
      // It may go between the listing and the read.
      const { kind, message } = error
      check("readsContinue", kind === "noSuchVersion", () => `${version.key}: ${message}`)
      this.checkUnlocked(version, "removed")
      this.checkTime(ages.removedFrom(this.rules, version), `${version.key} is gone`)
    }
  }

  /** Once all clocks are right. */
  private async end(): Promise<void> {
    const { cluster } = this
    for (const { clockErrors } of cluster.nodes) clockErrors.wallOffsetMs = 0
    const untilMs = cluster.clock.monotonicMs() + END_MS_MAX
    for (;;) {
      await cluster.sleep(END_POLL_MS)
      await this.look()
      const left = await this.left()
      if (left === undefined) break
      check(left.check, cluster.clock.monotonicMs() < untilMs, () => left.what)
    }
    for (const version of this.tracked.values()) await this.read(version)
    for (const node of cluster.nodes) {
      const open = await node.stop()
      check("nothingLeaks", open === undefined, () => `${node.name}: ${open}`)
    }
  }

  /** Returns what should have happened by now, or undefined if there is nothing. */
  private async left(): Promise<
    { readonly check: "dueGoes" | "redundancyIsRestored"; readonly what: string } | undefined
  > {
    const overdueMs = this.trueMs - DAY_MS
    const [rules] = this.rules
    if (rules === undefined) return undefined
    for (const each of await this.list()) {
      const what = this.overdue(rules, each, overdueMs)
      if (what !== undefined) return { check: "dueGoes", what: `${keyOf(each.entry)} ${what}` }
    }
    for (const { key, initiatedMs } of this.uploads.values()) {
      if (ages.abortedFrom([rules], key, initiatedMs) <= overdueMs) {
        return { check: "dueGoes", what: `the upload of ${key} is there` }
      }
    }
    const record = this.cluster.serving[0]?.engine.recordManager.record
    const unlike = record && unlikePolicyOf(this.cluster, record)
    return unlike === undefined ? undefined : { check: "redundancyIsRestored", what: unlike }
  }

  private overdue(rules: ages.Rules, { entry, sinceMs }: Placed, nowMs: number): string | undefined {
    const [key, modifiedMs] = [keyOf(entry), modifiedOf(entry)]
    const { expires, oldExpires } = ages.agingOf(rules, key)
    // The rules about versions ask for a size, which a marker has not.
    if (entry.kind === "marker") return undefined
    if (sinceMs === undefined && ages.midnightAfter(modifiedMs, expires) <= nowMs) return "is the current version"
    const { versionId, object } = entry
    const isFree = (this.tracked.get(versionId)?.lockedUntilMs ?? Infinity) <= nowMs
    if (sinceMs !== undefined && isFree && ages.midnightAfter(sinceMs, oldExpires) <= nowMs) return "is there"
    const { storageClass } = object
    const wanted = ages.coldestBy(rules, { key, modifiedMs, sinceMs, storageClass }, nowMs)
    return ages.isColder(wanted, storageClass) ? `is ${storageClass}, not ${wanted}` : undefined
  }
}

export const agingCluster = (seed: number): Promise<void> => new AgingCluster(seed).run()
