/**
 * Moments: reads of buckets with a history as they were at a time. See `moments-contract.ts` for the promises.
 *
 * A moment is closed before rows are read, so that no later commit can belong to it; and each query reads the rows together
 * with what says since when the history is complete, so that a removal meanwhile is a refusal, never a wrong answer.
 */
import { fail } from "@hayloft/base/failures.js"
import type { BucketId, ObjectKey, VersionId } from "@hayloft/base/ids.js"
import { textOfMoment } from "@hayloft/base/text/moment.js"
import { objectRowKey } from "@hayloft/engine/format/row-key.js"
import { versionIdOfHead } from "@hayloft/engine/format/objects/version-record.js"
import { query, type Metadata, type RowView } from "@hayloft/engine/metadata/index.js"
import { hasHistory, historySinceIn } from "./history-core.js"
import type {
  Bucket,
  DifferencesPage,
  DifferencesRequest,
  ListEntry,
  ListPage,
  ListRequest,
  Moments,
} from "@hayloft/objects/contract.js"
import { requireBucket } from "@hayloft/objects/door/rows.js"
import { differencesOf, findAt, listObjectsAt, objectOf, WALK_LIMITS, type WalkLimits } from "./moments-core.js"

/** Queries that one page of a listing may take, before it is short. */
const QUERIES_PER_PAGE = 8

const noHistory = ({ name }: { readonly name: string }) =>
  fail("historyIncomplete", {
    message: `The bucket ${name} has no history: it can be read at moments from the time on at which its setting "history" is switched on.`,
  })

/** Throws `historyIncomplete`. */
function checkHistory(bucket: Bucket): void {
  if (!hasHistory(bucket)) throw noHistory(bucket)
}

/** Throws `historyIncomplete`. */
function requireHistory(view: RowView, bucketId: BucketId, atUs: number): void {
  const bucket = requireBucket(view, bucketId)
  const sinceUs = historySinceIn(view, bucket)
  if (sinceUs === undefined) throw noHistory(bucket)
  if (sinceUs === Infinity)
    throw fail("historyIncomplete", {
      message: `What says since when the history of the bucket ${bucket.name} is complete was lost: switch its setting "history" off and on.`,
    })
  if (atUs < sinceUs)
    throw fail("historyIncomplete", {
      message: `The history of the bucket ${bucket.name} is complete since ${textOfMoment(sinceUs)}: it cannot be read at ${textOfMoment(atUs)}, because versions may be missing.`,
    })
}

export const checkMoment = query("CheckMoment", requireHistory)

export const versionOfMoment = query(
  "VersionOfMoment",
  (view, bucketId: BucketId, key: ObjectKey, atUs: number): VersionId => {
    requireHistory(view, bucketId, atUs)
    // A delete marker is not named: it may be removed, and the answer stays the same.
    const object = objectOf(findAt(view, objectRowKey(bucketId, key), atUs), atUs)
    if (object === undefined) throw fail("noSuchKey")
    return versionIdOfHead(object.head)
  },
)

export const pageOfMoment = query(
  "PageOfMoment",
  (view, request: ListRequest, atUs: number, limits: WalkLimits = WALK_LIMITS): ListPage => {
    requireHistory(view, request.bucket.id, atUs)
    return listObjectsAt(view, request, { atUs, extras: request, limits })
  },
)

export const differencesOfMoments = query(
  "DifferencesOfMoments",
  (view, request: DifferencesRequest, limits: WalkLimits = WALK_LIMITS): DifferencesPage => {
    requireHistory(view, request.bucket.id, request.fromUs)
    return differencesOf(view, request, limits)
  },
)

/** Pages that follow each other, as one; `next`: of the last one. */
const joined = (pages: readonly DifferencesPage[], next: string | undefined): DifferencesPage => ({
  differences: pages.flatMap(({ differences }) => differences),
  unchanged: {
    objects: pages.reduce((sum, { unchanged }) => sum + unchanged.objects, 0),
    bytes: pages.reduce((sum, { unchanged }) => sum + unchanged.bytes, 0),
  },
  scanned: pages.reduce((sum, { scanned }) => sum + scanned, 0),
  next,
})

export class MomentService implements Moments {
  constructor(
    private readonly metadata: Pick<Metadata, "ask" | "closeTo">,
    private readonly limits: WalkLimits = WALK_LIMITS,
  ) {}

  now(): Promise<number> {
    return this.metadata.closeTo()
  }

  /** For buckets without a history nothing is closed: that would hold up commits for a refusal. */
  private async close(bucket: Bucket, atUs: number): Promise<void> {
    checkHistory(bucket)
    await this.metadata.closeTo(atUs)
  }

  async check(bucket: Bucket, atUs: number): Promise<void> {
    await this.close(bucket, atUs)
    await this.metadata.ask(checkMoment(bucket.id, atUs))
  }

  async versionAt(bucket: Bucket, key: ObjectKey, atUs: number): Promise<VersionId> {
    await this.close(bucket, atUs)
    return this.metadata.ask(versionOfMoment(bucket.id, key, atUs))
  }

  async versionSoFar(bucket: Bucket, key: ObjectKey, atUs: number): Promise<VersionId> {
    checkHistory(bucket)
    return this.metadata.ask(versionOfMoment(bucket.id, key, atUs))
  }

  async list(request: ListRequest, atUs: number): Promise<ListPage> {
    await this.close(request.bucket, atUs)
    const entries: ListEntry[] = []
    let from: Pick<ListRequest, "after" | "afterExactly"> = request
    for (let queries = 1; ; queries += 1) {
      const wanted = { ...request, ...from, max: request.max - entries.length }
      const page = await this.metadata.ask(pageOfMoment(wanted, atUs, this.limits))
      entries.push(...page.entries)
      const { next, isMidway } = page
      if (next === undefined) return { entries, next }
      if (entries.length >= request.max || queries === QUERIES_PER_PAGE) return { ...page, entries }
      from = { after: next, afterExactly: isMidway === true }
    }
  }

  async differences(request: DifferencesRequest): Promise<DifferencesPage> {
    if (request.fromUs > request.toUs)
      throw fail("invalidArgument", { message: "the first moment must not be later than the second" })
    await this.close(request.bucket, request.toUs)
    const pages: DifferencesPage[] = []
    let [after, found]: [string | undefined, number] = [request.after, 0]
    while (after !== undefined && found < request.max && pages.length < QUERIES_PER_PAGE) {
      const wanted: DifferencesRequest = { ...request, after, max: request.max - found }
      const page = await this.metadata.ask(differencesOfMoments(wanted, this.limits))
      pages.push(page)
      after = page.next
      found += page.differences.length
    }
    return joined(pages, after)
  }
}
