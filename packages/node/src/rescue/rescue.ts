/**
 * Rescue: recovers the contents of a store that cannot be opened into a new store.
 *
 * It reads all needle headers in the volumes of all folders, then the newest complete snapshot of the metadata from its
 * own shards, and then writes key by key: the versions of the snapshot, oldest first, and after them what only needles
 * attest. It never writes to the sources.
 *
 * Limits    RESCUE_LIMITS: a source with too many needles is read once for each part of its keys.
 */
import { MasterKeys, openAccessKeySecret } from "@hayloft/access/index.js"
import { noCipher } from "@hayloft/base/encryption/device-cipher.js"
import { isFailure } from "@hayloft/base/failures.js"
import {
  textOfObjectKey,
  type AccountId,
  type BucketId,
  type BucketName,
  type KmsKeyId,
  type ObjectKey,
  type RowKey,
  type UploadId,
} from "@hayloft/base/ids.js"
import { PACKED_PART } from "@hayloft/base/limits.js"
import { lockedNamesOf, requireLockedNames } from "@hayloft/base/locked-names.js"
import { plural } from "@hayloft/base/text/quantity-text.js"
import type { ServeConfig } from "../config/index.js"
import { installedFeatures, rescuedSums, type RowsToRescue } from "@hayloft/features/index.js"
import { BUCKET_SECRET } from "@hayloft/engine/format/objects/bucket-key.js"
import type { KmsKeyRecord } from "@hayloft/engine/format/accounts/kms-records.js"
import { isUnnamed, type NeedleOwner } from "@hayloft/engine/format/needles/needle.js"
import type { RecoveryHeader } from "@hayloft/engine/format/needles/recovery-header.js"
import { objectRowKey, objectRowKeyOf } from "@hayloft/engine/format/row-key.js"
import {
  lockOfRestored,
  packFoundDetails,
  referencesRowKey,
  SYSTEM_BUCKET_ID,
  type SealedSource,
} from "@hayloft/objects/index.js"
import type { Disk } from "@hayloft/base/seams/disk/contract.js"
import { salvageNeedles } from "@hayloft/engine/volume/index.js"
import type { Extent } from "@hayloft/engine/format/needles/extent.js"
import { bodyOfUpload } from "./found-body.js"
import { knownKeyOf, type KnownKey, type Referenced } from "./key-rows-core.js"
import { NeedleCatalog, type CatalogedKey } from "./needle-catalog.js"
import { planKey } from "./plan-core.js"
import {
  bodiesOf,
  type CatalogedBody,
  type KeyPlan,
  type Lost,
  type PlannedContent,
  type PlannedVersion,
} from "./plan.js"
import type { ListSums, RescueEntry, RescueList, RescueSummary } from "./report.js"
import { RescueBuckets } from "./rescue-buckets.js"
import { addClasses, addFeatures } from "./rescue-limits.js"
import { addNamedKeys } from "./rescue-keys.js"
import { RescuePacks } from "./rescue-packs.js"
import { SnapshotFinder, type Snapshot } from "./snapshot.js"
import { SourceKeys } from "./source-keys.js"
import type { SourceShards } from "./source-shards.js"
import type { Sources } from "./sources.js"
import type { BucketPlan, ReadyVersion, RescueTarget } from "./target.js"

const RESCUE_LIMITS = {
  /**
   * Needles and tombstones kept in memory: up to about 1 GiB if each is an upload of its own. A source with more is
   * read in several passes, each for a part of the object keys.
   */
  needlesMax: 2_000_000,
  /** Object keys that are written concurrently. */
  concurrentKeysMax: 16,
} as const

/** The request for a rescue. */
export interface RescueRequest {
  readonly from: readonly string[]
  /** The configuration of the new store; for a dry run without a target, its data folders are empty. */
  readonly config: ServeConfig
  readonly isDryRun: boolean
  /** Buckets with object lock that the operator has named. */
  readonly lockedBuckets: readonly string[]
  readonly onEntry: (entry: RescueEntry) => Promise<void>
  /** Called with the number of further bytes read. */
  readonly onBytes: (count: number) => void
}

export interface RescueSettings {
  readonly isDryRun: boolean
  readonly lockedBuckets: readonly string[]
  /** The wall clock: unknown retentions are counted from it. */
  readonly nowMs: () => number
  /** Default: RESCUE_LIMITS.needlesMax. */
  readonly needlesMax?: number
  /** Called for each entry of the report. */
  readonly onEntry: (entry: RescueEntry) => Promise<void>
}

const COVERED = "overwritten since by an upload that is only known from its needles"

/** A part of all object keys: those whose hash modulo `of` is `part`. */
interface Part {
  readonly part: number
  readonly of: number
}

const EVERYTHING: Part = { part: 0, of: 1 }

/** The outcome for a version. */
interface EntryOutcome {
  readonly list: RescueList
  readonly isWritten: boolean
  readonly notes: readonly string[]
  readonly isMarker: boolean
}

export class Rescue {
  private readonly sums: Record<RescueList, ListSums> = {
    certain: { objects: 0, bytes: 0 },
    probable: { objects: 0, bytes: 0 },
    incomplete: { objects: 0, bytes: 0 },
  }
  private readonly buckets: RescueBuckets
  private readonly packs = new RescuePacks()
  private readonly keys: SourceKeys
  private readonly notes: string[]
  /** In the order of their names. */
  private lockedNames: readonly BucketName[] = []
  private snapshot: Snapshot | undefined
  /** The secrets of all buckets, from needles. */
  private secretsInNeedles: NeedleCatalog["sealedSecrets"] | undefined
  /** The numbers of rows that features have brought, by the names that they give them. */
  private readonly counts = new Map<string, number>()
  /** The rows of objects whose bytes others have. */
  private referencedRows: ReadonlySet<RowKey> | undefined
  private superseded = 0
  private deletedSince = 0
  private needles = 0
  private damages = 0
  private passes = 0

  constructor(
    private readonly disk: Disk,
    private readonly sources: Sources,
    private readonly shards: SourceShards,
    private readonly target: RescueTarget,
    private readonly settings: RescueSettings,
    private readonly signal: AbortSignal,
  ) {
    this.notes = [...sources.notes]
    this.keys = new SourceKeys(sources.record, sources.masterKeys)
    this.buckets = new RescueBuckets(
      target,
      owner => this.ownerOf(owner),
      id => this.openableSecretOf(id),
      entry => settings.onEntry(entry),
    )
  }

  async run(): Promise<RescueSummary> {
    const needlesMax = this.settings.needlesMax ?? RESCUE_LIMITS.needlesMax
    const all = await this.catalog(() => true, needlesMax)
    const ofPacks = all ?? (await this.catalog(() => true, Infinity, PACKED_PART))
    const ofSystem = all ?? (await this.catalog(({ bucketId }) => bucketId === SYSTEM_BUCKET_ID, Infinity))
    this.secretsInNeedles = ofSystem?.sealedSecrets
    const { storeId, record, cipher } = this.sources
    if (ofSystem) {
      const finder = new SnapshotFinder(ofSystem, this.shards, record?.blockBytes, storeId, cipher)
      this.snapshot = await finder.find(this.signal)
    }
    await this.readPacks(ofPacks)
    await this.checkLocked(all)
    await addClasses(record, this.target, entry => this.settings.onEntry(entry))
    await this.addFacts()
    if (all) await this.pass(all, EVERYTHING)
    const of = all ? 0 : Math.ceil(this.needles / needlesMax) + 1
    for (let part = 0; part < of; part += 1) {
      const isWanted = (owner: NeedleOwner) => isOf(owner, { part, of }) || this.isReferenced(owner)
      const catalog = await this.catalog(isWanted, Infinity)
      if (catalog) await this.pass(catalog, { part, of })
    }
    this.signal.throwIfAborted()
    await this.addRows()
    await this.addLimits()
    await this.target.finish()
    return this.summary()
  }

  private async readPacks(catalog: NeedleCatalog | undefined): Promise<void> {
    if (catalog === undefined) return
    const segments = [...(this.snapshot?.referenced.values() ?? [])].flat()
    const named = new Set(segments.flatMap(({ parts }) => parts.map(({ extent }) => extent.uploadId)))
    await this.packs.add(catalog, {
      bodyOf: (of, uploadId) => this.bodyOf(of, uploadId, undefined),
      read: body => this.shards.read(body, this.signal, "reader"),
      named,
      decidedBelow: this.snapshot?.isComplete ? this.snapshot.header.decidedBelow : undefined,
    })
    if (this.packs.left > 0)
      this.notes.push(`${plural(this.packs.left, "pack")} of small objects were not read: there is no memory for more`)
  }

  /**
   * Throws `invalidArgument` before anything of these buckets is written, unless the operator has named those with object
   * lock: what the rescue cannot read, and locks that are newer than the snapshot, are not taken over.
   */
  private async checkLocked(catalog: NeedleCatalog | undefined): Promise<void> {
    const { lockedBuckets = new Set<BucketId>(), bucketNames = new Map<BucketId, BucketName>() } = catalog ?? {}
    const found = this.buckets.lockedNames(this.snapshot?.facts, lockedBuckets, bucketNames)
    this.lockedNames = [...new Set([...this.lockedNames, ...found])].sort()
    if (!this.settings.isDryRun) {
      const change =
        "the store is rescued into a new one, without what cannot be read and without newer changes of locks"
      requireLockedNames(change, lockedNamesOf(this.lockedNames), this.settings.lockedBuckets)
    }
    await this.buckets.attestLocks(lockedBuckets)
  }

  /** Reads all volumes; undefined if there are too many needles to keep. */
  private async catalog(
    wants: (owner: NeedleOwner) => boolean,
    needlesMax: number,
    /** Only needles with this part number. */
    part?: number,
  ): Promise<NeedleCatalog | undefined> {
    const catalog = new NeedleCatalog(needlesMax, wants)
    this.needles = 0
    this.damages = 0
    for (const [folder, path] of this.sources.volumes.entries()) {
      for await (const item of salvageNeedles(this.disk, path, this.sources.cipher)) {
        this.signal.throwIfAborted()
        if (item.kind === "damage") {
          this.damages += 1
          continue
        }
        if (isUnnamed(item.header)) throw noCipher(`the volumes in ${path}`)
        if (part !== undefined && (item.header.kind === "payload" || item.header.id.part !== part)) continue
        if (item.header.kind !== "payload") this.needles += 1
        if (!catalog.add(folder, item.header, item.place)) return undefined
      }
    }
    return catalog
  }

  private ownerOf(owner: AccountId): AccountId {
    const isRoot = owner === this.sources.secrets?.root.accountId
    return !isRoot && this.snapshot?.facts.accounts.has(owner) ? owner : this.target.rootAccount
  }

  private get namedList(): RescueList {
    return this.snapshot?.isComplete ? "certain" : "probable"
  }

  /** Adds accounts, keys and buckets of the snapshot. */
  private async addFacts(): Promise<void> {
    if (!this.snapshot) return this.addNamedKeys()
    const { accounts, accessKeys } = this.snapshot.facts
    const list = this.namedList
    const root = this.sources.secrets?.root.accountId
    for (const { id, displayName, email } of accounts.values()) {
      if (id === root) continue
      await this.target.addAccount({ id, displayName, email })
      await this.settings.onEntry({ list, kind: "account", name: id, isWritten: true, notes: [] })
    }
    for (const [id, { accountId, sealedSecret, isActive, userName, service }] of accessKeys) {
      // A key that was disabled or limited must not return as a key with full permissions.
      const isPlain = isActive && userName === undefined && service === undefined
      const secret = isPlain ? this.open(id, sealedSecret) : undefined
      if (secret !== undefined) await this.target.addAccessKey({ id, accountId: this.ownerOf(accountId), secret })
      const isWritten = secret !== undefined
      const reason = isPlain
        ? "its secret cannot be opened without the master key"
        : "it is not a plain key of an account"
      const notes = isWritten ? [] : [reason]
      await this.settings.onEntry({
        list: isWritten ? list : "incomplete",
        kind: "accessKey",
        name: id,
        isWritten,
        notes,
      })
    }
    await this.addNamedKeys()
    await this.buckets.addKnown(this.snapshot.facts, list)
  }

  /** Adds the rows of features. */
  private async addRows(): Promise<void> {
    const { snapshot, namedList } = this
    if (!snapshot) return
    const bucketOf = async (id: BucketId): Promise<BucketName | undefined> => {
      // Rows may outlive their bucket for a moment.
      if (snapshot.isComplete && this.buckets.nameOf(id) === undefined) return undefined
      const plan = this.buckets.planOf(id, undefined)
      await this.buckets.need(id, plan)
      return plan.name
    }
    const tell: RowsToRescue["tell"] = ({ isLost = false, ...entry }) =>
      this.settings.onEntry({ ...entry, list: isLost ? "incomplete" : namedList, isWritten: !isLost })
    const accountOf = (account: AccountId) => this.ownerOf(account)
    for (const { backedUp } of installedFeatures()) {
      if (backedUp === undefined) continue
      const rows = snapshot.rowsOf(backedUp, this.signal)
      const counts = await this.target.addRows(backedUp, { rows, bucketOf, accountOf, tell })
      for (const [name, count] of Object.entries(counts)) this.counts.set(name, count)
    }
  }

  private async addLimits(): Promise<void> {
    if (!this.snapshot) return
    const { facts } = this.snapshot
    const named = { nameOf: (id: BucketId) => this.buckets.nameOf(id), accountOf: (id: AccountId) => this.ownerOf(id) }
    const onEntry = (entry: RescueEntry) => this.settings.onEntry(entry)
    const versioningOf = (id: BucketId) => this.buckets.versioningOf(id)
    await addFeatures({ facts, ...named, versioningOf, list: this.namedList }, this.target, onEntry)
  }

  private addNamedKeys(): Promise<void> {
    const rows = this.snapshot?.facts.namedKeys ?? new Map<KmsKeyId, KmsKeyRecord>()
    const keys = {
      source: this.keys,
      rows,
      ownerOf: (owner: AccountId) => this.ownerOf(owner),
      numberOf: (owner: AccountId) => this.snapshot?.facts.accounts.get(owner)?.number,
    }
    return addNamedKeys(keys, this.target, this.namedList, entry => this.settings.onEntry(entry))
  }

  private open(...[id, sealed]: [Parameters<typeof openAccessKeySecret>[1], Uint8Array]): string | undefined {
    for (const key of this.sources.masterKeys) {
      try {
        return openAccessKeySecret(new MasterKeys(key), id, sealed)
      } catch (error) {
        if (!isFailure(error, "wrongMasterKey")) throw error
      }
    }
    return undefined
  }

  private async pass(catalog: NeedleCatalog, part: Part): Promise<void> {
    this.passes += 1
    if (part !== EVERYTHING) await this.checkLocked(catalog)
    const tasks = new BoundedTasks(RESCUE_LIMITS.concurrentKeysMax)
    const visited = new Set<string>()
    const visit = (owner: NeedleOwner) => visited.add(`${owner.bucketId}/${owner.key}`)
    const isVisited = (owner: NeedleOwner) => visited.has(`${owner.bucketId}/${owner.key}`)
    for await (const bytes of this.snapshot?.unreferenced(this.signal) ?? []) catalog.markUnreferenced(bytes)
    try {
      for await (const { bucketId, key, row, records } of this.snapshot?.keys(this.signal) ?? []) {
        if (!isOf({ bucketId, key }, part)) continue
        const cataloged = catalog.keyOf({ bucketId, key })
        if (cataloged || this.packs.of({ bucketId, key }).length > 0) visit({ bucketId, key })
        await this.takeKey(
          catalog,
          { bucketId, key, uploads: cataloged?.uploads ?? [] },
          knownKeyOf(row, records, this.referenced),
          tasks,
        )
      }
      for (const cataloged of catalog.keys()) {
        if (cataloged.bucketId === SYSTEM_BUCKET_ID || isVisited(cataloged) || !isOf(cataloged, part)) continue
        visit(cataloged)
        await this.takeKey(catalog, cataloged, undefined, tasks)
      }
      for (const owner of this.packs.owners())
        if (!isVisited(owner) && isOf(owner, part))
          await this.takeKey(catalog, { ...owner, uploads: [] }, undefined, tasks)
    } finally {
      await tasks.end()
    }
  }

  private async takeKey(
    catalog: NeedleCatalog,
    { bucketId, key, uploads }: CatalogedKey,
    known: KnownKey | undefined,
    tasks: BoundedTasks,
  ): Promise<void> {
    this.signal.throwIfAborted()
    const plan = planKey({
      // An upload whose shards were all removed, or were to be, was deleted, overwritten or aborted.
      uploads: uploads.filter(upload => upload.part !== PACKED_PART && catalog.isKept(upload)),
      packed: this.packs.of({ bucketId, key }),
      known,
      isSnapshotComplete: this.snapshot?.isComplete ?? false,
      isAllHere: this.sources.isWhole && this.damages === 0,
      isShared: this.sources.isShared,
      decidedBelow: this.snapshot?.header.decidedBelow,
      versioning: this.buckets.versioningOf(bucketId),
      bodyOf: (uploadId, row) => this.bodyOf(catalog, uploadId, row),
    })
    this.superseded += plan.superseded
    this.deletedSince += plan.deleted
    if (plan.versions.length + plan.incomplete.length + plan.leftOut.length === 0) return
    const [packed] = this.packs.of({ bucketId, key })
    const bucket = this.buckets.planOf(bucketId, catalog.bucketNames.get(bucketId) ?? packed?.header.bucket)
    if (plan.versions.length > 0) await this.buckets.need(bucketId, bucket)
    const versions: ReadyVersion[] = []
    for (const version of plan.versions) versions.push(await this.ready(catalog, bucketId, version, bucket.lock))
    const task = () => this.writeKey(bucket, key, plan, versions)
    await (this.target.isAlone(bucket, versions) ? tasks.alone(task) : tasks.begin(task))
  }

  /** Returns true if objects of other keys have bytes of this one. */
  private isReferenced({ bucketId, key }: NeedleOwner): boolean {
    this.referencedRows ??= new Set([...(this.snapshot?.referenced.keys() ?? [])].map(objectRowKeyOf))
    return this.referencedRows.has(objectRowKey(bucketId, key))
  }

  /** Segments of other keys, whose needles each pass has. */
  private readonly referenced: Referenced = (bucketId, source) =>
    this.snapshot?.referenced.get(referencesRowKey(bucketId, source)) ?? []

  private bodyOf(catalog: NeedleCatalog, uploadId: UploadId, row: Extent | undefined): CatalogedBody {
    const upload = catalog.upload(uploadId) ?? { uploadId, part: 0, born: undefined, latest: -1 }
    return bodyOfUpload(upload, catalog.shardsOf(upload), row, this.sources.record?.blockBytes)
  }

  /** Adds the details of the recovery header if they are not known otherwise. */
  private async ready(
    catalog: NeedleCatalog,
    bucketId: BucketId,
    version: PlannedVersion,
    ofBucket: BucketPlan["lock"],
  ): Promise<ReadyVersion> {
    const { details, noteOf, sealing } = version
    const needsNote = details === undefined || sealing === "noted" || isOfBucketKey(sealing)
    const sealedUpload = sealing === "noted" ? sealedUploadIn(version.content) : undefined
    const of = sealedUpload ?? noteOf ?? uploadsIn(version.content)[0]
    const note = needsNote && of !== undefined ? await this.shards.recoveryHeader(catalog, of) : undefined
    const opened = this.openSealed(bucketId, sealing, note?.sealed)
    const sealed =
      typeof opened === "string" ? { sealed: undefined, problem: opened } : { sealed: opened, problem: undefined }
    const storageClass = version.storageClass ?? note?.storageClass ?? "STANDARD"
    // The row of a version tells exactly which lock that had.
    if (details && noteOf === undefined) return { ...version, details, storageClass, ...sealed }
    const clocks = { clockMs: 0, nowMs: this.settings.nowMs() }
    const lock = lockOfRestored(ofBucket, version.lock ?? note?.lock, clocks)
    if (details) return { ...version, details, lock, storageClass, ...sealed }
    const headers = note?.contentType ? { contentType: note.contentType } : {}
    const noted = packFoundDetails({ headers, userMetadata: note?.userMetadata ?? [], tags: [] })
    return { ...version, details: noted, lock, storageClass, ...sealed }
  }

  /** How a version is encrypted, with the keys of its bucket; or why those cannot be had. */
  private openSealed(
    bucketId: BucketId,
    planned: PlannedVersion["sealing"],
    noted: RecoveryHeader["sealed"],
  ): SealedSource | string | undefined {
    const sealing = planned === "noted" ? noted?.sealing : planned
    if (sealing === undefined) return planned && "it is encrypted, and nothing is left that says how"
    const facts = this.snapshot?.facts
    const secret = this.secretOf(bucketId)
    if (typeof secret === "string") return secret
    const { key } = sealing
    const dataKey = key.mode === "kms" && typeof key.dataKey === "number" ? key.dataKey : undefined
    const ofBucket = dataKey === undefined ? undefined : facts?.bucketKeyOf(bucketId, dataKey)
    const bucketKey = ofBucket?.kind === "dataKey" ? ofBucket.ciphertext : noted?.bucketKey
    return { sealing, secret, bucketKey }
  }

  /** The secret of a bucket, or why it cannot be had. */
  private secretOf(bucketId: BucketId): Uint8Array | string {
    const row = this.snapshot?.facts.bucketKeyOf(bucketId, BUCKET_SECRET)
    if (row !== undefined && row.kind !== "secret") return "its bucket was erased"
    const inNeedles = this.secretsInNeedles?.get(bucketId)
    const found = [...(row ? [row] : []), ...(inNeedles ? [inNeedles] : [])].map(each => this.keys.open(bucketId, each))
    return (
      found.find(each => typeof each !== "string") ??
      found[0] ??
      "it is encrypted, and the secret of its bucket is lost"
    )
  }

  private openableSecretOf(bucketId: BucketId): Uint8Array | undefined {
    const secret = this.secretOf(bucketId)
    return typeof secret === "string" ? undefined : secret
  }

  private async writeKey(
    bucket: BucketPlan,
    key: ObjectKey,
    plan: KeyPlan,
    versions: readonly ReadyVersion[],
  ): Promise<void> {
    const writable = versions.filter(({ problem }) => problem === undefined)
    const outcomes = writable.length === 0 ? [] : await this.target.write(bucket, key, writable)
    const problems = versions.map(version => version.problem ?? outcomes[writable.indexOf(version)])
    const isThere = (i: number): boolean => problems[i] === undefined
    for (const [i, version] of versions.entries()) {
      const problem = problems[i]
      const isCovered = version.isNull && versions.some((later, at) => at > i && later.isNull && isThere(at))
      const notes = problem === undefined ? (isCovered ? [COVERED] : []) : [problem]
      const list = problem === undefined ? version.certainty : "incomplete"
      const isWritten = problem === undefined && !isCovered
      const isMarker = version.content.kind === "marker"
      await this.tell(bucket, key, version, { list, isWritten, notes, isMarker })
    }
    const outcome = { isWritten: false, notes: [], isMarker: false }
    for (const lost of plan.incomplete) await this.tell(bucket, key, lost, { ...outcome, list: "incomplete" })
    for (const left of plan.leftOut) await this.tell(bucket, key, left, { ...outcome, list: "probable" })
  }

  private async tell(
    bucket: BucketPlan,
    key: ObjectKey,
    { sizeBytes, reportEntry }: Lost,
    { list, isWritten, notes, isMarker }: EntryOutcome,
  ): Promise<void> {
    if (!isMarker) {
      this.sums[list].objects += 1
      this.sums[list].bytes += sizeBytes ?? 0
    }
    await this.settings.onEntry({
      list,
      kind: isMarker ? "deleteMarker" : "object",
      bucket: bucket.name,
      key: textOfObjectKey(key),
      ...(sizeBytes === undefined || isMarker ? {} : { sizeBytes }),
      ...reportEntry,
      isWritten,
      notes: [...reportEntry.notes, ...notes],
    })
  }

  private summary(): RescueSummary {
    const { snapshot, deletedSince, superseded, needles, damages, passes, notes } = this
    const { isDryRun } = this.settings
    const of = snapshot && {
      startedAt: new Date(snapshot.header.startedMs).toISOString(),
      isComplete: snapshot.isComplete,
      chunks: snapshot.chunks,
      records: snapshot.records,
    }
    const locked = this.lockedNames.length === 0 ? {} : { lockedBuckets: this.lockedNames }
    const counts = { ...rescuedSums(this.counts), deletedSince, superseded, needles, damages, passes }
    return { ...this.sums, ...counts, snapshot: of, ...locked, isDryRun, notes }
  }
}

const isOfBucketKey = (sealing: PlannedVersion["sealing"]): boolean =>
  typeof sealing === "object" && sealing.key.mode === "kms" && typeof sealing.key.dataKey === "number"

/** Some parts may not be encrypted. */
function sealedUploadIn(content: PlannedContent): UploadId | undefined {
  if (content.kind === "single") return content.body.extent.uploadId
  if (content.kind !== "multipart") return undefined
  return content.parts.find(({ body }) => body.extent.isSealed)?.body.extent.uploadId
}

const uploadsIn = (content: PlannedContent): readonly UploadId[] =>
  bodiesOf(content).map(({ extent }) => extent.uploadId)

/** FNV-1a: spreads keys evenly, and identically in every pass. */
function isOf(
  { bucketId, key }: { readonly bucketId: BucketId; readonly key: ObjectKey },
  { part, of }: Part,
): boolean {
  if (of === 1) return true
  let hash = 0x811c_9dc5
  for (const character of `${bucketId}/${key}`) hash = Math.imul(hash ^ character.charCodeAt(0), 0x0100_0193)
  return (hash >>> 0) % of === part
}

/** Runs tasks concurrently up to a limit, and single tasks exclusively. */
class BoundedTasks {
  private readonly running = new Set<Promise<unknown>>()
  private failure: { readonly error: unknown } | undefined

  constructor(private readonly concurrentMax: number) {}

  /** Resolves when the task has begun. Throws the error of an earlier task. */
  async begin(task: () => Promise<void>): Promise<void> {
    while (this.running.size >= this.concurrentMax) await Promise.race(this.running)
    this.check()
    const running: Promise<unknown> = task()
      .catch((error: unknown) => (this.failure ??= { error }))
      .finally(() => this.running.delete(running))
    this.running.add(running)
  }

  /** Runs the task while no other runs; resolves when it has ended. */
  async alone(task: () => Promise<void>): Promise<void> {
    await this.end()
    await task()
  }

  /** Resolves when all have ended. Throws the error of a failed task. */
  async end(): Promise<void> {
    while (this.running.size > 0) await Promise.race(this.running)
    this.check()
  }

  private check(): void {
    if (this.failure) throw this.failure.error
  }
}
