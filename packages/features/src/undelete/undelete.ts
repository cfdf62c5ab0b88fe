/**
 * Undelete: a bucket without versioning that opts in keeps what is deleted or overwritten for some days, and can get it
 * back. No request of S3 shows what is kept.
 *
 * Promises  Before a bucket opts in, the devices refuse earlier releases, which would remove the bytes of what is kept.
 */
import { isFailure } from "@hayloft/base/failures.js"
import type { BucketId, ObjectKey, RowKey } from "@hayloft/base/ids.js"
import { walkPages } from "@hayloft/base/walk-pages.js"
import { objectRowKey, prefixRange, suffixRange } from "@hayloft/engine/format/row-key.js"
import type { Metadata } from "@hayloft/engine/metadata/index.js"
import type { Core } from "@hayloft/objects/door/index.js"
import {
  purgeDeleted,
  PURGED_PER_COMMAND,
  setUndelete,
  undeleteObject,
  type Purged,
  type UndeleteOutcome,
} from "./undelete-commands-core.js"
import {
  deletedRowOf,
  deletedRows,
  findDeleted,
  listDeleted,
  type DeletedPage,
  type DeletedRows,
  type FoundDeleted,
  type ListDeletedRequest,
} from "./deleted-rows-core.js"
import { keptOfBuckets, type KeptReport } from "./kept-queries-core.js"
import { undeleteReportOf, type UndeleteReport } from "./undelete-report.js"

interface UndeleteRequest {
  /** The id of an item of a list. */
  readonly id?: string
  /** Selects what was the object at this time. */
  readonly atMs?: number
  /** Also over an existing object, which is kept in turn. */
  readonly over?: boolean
}

/** Attempts of one restore or of one step of a purge: each one more than another request has disturbed. */
const ATTEMPTS_MAX = 5

export class Undelete {
  private reports: readonly KeptReport[] = []

  constructor(
    private readonly metadata: Metadata,
    private readonly storeClock: Pick<Core["storeClock"], "nowMs">,
    /** Resolves once the devices refuse releases that do not know what is kept. */
    private readonly prepare: () => Promise<void>,
  ) {}

  /** Throws `noSuchBucket`; `invalidArgument` for days that are not 1 to 365, and for a bucket with versioning. */
  async setUndelete(bucketId: BucketId, days: number | undefined): Promise<void> {
    if (days !== undefined) await this.prepare()
    await this.metadata.run(setUndelete({ bucketId, days }))
  }

  /** How much is kept, by bucket, as of the last refresh. */
  kept(): readonly KeptReport[] {
    return this.reports
  }

  /** Returns what the status of the store shows. */
  report(): readonly UndeleteReport[] {
    return this.reports.map(undeleteReportOf)
  }

  async refresh(): Promise<void> {
    this.reports = await this.metadata.ask(keptOfBuckets())
  }

  /** In the order of the keys; of one key the newest first. Throws `invalidArgument` for a malformed `after`. */
  async listDeleted(bucketId: BucketId, request: ListDeletedRequest): Promise<DeletedPage> {
    return this.metadata.ask(listDeleted(bucketId, request))
  }

  /**
   * The newest one, that of an id, or that of a time. Throws `noSuchBucket`, `quotaExceeded`, and `invalidArgument` for a
   * malformed id.
   */
  async undelete(
    bucketId: BucketId,
    key: ObjectKey,
    { id, atMs, over = false }: UndeleteRequest,
  ): Promise<UndeleteOutcome> {
    for (let attempts = 1; ; attempts += 1) {
      const rowKey = id === undefined ? await this.find(bucketId, key, atMs) : deletedRowOf(bucketId, key, id)
      if (rowKey === undefined) return "nothingKept"
      const clockMs = this.storeClock.nowMs()
      const outcome = await this.metadata.run(undeleteObject({ bucketId, key, rowKey, over, clockMs }))
      // Another request was faster; there may be one before it.
      if (outcome !== "nothingKept" || id !== undefined || attempts === ATTEMPTS_MAX) return outcome
    }
  }

  private async find(bucketId: BucketId, key: ObjectKey, atMs: number | undefined): Promise<RowKey | undefined> {
    const pages = walkPages<RowKey | undefined, FoundDeleted>(undefined, start =>
      this.metadata.ask(findDeleted(bucketId, key, atMs, start)),
    )
    for await (const { rowKey } of pages) if (rowKey !== undefined) return rowKey
    return undefined
  }

  /**
   * Removes what is kept of a key, of keys with a prefix, or of all; its bytes follow. Ends once it has removed `max` objects
   * or a few more, so that a request is answered in seconds: the same call goes on.
   */
  async purgeDeleted(
    bucketId: BucketId,
    { key, prefix = "", max }: { readonly key?: ObjectKey; readonly prefix?: string; readonly max: number },
  ): Promise<Purged & { readonly hasMore: boolean }> {
    const whole = key === undefined ? prefixRange(bucketId, prefix) : suffixRange(objectRowKey(bucketId, key))
    let [objects, bytes] = [0, 0]
    const pages = walkPages<RowKey, DeletedRows>(whole.start, start =>
      this.metadata.ask(deletedRows({ ...whole, start }, PURGED_PER_COMMAND)),
    )
    for await (const { rows, next } of pages) {
      const purged: Purged = rows.length === 0 ? { objects: 0, bytes: 0 } : await this.purge(bucketId, rows)
      objects += purged.objects
      bytes += purged.bytes
      if (next !== undefined && objects >= max) return { objects, bytes, hasMore: true }
    }
    return { objects, bytes, hasMore: false }
  }

  private async purge(bucketId: BucketId, rows: readonly RowKey[]): Promise<Purged> {
    for (let attempts = 1; ; attempts += 1) {
      try {
        return await this.metadata.run(purgeDeleted({ bucketId, rows }))
      } catch (error) {
        if (!isFailure(error, "conflict") || attempts === ATTEMPTS_MAX) throw error
      }
    }
  }
}
