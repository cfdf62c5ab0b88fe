/** Bucket service: runs the commands on buckets. See `contract.ts` for the promises. */
import { fail, isFailure, unlessFails } from "@hayloft/base/failures.js"
import type { AccountId, BucketId, BucketName } from "@hayloft/base/ids.js"
import { parseBucketName, rowKeyOf } from "@hayloft/base/ids.js"
import type { Policy } from "@hayloft/base/policy.js"
import { after, asPromise, type Soon } from "@hayloft/base/soon.js"
import { accountBucketRowKey, bucketRowKey, settingRowKey, suffixRange } from "@hayloft/engine/format/row-key.js"
import {
  decodeSetting,
  type BucketRecord,
  type Counters,
  type BucketSettingName,
  type SettingRecord,
} from "@hayloft/engine/format/records.js"
import { query, type Metadata, type RowView } from "@hayloft/engine/metadata/index.js"
import {
  closeBucket,
  createBucket,
  dropBucket,
  findBucket,
  openBucket,
  setBucketLock,
  setBucketPolicy,
  setSetting,
  setVersioning,
} from "../commands/bucket-commands-core.js"
import { removeKeysOf, removeKeysOfGoneBuckets } from "./bucket-key-removal.js"
import type { Bucket, BucketSize, Buckets, BucketUsage, CreateBucketRequest, DefaultRetention } from "../contract.js"
import { listUploads } from "../queries/listing-core.js"
import { abort } from "../ended-upload.js"
import { findContents } from "../commands/contents-core.js"
import { removeContentsOf, removeContentsOfGoneBuckets } from "./contents-removal.js"
import { bucketOf } from "../queries/object-info-core.js"
import { bucketContents, bucketParts } from "../door/parts.js"
import { ALL_BUCKETS, allBuckets, bucketOfRow, countersIn, readCounters } from "../commands/bucket-rows-core.js"

const ABORTS_PER_PAGE = 100
/** Each start of another process may reopen a bucket once while it is being removed. */
const CLOSINGS_MAX = 5
/** Attempts of one change of a setting: each one more than another request has disturbed. */
const SETTING_CHANGES_MAX = 5

export const bucketNamed = query("BucketNamed", findBucket)

export const readSetting = query("ReadSetting", (view, id: BucketId, name: BucketSettingName) => {
  const row = view.get("settings", settingRowKey(id, name))
  return row && decodeSetting(row.value)
})

export const bucketNames = query("BucketNames", (view, ids: readonly BucketId[]): readonly (BucketName | undefined)[] =>
  ids.map(id => {
    const row = view.get("buckets", bucketRowKey(id))
    return row && bucketOfRow(row).name
  }),
)

export const bucketRecords = query("BucketRecords", (view): readonly BucketRecord[] => allBuckets(view))

/** A bucket with its own policy. */
interface ChosenPolicy {
  readonly name: BucketName
  readonly policy: Policy
}

/** On an engine over SQL each row that is read by its key costs a round trip; all counters together cost one. */
const COUNTED_ONE_BY_ONE_MAX = 4

/** The counters of some of the buckets. */
function countersOf(view: RowView, buckets: readonly BucketRecord[]): (id: BucketId) => Counters {
  if (buckets.length <= COUNTED_ONE_BY_ONE_MAX) return id => readCounters(view, id)
  const all = new Map(view.range("counters", ALL_BUCKETS))
  return id => countersIn(all.get(bucketRowKey(id)))
}

export const chosenPolicies = query("ChosenPolicies", view => {
  const buckets = allBuckets(view)
  const chosen = buckets.filter(({ policy }) => policy !== undefined)
  const counters = countersOf(view, chosen)
  return chosen.flatMap(({ id, name, policy }) =>
    policy === undefined ? [] : [{ name, policy, bytes: counters(id).bytes }],
  )
})

/** A bucket with object lock and versions, and its own policy. */
export interface LockedBucket {
  readonly id: BucketId
  readonly name: BucketName
  readonly policy: Policy | undefined
}

/** In the order of their names. A bucket without a version has nothing to protect. */
export const lockedBuckets = query("LockedBuckets", (view): readonly LockedBucket[] => {
  const buckets = allBuckets(view)
  const locked = buckets.filter(({ lock }) => lock !== undefined)
  const counters = countersOf(view, locked)
  return locked
    .filter(({ id }) => counters(id).versions > 0)
    .map(({ id, name, policy }) => ({ id, name, policy }))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
})

export const bucketsWithSetting = query(
  "BucketsWithSetting",
  (view, name: BucketSettingName): readonly BucketRecord[] =>
    allBuckets(view).filter(({ settings }) => settings.includes(name)),
)

/** The largest buckets, and all others as one without a name. */
export const sizesOfBuckets = query("SizesOfBuckets", (view, max: number): readonly BucketSize[] => {
  const buckets = allBuckets(view)
  const counters = countersOf(view, buckets)
  const sizes = buckets
    .map(({ id, name: bucket }) => ({ id, bucket, objects: counters(id).objects, bytes: counters(id).bytes }))
    .sort((a, b) => b.bytes - a.bytes || b.objects - a.objects)
  return largestOf(sizes, max)
})

/** The first of them, and all others as one. */
export function largestOf(sizes: readonly BucketSize[], max: number): readonly BucketSize[] {
  if (sizes.length <= max) return sizes
  const rest = sizes.slice(max)
  const sum = (valueOf: (size: BucketSize) => number): number => rest.reduce((all, size) => all + valueOf(size), 0)
  return [
    ...sizes.slice(0, max),
    { id: undefined, bucket: undefined, objects: sum(({ objects }) => objects), bytes: sum(({ bytes }) => bytes) },
  ]
}

/** Deleted objects that features keep; undefined if a count is lost. */
function keptIn(view: RowView, bucket: BucketRecord): BucketUsage["kept"] {
  let [objects, bytes] = [0, 0]
  for (const part of bucketParts()) {
    if (part.keptIn === undefined) continue
    const kept = part.keptIn(view, bucket)
    if (kept === undefined) return undefined
    objects += kept.objects
    bytes += kept.bytes
  }
  return { objects, bytes }
}

export const usageOfBucket = query("UsageOfBucket", (view, id: BucketId): BucketUsage | undefined => {
  const row = view.get("buckets", bucketRowKey(id))
  if (row === undefined) return undefined
  const kept = keptIn(view, bucketOfRow(row))
  return { ...readCounters(view, id), ...(kept && { kept }) }
})

export const holdingsOfBucket = query("HoldingsOfBucket", (view, name: BucketName) => {
  const bucket = findBucket(view, name)
  return bucket && { bytes: readCounters(view, bucket.id).bytes, policy: bucket.policy }
})

export const uploadsOfBucket = query("UploadsOfBucket", listUploads)

interface BucketsRange {
  readonly owner: AccountId
  readonly prefix: string
  /** Exclusive; "": from the beginning. */
  readonly after: string
  readonly max: number
}

export const bucketsOfAccount = query(
  "BucketsOfAccount",
  (view: RowView, { owner, prefix, after, max }: BucketsRange) => {
    const range = suffixRange(accountBucketRowKey(owner, prefix))
    const start = after === "" ? range.start : rowKeyOf(accountBucketRowKey(owner, after) + "\x00")
    const records: BucketRecord[] = []
    const nameAt = accountBucketRowKey(owner, "").length
    for (const [key] of view.range("accountBuckets", {
      start: start > range.start ? start : range.start,
      end: range.end,
      expectedRows: max + 1,
    })) {
      if (records.length === max) return { records, next: records.at(-1)?.name }
      const record = findBucket(view, parseBucketName(key.slice(nameAt)))
      if (record) records.push(record)
    }
    return { records, next: undefined }
  },
)

/** The limit is for one bucket between two reconciliations. */
const SETTINGS_VERSIONS_MAX = 2 ** 32

/** Returns true if the bucket is there, with the settings that it had. */
export async function isBucketUnchanged(
  buckets: Pick<Buckets, "open">,
  { id, name, settingsVersion }: Bucket,
): Promise<boolean> {
  const now = await unlessFails(
    asPromise(() => buckets.open(name)),
    "noSuchBucket",
  )
  return now?.id === id && now.settingsVersion === settingsVersion
}

export class BucketService implements Buckets {
  /** Closed by a failed removal whose reopening failed too (a full disk, too much load). */
  private readonly leftClosed = new Set<BucketId>()
  private chosen: readonly ChosenPolicy[] = []
  /** Returns the same object while the record stays the same. */
  private readonly buckets = new WeakMap<BucketRecord, Bucket>()

  constructor(private readonly metadata: Metadata) {}

  async create(request: CreateBucketRequest): Promise<Bucket> {
    return bucketOf(await this.metadata.run(createBucket(request)))
  }

  open(name: BucketName): Soon<Bucket> {
    return this.opened(name, this.metadata.ask(bucketNamed(name)))
  }

  openConfirmed(name: BucketName): Soon<Bucket> {
    return this.opened(name, this.metadata.known(bucketNamed(name)))
  }

  confirm(): Promise<void> | undefined {
    return this.metadata.confirm()
  }

  private opened(name: BucketName, asked: Soon<BucketRecord | undefined>): Soon<Bucket> {
    return after(asked, record => {
      if (!record) throw fail("noSuchBucket", { bucket: name })
      const bucket = this.bucketOf(record)
      // If this fails, the next request tries again; this request does not depend on it.
      return this.leftClosed.has(record.id)
        ? this.reopen(record.id).then(
            () => bucket,
            () => bucket,
          )
        : bucket
    })
  }

  private bucketOf(record: BucketRecord): Bucket {
    const known = this.buckets.get(record)
    if (known !== undefined) return known
    // A rolled-back database counts again from an earlier version.
    const { reconciliations = 0 } = this.metadata.incarnations
    const settingsVersion = record.settingsVersion + reconciliations * SETTINGS_VERSIONS_MAX
    const bucket = { ...bucketOf(record), settingsVersion }
    this.buckets.set(record, bucket)
    return bucket
  }

  private async reopen(id: BucketId): Promise<void> {
    this.leftClosed.add(id)
    await this.metadata.run(openBucket(id))
    this.leftClosed.delete(id)
  }

  /** Closes the bucket (fails if it has versions), aborts its uploads, and drops it. Reopens it after a failure. */
  async remove(bucket: Bucket): Promise<void> {
    await this.metadata.run(closeBucket(bucket.id))
    try {
      await this.dropClosed(bucket)
      if (this.chosen.some(({ name }) => name === bucket.name)) await this.readPolicies()
    } catch (error) {
      if (!isFailure(error, "noSuchBucket")) await this.reopen(bucket.id).catch(() => undefined)
      throw error
    }
    // The bucket is gone. Keys and rows of features that are left then are removed by the next start.
    await removeKeysOf(this.metadata, bucket.id).catch(() => undefined)
    await removeContentsOf(this.metadata, bucket.id).catch(() => undefined)
  }

  /** Contents of features keep a bucket as objects do. Of a closed bucket the answer stays true. */
  private async requireNoContents({ id, name }: Bucket): Promise<void> {
    for (const { what, counted } of bucketContents()) {
      let search = await this.metadata.ask(findContents(id, counted))
      while (search.next !== undefined) search = await this.metadata.ask(findContents(id, counted, search.next))
      if (search.isFound) throw fail("bucketNotEmpty", { message: `The bucket ${name} is not empty: it has ${what}.` })
    }
  }

  /** Another process that starts meanwhile takes the bucket for one that a crash left closed, and reopens it. */
  private async dropClosed(bucket: Bucket): Promise<void> {
    for (let closings = 1; ; closings += 1) {
      await this.requireNoContents(bucket)
      await this.abortUploads(bucket)
      try {
        return await this.metadata.run(dropBucket(bucket.id))
      } catch (error) {
        if (!isFailure(error, "bucketNotEmpty") || closings === CLOSINGS_MAX) throw error
      }
      await this.metadata.run(closeBucket(bucket.id))
    }
  }

  private async abortUploads(bucket: Bucket): Promise<void> {
    const request = {
      bucket,
      prefix: "",
      delimiter: "",
      keyMarker: "",
      uploadIdMarker: undefined,
      max: ABORTS_PER_PAGE,
      withRenames: true,
    }
    for (;;) {
      const { entries } = await this.metadata.ask(uploadsOfBucket(request))
      if (entries.length === 0) return
      for (const entry of entries) {
        if (entry.kind !== "upload") continue
        const { key, multipartId } = entry.upload
        await abort(this.metadata, { bucketId: bucket.id, key, multipartId }).catch((error: unknown) => {
          if (!isFailure(error, "noSuchUpload")) throw error
        })
      }
    }
  }

  async list({
    owner,
    prefix = "",
    after = "",
    max,
  }: {
    owner: AccountId
    prefix?: string
    after?: string
    max: number
  }): Promise<{ buckets: readonly Bucket[]; next: string | undefined }> {
    const { records, next } = await this.metadata.ask(bucketsOfAccount({ owner, prefix, after, max }))
    return { buckets: records.map(bucketOf), next }
  }

  async setVersioning(bucket: Bucket, state: "enabled" | "suspended"): Promise<void> {
    await this.metadata.run(setVersioning(bucket.id, state))
  }

  async setLock(bucket: Bucket, defaultRetention: DefaultRetention | undefined): Promise<void> {
    await this.metadata.run(setBucketLock(bucket.id, defaultRetention))
  }

  setting({ id, settings }: Bucket, name: BucketSettingName): Soon<SettingRecord | undefined> {
    if (!settings.includes(name)) return undefined
    return this.metadata.known(readSetting(id, name))
  }

  async setSetting(bucket: Bucket, name: BucketSettingName, document: string | undefined): Promise<void> {
    await this.metadata.run(setSetting(bucket.id, name, document))
  }

  async changeSetting({ id }: Bucket, name: BucketSettingName, change: (former?: string) => string): Promise<void> {
    for (let attempts = 1; ; attempts += 1) {
      const former = await this.metadata.ask(readSetting(id, name))
      try {
        return await this.metadata.run(setSetting(id, name, change(former?.document), { document: former?.document }))
      } catch (error) {
        if (!isFailure(error, "conflict") || attempts === SETTING_CHANGES_MAX) throw error
      }
    }
  }

  /** Sets the policy of a bucket; undefined: the store's policy. Throws `noSuchBucket`. */
  async setPolicy(name: BucketName, policy: Policy | undefined): Promise<void> {
    const { id } = await this.open(name)
    try {
      await this.metadata.run(setBucketPolicy(id, policy))
    } finally {
      await this.readPolicies()
    }
  }

  /** Reads the policies that buckets have by now: another process may have set one. */
  async readPolicies(): Promise<void> {
    this.chosen = await this.metadata.ask(chosenPolicies())
  }

  /** Buckets with their own policy, as of the last acknowledged change of this process, or when they were last read. */
  policies(): readonly ChosenPolicy[] {
    return this.chosen
  }

  /** The same from the current rows, with the bytes of each bucket. */
  async policiesWithBytes(): Promise<readonly (ChosenPolicy & { readonly bytes: number })[]> {
    return this.metadata.ask(chosenPolicies())
  }

  /** In the order of the ids; undefined for a bucket that does not exist any more. */
  async namesOf(ids: readonly BucketId[]): Promise<readonly (BucketName | undefined)[]> {
    return this.metadata.ask(bucketNames(ids))
  }

  /** In no order. */
  async withSetting(name: BucketSettingName): Promise<readonly Bucket[]> {
    return (await this.metadata.ask(bucketsWithSetting(name))).map(record => this.bucketOf(record))
  }

  /** Buckets with object lock that hold versions, in the order of their names. */
  async locked(): Promise<readonly LockedBucket[]> {
    return this.metadata.ask(lockedBuckets())
  }

  /** The bucket's object bytes and its own policy. Throws `noSuchBucket`. */
  async holdings(name: BucketName): Promise<{ readonly bytes: number; readonly policy: Policy | undefined }> {
    const holdings = await this.metadata.ask(holdingsOfBucket(name))
    if (!holdings) throw fail("noSuchBucket", { bucket: name })
    return holdings
  }

  async usage(bucket: Bucket): Promise<BucketUsage> {
    const usage = await this.metadata.ask(usageOfBucket(bucket.id))
    if (!usage) throw fail("noSuchBucket", { bucket: bucket.name })
    return usage
  }

  /** Loads the policies, reopens buckets that a removal interrupted by a crash left closed, and completes the others. */
  async start(): Promise<void> {
    await this.readPolicies()
    const records = await this.metadata.ask(bucketRecords())
    for (const bucket of records) if (bucket.state === "closing") await this.metadata.run(openBucket(bucket.id))
    const present = new Set(records.map(({ id }) => id))
    await removeKeysOfGoneBuckets(this.metadata, present)
    await removeContentsOfGoneBuckets(this.metadata, present)
  }
}
