/** Buckets: the service that runs their commands. See `contract.ts` for the promises. */
import { fail, isFailure } from "../base/failures.js"
import type { AccountId, BucketId, BucketName } from "../base/ids.js"
import { parseBucketId, parseBucketName, rowKeyOf } from "../base/ids.js"
import type { Policy } from "../base/policy.js"
import { withRows } from "../base/rows-needed.js"
import { after, type Soon } from "../base/soon.js"
import { accountBucketRowKey, bucketRowKey, settingRowKey, suffixRange } from "../format/row-key.js"
import {
  decodeBucket,
  decodeSetting,
  type BucketRecord,
  type SettingName,
  type SettingRecord,
} from "../format/records.js"
import type { Tablet } from "../tablet/index.js"
import {
  createBucket,
  dropBucket,
  findBucket,
  setBucketPolicy,
  setBucketState,
  setSetting,
  setVersioning,
} from "./bucket-commands-core.js"
import type { Bucket, Buckets, BucketUsage, CreateBucketRequest } from "./contract.js"
import { listUploads } from "./listing-core.js"
import { abortUpload } from "./multipart-commands-core.js"
import { bucketOf } from "./object-info-core.js"
import { bucketOfRow, readCounters } from "./row-editor-core.js"

const ABORTS_PER_PAGE = 100
const ALL_BUCKETS = { start: bucketRowKey(parseBucketId(1)), end: rowKeyOf("\xff") }

export class BucketService implements Buckets {
  /** Closed by a removal that failed, and not opened again because that failed too (a full disk, too much load). */
  private readonly leftClosed = new Set<BucketId>()
  /** The same object for as long as the record is the same. */
  private readonly buckets = new WeakMap<BucketRecord, Bucket>()

  constructor(private readonly tablet: Tablet) {}

  async create(request: CreateBucketRequest): Promise<Bucket> {
    return bucketOf(await this.tablet.run(createBucket(request)))
  }

  open(name: BucketName): Soon<Bucket> {
    return after(
      withRows(() => findBucket(this.tablet.committed, name)),
      record => {
        if (!record) throw fail("noSuchBucket", { bucket: name })
        const bucket = this.bucketOf(record)
        // The next request tries again; what is asked of the bucket does not depend on it.
        return this.leftClosed.has(record.id)
          ? this.reopen(record.id).then(
              () => bucket,
              () => bucket,
            )
          : bucket
      },
    )
  }

  private bucketOf(record: BucketRecord): Bucket {
    const known = this.buckets.get(record)
    if (known !== undefined) return known
    const bucket = bucketOf(record)
    this.buckets.set(record, bucket)
    return bucket
  }

  private async reopen(id: BucketId): Promise<void> {
    this.leftClosed.add(id)
    await this.tablet.run(setBucketState(id, "open"))
    this.leftClosed.delete(id)
  }

  /** Close (refused while versions are left), abort what is unfinished, drop; opened again if something came between. */
  async remove(bucket: Bucket): Promise<void> {
    await this.tablet.run(setBucketState(bucket.id, "closing"))
    try {
      await this.abortUploads(bucket)
      await this.tablet.run(dropBucket(bucket.id))
    } catch (error) {
      if (!isFailure(error, "noSuchBucket")) await this.reopen(bucket.id).catch(() => undefined)
      throw error
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
    }
    for (;;) {
      const { entries } = listUploads(this.tablet.committed, request)
      if (entries.length === 0) return
      for (const entry of entries) {
        if (entry.kind !== "upload") continue
        const { key, multipartId } = entry.upload
        await this.tablet.run(abortUpload({ bucketId: bucket.id, key, multipartId })).catch((error: unknown) => {
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
    const range = suffixRange(accountBucketRowKey(owner, prefix))
    const start = after === "" ? range.start : rowKeyOf(accountBucketRowKey(owner, after) + "\x00")
    const view = this.tablet.committed
    const buckets: Bucket[] = []
    const nameAt = accountBucketRowKey(owner, "").length
    for (const [key] of view.range("accountBuckets", {
      start: start > range.start ? start : range.start,
      end: range.end,
    })) {
      if (buckets.length === max) return { buckets, next: buckets.at(-1)?.name }
      const record = findBucket(view, parseBucketName(key.slice(nameAt)))
      if (record) buckets.push(bucketOf(record))
    }
    return { buckets, next: undefined }
  }

  async setVersioning(bucket: Bucket, state: "enabled" | "suspended"): Promise<void> {
    await this.tablet.run(setVersioning(bucket.id, state))
  }

  setting({ id, settings }: Bucket, name: SettingName): Soon<SettingRecord | undefined> {
    if (!settings.includes(name)) return undefined
    return withRows(() => {
      const row = this.tablet.committed.get("settings", settingRowKey(id, name))
      return row && decodeSetting(row.value)
    })
  }

  async setSetting(bucket: Bucket, name: SettingName, document: string | undefined): Promise<void> {
    await this.tablet.run(setSetting(bucket.id, name, document))
  }

  /** Undefined: the store's again. Throws `noSuchBucket`. */
  async setPolicy(name: BucketName, policy: Policy | undefined): Promise<void> {
    const { id } = await this.open(name)
    await this.tablet.run(setBucketPolicy(id, policy))
  }

  /** Buckets that chose a policy for themselves. */
  policies(): readonly { readonly name: BucketName; readonly policy: Policy }[] {
    const chosen: { readonly name: BucketName; readonly policy: Policy }[] = []
    for (const [, row] of this.tablet.committed.range("buckets", ALL_BUCKETS)) {
      const { name, policy } = bucketOfRow(row)
      if (policy !== undefined) chosen.push({ name, policy })
    }
    return chosen
  }

  /** Bytes of its objects, and the policy that it chose for itself. Throws `noSuchBucket`. */
  holdings(name: BucketName): { readonly bytes: number; readonly policy: Policy | undefined } {
    const bucket = findBucket(this.tablet.committed, name)
    if (!bucket) throw fail("noSuchBucket", { bucket: name })
    return { bytes: readCounters(this.tablet.committed, bucket.id).bytes, policy: bucket.policy }
  }

  async usage(bucket: Bucket): Promise<BucketUsage> {
    if (!this.tablet.committed.get("buckets", bucketRowKey(bucket.id)))
      throw fail("noSuchBucket", { bucket: bucket.name })
    return readCounters(this.tablet.committed, bucket.id)
  }

  /** A removal that a crash interrupted left its bucket closed: it exists, so it is opened again. */
  async reopenClosed(): Promise<void> {
    const closed: BucketRecord[] = []
    for (const [, row] of this.tablet.committed.range("buckets", ALL_BUCKETS)) {
      const bucket = decodeBucket(row.value)
      if (bucket.state === "closing") closed.push(bucket)
    }
    for (const bucket of closed) await this.tablet.run(setBucketState(bucket.id, "open"))
  }
}
