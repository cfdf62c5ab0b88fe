/**
 * The new store of a rescue: created as at a first start, written through its services.
 *
 * Promises  Until it is finished, each of its folders holds a mark with the source. A later run with the same source processes
 *           every key again and rewrites its versions. A folder with other contents is refused before anything is written.
 */
import type { Accounts } from "@hayloft/access/index.js"
import { must } from "@hayloft/base/assert.js"
import { asFailure, isFailure } from "@hayloft/base/failures.js"
import type { KmsKeyRecord } from "@hayloft/engine/format/accounts/kms-records.js"
import type { BucketRecord } from "@hayloft/engine/format/records.js"
import { defaultPolicy, type KeyService } from "@hayloft/access/keys/index.js"
import { MIB, PARTS_MAX } from "@hayloft/base/limits.js"
import type { AccountId, BucketName, KmsKeyId, MultipartId, ObjectKey } from "@hayloft/base/ids.js"
import type { Policy } from "@hayloft/base/policy.js"
import type { StorageClass } from "@hayloft/base/storage-class.js"
import type { ServeConfig } from "../config/index.js"
import { supervise, type BackgroundService } from "@hayloft/base/life/index.js"
import {
  mapClass,
  openStore,
  removeRescueMark,
  writeRescueMark,
  type OpenedStore,
  type MasterKeyFiles,
  type StoreControl,
} from "../index.js"
import {
  headersOf,
  versionPages,
  type Bucket,
  type CompletedPart,
  type CoreServices,
  type CreateMultipartRequest,
  type SealedSource,
  type VersionsPage,
} from "@hayloft/objects/index.js"
import type { RescuedFeature } from "@hayloft/features/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Disk } from "@hayloft/base/seams/disk/contract.js"
import type { FolderLocks } from "@hayloft/base/seams/folder-lock/contract.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import type { Telemetry } from "@hayloft/base/seams/telemetry/contract.js"
import { endFeatures, rescuedByFeatures, resumeFeatures } from "./rescue-limits.js"
import { rangesIn, wholeOf, type BodyRange, type PlannedContent, type PlannedPart, type WholeBody } from "./plan.js"
import { isBegun } from "./begun-rescue.js"
import { grouped, RescuedBody, type Promised } from "./source-body.js"
import type { SourceShards } from "./source-shards.js"
import type { BucketPlan, ReadyVersion, RescueTarget, RescuedAccessKey, RescuedAccount, RescuedKey } from "./target.js"

const VERSIONS_PER_PAGE = 1_000
/** A version that has expired by now gets an expiry again, so soon: no new one may have one that is over. */
const EXPIRED_AFTER_SECONDS = 60
/** The size of the parts that ranges become, unless there were too many. */
const RESCUED_PART_BYTES = 64 * MIB

/** The seams of the machine that a rescue uses. */
interface TargetSeams {
  readonly clock: Clock
  readonly random: Random
  readonly disk: Disk
  readonly locks: FolderLocks
  readonly telemetry: Telemetry
}

/** The new store while it runs. */
interface ServedStore {
  readonly engine: {
    readonly services: CoreServices
    readonly control: Pick<StoreControl, "change">
    checkPolicy(policy: Policy): void
    readonly accounts: Accounts
    readonly namedKeys: { of(part: "service"): Pick<KeyService, "restore"> }
  }
  /** The caller supervises them until the stop. */
  readonly backgroundServices: readonly BackgroundService[]
  stop(): Promise<void>
}

/** The store to create, its source, and the function that runs it. */
interface TargetPlan {
  readonly settings: ServeConfig
  readonly fileKeys: MasterKeyFiles
  /** The id of the source. */
  readonly source: string
  /** `onStolen`: another process has taken over a folder. */
  readonly run: (store: OpenedStore, onStolen: (failure: Error) => never) => Promise<ServedStore>
}

/** The store that is filled. */
interface RunningTarget {
  readonly store: OpenedStore
  readonly running: ServedStore
  /** An earlier run has begun to fill it. */
  readonly isContinued: boolean
}

interface OpenBucket {
  readonly bucket: Bucket
  versioning: Bucket["versioning"]
  readonly lock: BucketPlan["lock"]
}

export class StoreTarget implements RescueTarget {
  private readonly buckets = new Map<BucketName, OpenBucket>()
  private readonly background = new AbortController()
  private readonly behind: Promise<void>

  private readonly store: OpenedStore
  private readonly running: ServedStore
  private readonly isContinued: boolean

  private constructor(
    private readonly seams: TargetSeams,
    { store, running, isContinued }: RunningTarget,
    private readonly shards: SourceShards,
    private readonly onBytes: (count: number) => void,
    private readonly signal: AbortSignal,
  ) {
    this.store = store
    this.running = running
    this.isContinued = isContinued
    const { clock, random, telemetry } = seams
    this.behind = supervise(running.backgroundServices, clock, random, telemetry.log, this.background.signal)
  }

  static async open(
    seams: TargetSeams,
    { settings, fileKeys, source, run }: TargetPlan,
    shards: SourceShards,
    onBytes: (count: number) => void,
    signal: AbortSignal,
  ): Promise<StoreTarget> {
    const { clock, random, disk, locks } = seams
    const isContinued = await isBegun(disk, settings.dataFolders, source)
    const store = await openStore(
      { clock, random, disk, locks, rescuedFrom: source },
      settings,
      fileKeys.current,
      fileKeys.next,
    )
    try {
      for (const { identity } of store.devices) await writeRescueMark(disk, identity.path, source)
      const onStolen = (failure: Error): never => {
        throw failure
      }
      const running = await run(store, onStolen)
      if (isContinued) await resumeFeatures(running.engine.services.core)
      return new StoreTarget(seams, { store, running, isContinued }, shards, onBytes, signal)
    } catch (error) {
      for (const device of store.devices) await device.release()
      throw error
    }
  }

  get rootAccount(): AccountId {
    return this.store.secrets.root.accountId
  }

  private get services() {
    return this.running.engine.services
  }

  async addAccount(account: RescuedAccount): Promise<void> {
    await unlessThere(this.running.engine.accounts.createAccount(account))
  }

  async addAccessKey(key: RescuedAccessKey): Promise<void> {
    await unlessThere(this.running.engine.accounts.importKey({ ...key, userName: undefined }))
  }

  async addNamedKey(id: KmsKeyId, key: RescuedKey | undefined, materials: readonly Uint8Array[]): Promise<void> {
    const { accounts, namedKeys } = this.running.engine
    const accountId = key?.record.accountId ?? this.rootAccount
    const { number } = must(await accounts.getAccount(accountId), "accounts are added before their keys")
    const createdMs = this.seams.clock.wallMs()
    const minimal: KmsKeyRecord = {
      id,
      accountId,
      description: "",
      policy: defaultPolicy(number),
      tags: [],
      state: "enabled",
      deletionMs: undefined,
      rotation: undefined,
      external: undefined,
      versions: materials.map(() => ({ createdMs, isOnDemand: false })),
    }
    const { record = minimal, formerNumber = number } = key ?? {}
    const policy = record.policy.replaceAll(formerNumber, number)
    await namedKeys.of("service").restore({ ...record, policy }, materials)
  }

  async addClass(storageClass: StorageClass, policy: Policy): Promise<string | undefined> {
    try {
      await mapClass(this.running.engine, storageClass, policy)
      return undefined
    } catch (error) {
      if (!isFailure(error, "invalidArgument")) throw error
      return error.message
    }
  }

  readonly setFeature = async (name: BucketName, feature: RescuedFeature, had: BucketRecord): Promise<void> =>
    feature.set(this.services.core, this.opened(name).bucket.id, had)

  readonly setFeatureOfAccount: RescueTarget["setFeatureOfAccount"] = (id, feature, had) =>
    feature.set(this.services.core, id, had)

  async addBucket({ name, owner, location, versioning, settings, lock }: BucketPlan): Promise<void> {
    const { buckets } = this.services
    await unlessThere(buckets.create({ name, owner, location, settings }))
    const bucket = await buckets.open(name)
    this.buckets.set(name, { bucket, versioning: bucket.versioning, lock })
    if (versioning !== "never") await this.setVersioning(name, versioning)
    // Without the default retention, which would lock versions that had no lock.
    if (lock !== undefined) await buckets.setLock(bucket, undefined)
    if (!this.isContinued) return
    await this.abortUploads(bucket)
    await endFeatures(this.services.core, bucket)
  }

  async addBucketSecret(name: BucketName, secret: Uint8Array): Promise<string | undefined> {
    return this.orUnreadable(this.services.sealedImport.restoreSecret(this.opened(name).bucket, secret))
  }

  readonly addRows: RescueTarget["addRows"] = (feature, found) => {
    const { metadata, prepare } = this.services.core
    const bucketIdOf = (name: BucketName) => this.opened(name).bucket.id
    return feature.rescue({ ...found, into: { metadata, prepare, bucketIdOf } })
  }

  private async setVersioning(name: BucketName, versioning: "enabled" | "suspended"): Promise<void> {
    const open = this.opened(name)
    if (open.versioning === versioning) return
    await this.services.buckets.setVersioning(open.bucket, versioning)
    open.versioning = versioning
  }

  private opened(name: BucketName): OpenBucket {
    return must(this.buckets.get(name), "buckets are created before their objects")
  }

  private async abortUploads(bucket: Bucket): Promise<void> {
    const { multipart } = this.services
    const page = { prefix: "", delimiter: "", keyMarker: "", uploadIdMarker: undefined, max: VERSIONS_PER_PAGE }
    for (;;) {
      const { entries } = await multipart.listUploads({ bucket, ...page })
      if (entries.length === 0) return
      for (const entry of entries) if (entry.kind === "upload") await multipart.abort({ bucket, ...entry.upload })
    }
  }

  isAlone({ versioning, lock }: BucketPlan, versions: readonly ReadyVersion[]): boolean {
    if (lock !== undefined) return false
    return versioning !== "never" && versions.some(({ isNull }) => isNull === (versioning === "enabled"))
  }

  async write(
    plan: BucketPlan,
    key: ObjectKey,
    versions: readonly ReadyVersion[],
  ): Promise<readonly (string | undefined)[]> {
    const { bucket } = this.opened(plan.name)
    if (plan.lock !== undefined) return this.writeLocked(bucket, key, versions)
    if (this.isContinued && (await this.hasAll(bucket, key, versions))) return versions.map(() => undefined)
    if (this.isContinued) await this.removeAll(bucket, key)
    const problems: (string | undefined)[] = []
    for (const version of versions) {
      if (plan.versioning !== "never") await this.setVersioning(plan.name, version.isNull ? "suspended" : "enabled")
      problems.push(await this.put(bucket, key, version))
    }
    if (plan.versioning !== "never") await this.setVersioning(plan.name, plan.versioning)
    return problems
  }

  /**
   * In a bucket with object lock versioning stays on, so that a null version becomes another one; and nothing removes what
   * an earlier run has written, so that only the rest is written.
   */
  private async writeLocked(
    bucket: Bucket,
    key: ObjectKey,
    versions: readonly ReadyVersion[],
  ): Promise<readonly (string | undefined)[]> {
    const there = this.isContinued ? (await this.versionsOf(bucket, key)).reverse() : []
    const problems: (string | undefined)[] = []
    for (const version of versions) {
      const [next] = there
      const isThere = next !== undefined && isSame(next, version)
      if (isThere) there.shift()
      problems.push(isThere ? undefined : await this.putLocked(bucket, key, version))
    }
    return problems
  }

  private async putLocked(bucket: Bucket, key: ObjectKey, version: ReadyVersion): Promise<string | undefined> {
    try {
      return await this.put(bucket, key, version)
    } catch (error) {
      const { lock } = version
      if (lock === undefined || !isFailure(error, "retentionIsOver")) throw error
      return this.put(bucket, key, { ...version, lock: { ...lock, retention: undefined } })
    }
  }

  /** Returns true if an earlier run has written exactly these versions. */
  private async hasAll(bucket: Bucket, key: ObjectKey, versions: readonly ReadyVersion[]): Promise<boolean> {
    const [version] = versions
    if (versions.length !== 1 || bucket.versioning !== "never" || version?.reportEntry.etag === undefined) return false
    try {
      const request = { bucket, key, conditions: {}, headersOnly: true, isForServer: true }
      const { info } = await this.services.objects.get(request)
      return info.etag === version.reportEntry.etag && info.sizeBytes === shownBytesOf(version)
    } catch (error) {
      if (isFailure(error, "noSuchKey")) return false
      throw error
    }
  }

  private async removeAll(bucket: Bucket, key: ObjectKey): Promise<void> {
    for (const { versionId } of await this.versionsOf(bucket, key))
      await this.services.objects.remove({ bucket, key, versionId, conditions: {} })
  }

  /** Newest first. */
  private async versionsOf(bucket: Bucket, key: ObjectKey): Promise<ListedVersion[]> {
    const found: ListedVersion[] = []
    const request = { bucket, prefix: key, delimiter: "", max: VERSIONS_PER_PAGE }
    for await (const { entries } of versionPages(this.services.objects, request)) {
      for (const entry of entries) {
        // The key itself is the first of all keys with this prefix.
        if (entry.kind === "prefix" || (entry.kind === "marker" ? entry.key : entry.object.key) !== key) return found
        found.push(entry)
      }
    }
    return found
  }

  /** Makes it the latest version, with what features had noted of it. */
  private async put(bucket: Bucket, key: ObjectKey, version: ReadyVersion): Promise<string | undefined> {
    const problem = await this.putContent(bucket, key, version)
    if (problem === undefined) await rescuedByFeatures(this.services.core, { bucket, key }, version)
    return problem
  }

  private async putContent(bucket: Bucket, key: ObjectKey, version: ReadyVersion): Promise<string | undefined> {
    const { content } = version
    if (content.kind === "marker") {
      await this.services.objects.remove({ bucket, key, conditions: {} })
      return undefined
    }
    const { md5, checksum, sealed } = version
    if (content.kind === "ranges") return this.putRanges(bucket, key, version, content.ranges)
    if (content.kind === "multipart") {
      return sealed
        ? this.putSealedParts(bucket, key, version, content.parts, sealed)
        : this.putMultipart(bucket, key, version, content.parts)
    }
    if (sealed && content.kind !== "packed") return this.putSealed(bucket, key, version, content, sealed)
    const body = this.body(content.kind === "inline" ? content.bytes : rangesIn(content), { md5, checksum })
    const expiresAtSeconds = this.expiryOf(version)
    const what = { bucket, key, ...detailsOf(version), expiresAtSeconds, conditions: {}, body, signal: this.signal }
    return this.orReason(body, this.services.objects.put(what))
  }

  /** The expiry of the new version. One that is over stays over: the new store removes the version as the former one would have. */
  private expiryOf({ expiresAtSeconds }: ReadyVersion): number | undefined {
    const nowSeconds = Math.ceil(this.seams.clock.wallMs() / 1_000)
    return expiresAtSeconds && Math.max(expiresAtSeconds, nowSeconds + EXPIRED_AFTER_SECONDS)
  }

  /** An encrypted object, as it is. */
  private async putSealed(
    bucket: Bucket,
    key: ObjectKey,
    version: ReadyVersion,
    content: Extract<PlannedContent, { kind: "inline" | "single" }>,
    sealed: SealedSource,
  ): Promise<string | undefined> {
    const { details, lock, storageClass, md5, checksum, sizeBytes, largeObject } = version
    const isWhole = checksum?.value !== undefined
    const request = {
      bucket,
      key,
      details,
      lock,
      storageClass,
      sealed,
      sizeBytes,
      md5,
      largeObject,
      expiresAtSeconds: this.expiryOf(version),
      signal: this.signal,
      checksum: {
        checksumAlgorithm: isWhole ? checksum.algorithm : undefined,
        checksumType: isWhole ? checksum.type : undefined,
        value: isWhole ? checksum.value : undefined,
      },
    }
    const { sealedImport } = this.services
    if (content.kind === "inline") return this.orUnreadable(sealedImport.put({ ...request, content: content.bytes }))
    const body = this.body([wholeOf(content.body)], NOTHING_PROMISED)
    return this.orUnreadable(sealedImport.put({ ...request, content: sealedBodyOf(content.body, body) }), body)
  }

  /** The parts of an encrypted object, as they are. */
  private async putSealedParts(
    bucket: Bucket,
    key: ObjectKey,
    version: ReadyVersion,
    parts: readonly PlannedPart[],
    sealed: SealedSource,
  ): Promise<string | undefined> {
    const { sealedImport, multipart } = this.services
    const { details, lock, storageClass, checksum } = version
    // The checksum of bytes that nobody can decrypt here cannot be computed.
    const declared = parts.every(part => part.checksum !== undefined) ? checksum : undefined
    const upload = { bucket, key, details, lock, storageClass, sealed }
    const of = declared && { algorithm: declared.algorithm, type: declared.type }
    const begun = await this.orUnreadable(sealedImport.createUpload({ ...upload, checksum: of }))
    if (typeof begun === "string") return begun
    const target = { bucket, key, ...begun }
    const completed: CompletedPart[] = []
    for (const { partNumber, body: from, md5, checksum: value } of parts) {
      const what = { partNumber, signal: this.signal }
      const body = this.body([wholeOf(from)], from.extent.isSealed ? NOTHING_PROMISED : { md5, checksum: undefined })
      const part = { ...upload, ...begun, ...what, body: sealedBodyOf(from, body), md5, checksumValue: of && value }
      // At rest, bytes from before may not be encrypted: they are now.
      const put = from.extent.isSealed ? sealedImport.putPart(part) : multipart.putPart({ ...target, ...what, body })
      const stored = await this.orUnreadable(put, body)
      if (typeof stored === "string") {
        await multipart.abort(target)
        return `part ${partNumber}: ${stored}`
      }
      completed.push({ partNumber, etag: stored.etag, checksum: undefined })
    }
    return this.complete(target, completed, version)
  }

  /** The result, or why the object cannot be written. */
  private async orUnreadable<Result>(put: Promise<Result>, body?: RescuedBody): Promise<Result | string> {
    try {
      return await put
    } catch (error) {
      if (isFailure(error, "keysUnavailable", "corruptSeal", "badDigest", "incompleteBody"))
        return asFailure(error).message
      if (body === undefined) throw error
      return body.reasonOf(error)
    }
  }

  private body(from: ConstructorParameters<typeof RescuedBody>[1], promised: Promised): RescuedBody {
    return new RescuedBody(this.shards, from, promised, this.onBytes, this.signal)
  }

  private async orReason(body: RescuedBody, put: Promise<unknown>): Promise<string | undefined> {
    try {
      await put
      return undefined
    } catch (error) {
      return body.reasonOf(error)
    }
  }

  /** Writes the same parts, so that the ETag is the same. */
  private putMultipart(
    bucket: Bucket,
    key: ObjectKey,
    version: ReadyVersion,
    parts: readonly PlannedPart[],
  ): Promise<string | undefined> {
    const { checksum } = version
    const declared = checksum && { algorithm: checksum.algorithm, type: checksum.type }
    const promised = parts.map(({ partNumber, body, md5, checksum: value }) => {
      const of = declared && { algorithm: declared.algorithm, value }
      return { partNumber, body: this.body([wholeOf(body)], { md5, checksum: of }) }
    })
    return this.putParts({ bucket, key, ...detailsOf(version), checksum: declared }, promised, version)
  }

  /** Ranges become parts of some megabytes, of an object that can grow again. */
  private putRanges(
    bucket: Bucket,
    key: ObjectKey,
    version: ReadyVersion,
    ranges: readonly BodyRange[],
  ): Promise<string | undefined> {
    const parts = grouped(ranges, Math.max(RESCUED_PART_BYTES, Math.ceil(version.sizeBytes / (PARTS_MAX / 2))))
    const numbered = parts.map((part, i) => ({ partNumber: i + 1, body: this.body(part, NOTHING_PROMISED) }))
    return this.putParts({ bucket, key, ...detailsOf(version), checksum: undefined }, numbered, version)
  }

  private async putParts(
    upload: CreateMultipartRequest,
    parts: readonly { readonly partNumber: number; readonly body: RescuedBody }[],
    version: ReadyVersion,
  ): Promise<string | undefined> {
    const { multipart } = this.services
    const { bucket, key } = upload
    const { multipartId } = await multipart.create(upload)
    const target = { bucket, key, multipartId }
    const completed: CompletedPart[] = []
    for (const { partNumber, body } of parts) {
      const put = multipart.putPart({ ...target, partNumber, body, signal: this.signal })
      const stored = put.then(({ etag }) => completed.push({ partNumber, etag, checksum: undefined }))
      const reason = await this.orReason(body, stored)
      if (reason !== undefined) {
        await multipart.abort(target)
        return `part ${partNumber}: ${reason}`
      }
    }
    return this.complete(target, completed, version)
  }

  private async complete(
    target: { readonly bucket: Bucket; readonly key: ObjectKey; readonly multipartId: MultipartId },
    parts: readonly CompletedPart[],
    version: ReadyVersion,
  ): Promise<string | undefined> {
    const { multipart } = this.services
    const expiresAtSeconds = this.expiryOf(version)
    const nothing = { conditions: {}, sizeBytes: undefined, checksum: undefined, checksumType: undefined }
    try {
      await multipart.complete({ ...target, parts, ...nothing, expiresAtSeconds, signal: this.signal })
      return undefined
    } catch (error) {
      if (!isFailure(error, "entityTooSmall", "invalidPart", "retentionIsOver")) throw error
      await multipart.abort(target)
      if (isFailure(error, "retentionIsOver")) throw error
      return asFailure(error).message
    }
  }

  async finish(): Promise<void> {
    for (const { bucket, lock } of this.buckets.values())
      if (lock?.defaultRetention !== undefined) await this.services.buckets.setLock(bucket, lock.defaultRetention)
    for (const { identity } of this.store.devices) await removeRescueMark(this.seams.disk, identity.path)
  }

  async close(): Promise<void> {
    this.background.abort()
    await this.behind
    await this.running.stop()
    for (const device of this.store.devices) await device.release()
  }
}

const NOTHING_PROMISED: Promised = { md5: undefined, checksum: undefined }

function sealedBodyOf({ extent }: WholeBody, body: RescuedBody) {
  const { lengthBytes, blockBytes, uploadId, sealedAs = uploadId } = extent
  return { lengthBytes, blockBytes, sealedAs, open: () => body.open() }
}

type ListedVersion = Exclude<VersionsPage["entries"][number], { kind: "prefix" }>

/** Returns true if an entry is the version, as far as its bytes tell. */
function isSame(entry: ListedVersion, version: ReadyVersion): boolean {
  const { content, reportEntry } = version
  const { etag } = reportEntry
  if (entry.kind === "marker" || content.kind === "marker") return entry.kind === content.kind
  return entry.object.sizeBytes === shownBytesOf(version) && (etag === undefined || entry.object.etag === etag)
}

const shownBytesOf = ({ sizeBytes, largeObject }: ReadyVersion): number => largeObject?.sizeBytes ?? sizeBytes

const detailsOf = ({ details, lock, storageClass, largeObject }: ReadyVersion) => ({
  attributes: { headers: headersOf(details), userMetadata: details.userMetadata },
  tags: details.tags,
  acl: details.acl,
  lock,
  storageClass,
  largeObject,
})

/** Ignores the error if an earlier run has created it already. */
async function unlessThere(made: Promise<unknown>): Promise<void> {
  try {
    await made
  } catch (error) {
    if (!isFailure(error, "accountExists", "accessKeyExists", "bucketOwnedByYou")) throw error
  }
}
