/** A lost store in a simulated world, and its rescue, for tests. */
import { createHash } from "node:crypto"
import { must } from "@hayloft/base/assert.js"
import { hexOf } from "@hayloft/base/bytes.js"
import { objectKeyOfText, parseAccountId, parseBucketName } from "@hayloft/base/ids.js"
import type { AccountId, BucketName, ObjectKey } from "@hayloft/base/ids.js"
import { KIB, MIB } from "@hayloft/base/limits.js"
import { shardCount, textOfPolicy, type Policy } from "@hayloft/base/policy.js"
import type { StorageClass } from "@hayloft/base/storage-class.js"
import { asPromise, type Soon } from "@hayloft/base/soon.js"
import { makeCodec } from "@hayloft/engine/erasure/index.js"
import type { AccountRecord, BucketRecord, BucketSettingName } from "@hayloft/engine/format/records.js"
import type { QuotaLimits } from "@hayloft/engine/format/objects/usage.js"
import type { Bucket, PutResult } from "@hayloft/objects/index.js"
import type { RescuedFeature, RescuedOfAccounts } from "@hayloft/features/index.js"
import { MemoryBuckets } from "@hayloft/features/items/testing-items.js"
import type { QuotaTarget } from "@hayloft/features/quotas/index.js"
import { InlineCompute } from "@hayloft/base/seams/compute/index.js"
import type { Disk } from "@hayloft/base/seams/disk/contract.js"
import { SimLocks } from "@hayloft/base/seams/folder-lock/index.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import type { Engine } from "../index.js"
import { Machine, noSignal, sourceOf } from "../testing-engine.js"
import type { RescueEntry, RescueSummary } from "./report.js"
import { Rescue, type RescueSettings } from "./rescue.js"
import { rangesIn } from "./plan.js"
import { RescuedBody } from "./source-body.js"
import { SourceDisk } from "./source-disk.js"
import { SourceShards } from "./source-shards.js"
import { openSources } from "./sources.js"
import type { BucketPlan, ReadyVersion, RescueTarget, RescuedAccessKey, RescuedAccount } from "./target.js"

/** The default backup interval of a store. */
const BACKUP_EVERY_MS = 60 * 60_000

/** Keeps everything that is written, in memory. */
class MemoryTarget implements RescueTarget {
  readonly rootAccount = parseAccountId("new-root")
  readonly accounts: RescuedAccount[] = []
  readonly accessKeys: RescuedAccessKey[] = []
  readonly buckets = new Map<string, BucketPlan>()
  /** By bucket and key: versions, oldest first, each with its bytes. */
  readonly keys = new Map<string, (ReadyVersion & { readonly bytes: Buffer })[]>()
  isFinished = false

  constructor(private readonly shards: SourceShards) {}

  async addAccount(account: RescuedAccount): Promise<void> {
    this.accounts.push(account)
  }

  async addAccessKey(key: RescuedAccessKey): Promise<void> {
    this.accessKeys.push(key)
  }

  async addBucket(bucket: BucketPlan): Promise<void> {
    this.buckets.set(bucket.name, bucket)
    await this.rows.add(bucket.name)
  }

  readonly classes: string[] = []
  /** With the number of keys that were written by then. */
  readonly quotas: (readonly [QuotaTarget, QuotaLimits | undefined, number])[] = []

  async addClass(storageClass: StorageClass, policy: Policy): Promise<string | undefined> {
    if (shardCount(policy) > 4) return "too few devices"
    this.classes.push(`${storageClass} ${textOfPolicy(policy)}`)
    return undefined
  }

  /** With the number of keys that were written by then. */
  readonly undelete: (readonly [name: string, days: number, keys: number])[] = []

  async setFeature(name: BucketName, feature: RescuedFeature, had: BucketRecord): Promise<void> {
    const { undeleteDays = 0, usage } = had
    if (feature.ofAccounts === undefined) this.undelete.push([name, undeleteDays, this.keys.size])
    else this.quotas.push([{ kind: "bucket", name }, usage?.own?.limits, this.keys.size])
  }

  async setFeatureOfAccount(id: AccountId, _feature: RescuedOfAccounts, { quota }: AccountRecord): Promise<void> {
    this.quotas.push([{ kind: "account", id }, quota?.limits, this.keys.size])
  }

  readonly addBucketSecret = () => Promise.resolve(undefined)

  readonly namedKeys: string[] = []

  async addNamedKey(id: string): Promise<void> {
    this.namedKeys.push(id)
  }

  readonly isAlone = () => false

  async write({ name }: BucketPlan, key: ObjectKey, versions: readonly ReadyVersion[]) {
    const problems: (string | undefined)[] = []
    for (const version of versions) {
      const { content } = version
      const pieces: Uint8Array[] = content.kind === "inline" ? [content.bytes] : []
      const froms = rangesIn(content).map(range => [range])
      const problem = await this.readAll(froms, pieces)
      problems.push(problem)
      if (problem !== undefined) continue
      const bytes = Buffer.concat(pieces)
      if (version.md5 && hexOf(version.md5) !== md5Of(bytes)) throw new Error("bytes of another object")
      const place = `${name}/${key}`
      const before = (this.keys.get(place) ?? []).filter(({ isNull }) => !(isNull && version.isNull))
      this.keys.set(place, [...before, { ...version, bytes }])
    }
    return problems
  }

  private async readAll(froms: readonly ConstructorParameters<typeof RescuedBody>[1][], pieces: Uint8Array[]) {
    for (const from of froms) {
      const promised = { md5: undefined, checksum: undefined }
      const body = new RescuedBody(this.shards, from, promised, () => undefined, noSignal)
      try {
        for await (const piece of body.open()) pieces.push(piece.slice())
      } catch (error) {
        return body.reasonOf(error)
      }
    }
    return undefined
  }

  /** The rows of features, in buckets of the same names. */
  readonly rows = new MemoryBuckets()

  readonly addRows: RescueTarget["addRows"] = (feature, found) => {
    const { metadata } = this.rows
    const prepare = async () => undefined
    const bucketIdOf = (name: BucketName) => this.rows.idOf(name)
    return feature.rescue({ ...found, into: { metadata, prepare, bucketIdOf } })
  }

  async finish(): Promise<void> {
    this.isFinished = true
  }

  readonly close = () => Promise.resolve()

  /** The latest version of a key, if it is an object. */
  latest(bucket: string, key: string): (ReadyVersion & { readonly bytes: Buffer }) | undefined {
    const latest = this.keys.get(`${bucket}/${objectKeyOfText(key)}`)?.at(-1)
    return latest?.content.kind === "marker" ? undefined : latest
  }
}

const md5Of = (bytes: Uint8Array): string => createHash("md5").update(bytes).digest("hex")

export interface Rescued {
  readonly target: MemoryTarget
  readonly entries: readonly RescueEntry[]
  readonly summary: RescueSummary
}

/** A working store, until it ends. */
export class DoomedStore {
  readonly random = new SimRandom(9)
  private readonly buckets = new Map<string, Bucket>()
  engine: Engine

  private constructor(
    readonly machine: Machine,
    engine: Engine,
  ) {
    this.engine = engine
  }

  static async open(devices: number): Promise<DoomedStore> {
    const machine = new Machine({ devices })
    return new DoomedStore(machine, await machine.clock.runUntil(machine.open()))
  }

  private wait<T>(value: Soon<T>): Promise<T> {
    return this.machine.clock.runUntil(asPromise(() => value))
  }

  get services() {
    return this.engine.services
  }

  async bucket(name: string, versioning?: "enabled" | "suspended"): Promise<Bucket> {
    const { buckets } = this.services
    const request = { name: parseBucketName(name), owner: parseAccountId("root"), location: "" }
    const made = this.buckets.get(name) ?? (await this.wait(buckets.create(request)))
    if (versioning) await this.wait(buckets.setVersioning(made, versioning))
    const bucket = await this.wait(buckets.open(made.name))
    this.buckets.set(name, bucket)
    return bucket
  }

  set(bucket: Bucket, name: BucketSettingName, document: string | undefined): Promise<void> {
    return this.wait(this.services.buckets.setSetting(bucket, name, document))
  }

  put(bucket: Bucket, key: string, bytes: Uint8Array, body = sourceOf(bytes)): Promise<PutResult> {
    const what = {
      attributes: { headers: { contentType: `text/${key}` }, userMetadata: [["name", key]] },
      tags: [["of", key]],
      acl: { owner: parseAccountId("writer"), grants: [] },
    } as const
    const request = { bucket, key: objectKeyOfText(key), conditions: {}, signal: noSignal, body, ...what }
    return this.wait(this.services.objects.put(request))
  }

  /** Uploads all part numbers from 1 on, or these. Returns the ETag of the completed object. */
  async putParts(
    bucket: Bucket,
    key: string,
    parts: readonly Uint8Array[],
    isCompleted = true,
    numbers = parts.map((_, i) => i + 1),
  ): Promise<string> {
    const { multipart } = this.services
    const object = { bucket, key: objectKeyOfText(key) }
    const attributes = { headers: { contentType: `text/${key}` }, userMetadata: [] }
    const { multipartId } = await this.wait(multipart.create({ ...object, attributes, tags: [], checksum: undefined }))
    const target = { ...object, multipartId, signal: noSignal }
    const done: { partNumber: number; etag: string; checksum: undefined }[] = []
    for (const [i, bytes] of parts.entries()) {
      const partNumber = numbers[i] ?? 0
      const { etag } = await this.wait(multipart.putPart({ ...target, partNumber, body: sourceOf(bytes) }))
      done.push({ partNumber, etag, checksum: undefined })
    }
    if (!isCompleted) return ""
    const nothing = { conditions: {}, sizeBytes: undefined, checksum: undefined, checksumType: undefined }
    return (await this.wait(multipart.complete({ ...target, parts: done, ...nothing }))).etag
  }

  async remove(bucket: Bucket, key: string, versionId?: PutResult["versionId"]): Promise<void> {
    const target = { bucket, key: objectKeyOfText(key), conditions: {}, ...(versionId && { versionId }) }
    await this.wait(this.services.objects.remove(target))
  }

  bytes(lengthBytes: number): Uint8Array {
    return this.random.bytes(lengthBytes)
  }

  step(name: string): Promise<string> {
    const job = must(
      this.engine.jobs.find(each => each.name === name),
      "there is such a job",
    )
    return this.wait(job.step(noSignal))
  }

  /** Steps a job until it has no work left. */
  async settle(name: string): Promise<void> {
    for (let steps = 0; steps < 2_000; steps += 1) {
      const outcome = await this.step(name)
      if (outcome === "idle" || outcome === "done") return
    }
    throw new Error(`${name} does not settle`)
  }

  async removeBucket(name: string): Promise<void> {
    const bucket = must(this.buckets.get(name), "there is such a bucket")
    await this.wait(this.services.buckets.remove(bucket))
    this.buckets.delete(name)
  }

  /** Advances the time until a backup is due. */
  async startBackUp(): Promise<void> {
    await this.machine.clock.advance(BACKUP_EVERY_MS)
  }

  async backUp(): Promise<void> {
    await this.startBackUp()
    await this.settle("metadata-backup")
  }

  /** The end of the store: a rescue then finds some of its folders, with volumes only. */
  async rescue(
    devices: readonly number[],
    settings: Partial<RescueSettings> = {},
    disk?: Disk,
    /** In place of one in memory. */
    targetOf?: (shards: SourceShards) => Promise<RescueTarget>,
  ): Promise<Rescued> {
    const { clock } = this.machine
    const source = new SourceDisk(disk ?? this.machine.disk.boot())
    const folders = devices.map(number => `/d${number}`)
    const sources = await openSources(source, new SimLocks().boot(), folders, { current: undefined }, new SimRandom(1))
    const compute = new InlineCompute(makeCodec, { slabBytes: 64 * KIB, poolBytes: 1 * MIB })
    const shards = new SourceShards(clock, compute, new SimTelemetry().metrics, source, sources)
    const target = new MemoryTarget(shards)
    const entries: RescueEntry[] = []
    const onEntry = async (entry: RescueEntry) => void entries.push(entry)
    const options = { isDryRun: false, lockedBuckets: [], nowMs: () => clock.wallMs(), onEntry, ...settings }
    const into = targetOf ? await this.wait(targetOf(shards)) : target
    const rescue = new Rescue(source, sources, shards, into, options, noSignal)
    const summary = await this.wait(rescue.run())
    await shards.close()
    return { target, entries, summary }
  }
}
