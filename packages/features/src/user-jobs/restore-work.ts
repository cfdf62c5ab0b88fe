/**
 * The work of a job that restores a bucket to a moment: finds the objects that differ between the moment and the start of the
 * job, and makes each what it was, by a request of S3 as the job's starter.
 *
 * Promises  What the job does is decided by two closed moments: a page that is read again has the same items, and a preview
 *           shows what a job would do that began then. Writes after the job's start stay, and are reported.
 * Refuses   Filters beside the prefix and a selection.
 */
import { must } from "@hayloft/base/assert.js"
import { fail, isFailure } from "@hayloft/base/failures.js"
import { textOfObjectKey, type ObjectKey } from "@hayloft/base/ids.js"
import { textOfMoment } from "@hayloft/base/text/moment.js"
import type { ObjectDifference, DifferencesPage, Moments } from "@hayloft/objects/contract.js"
import { outcomeOf, prefixOf, type RequestOutcome } from "./bulk-core.js"
import { restoredMomentOf } from "./bulk-request.js"
import type { ItemPage, ItemWork } from "../operator/index.js"
import { placeInRanges, textInRanges } from "./key-ranges-core.js"
import { JOB_LIMITS } from "./limits.js"
import { requireListing } from "./object-requests.js"
import { openJob, type JobServices, type OpenedJob, type StoredJob } from "./open-job.js"
import { bytesOfDifference, describedItem, planOf, restoringRequest, saysChanged } from "./restore-core.js"

interface RestoreServices extends JobServices {
  readonly moments: Pick<Moments, "now" | "check" | "differences">
}

/** Throws `noSuchBucket`, `accessDenied`. */
export async function openRestoreWork(
  services: RestoreServices,
  job: StoredJob,
): Promise<ItemWork<ObjectDifference, RequestOutcome>> {
  const opened = await openJob(services, job)
  const { request, asOfUs } = opened
  const toUs = must(restoredMomentOf(request), "the job restores to a moment")
  return new RestoreWork(services, { ...opened, toUs, asOfUs: must(asOfUs, "the job has the moment of its start") })
}

interface OpenedRestore extends OpenedJob {
  /** The moment that is restored. */
  readonly toUs: number
  readonly asOfUs: number
}

/** Differences that one step has found, and the keys without one. */
interface Found {
  readonly pages: DifferencesPage[]
  readonly next: string | undefined
}

class RestoreWork implements ItemWork<ObjectDifference, RequestOutcome> {
  constructor(
    private readonly services: RestoreServices,
    private readonly opened: OpenedRestore,
  ) {}

  /** Throws `invalidArgument`, `historyIncomplete`, `accessDenied`. */
  async prepare(): Promise<void> {
    const { request, bucket, requester, toUs, asOfUs } = this.opened
    const { modifiedBeforeMs, largerThanBytes, tag } = request
    if (modifiedBeforeMs !== undefined || largerThanBytes !== undefined || tag !== undefined)
      throw fail("invalidArgument", {
        message: "a restore to a moment takes a prefix or a selection, and no other filter",
      })
    if (request.kind === "restore-objects" && request.atMs !== undefined)
      throw fail("invalidArgument", { message: "a restore takes either to or atMs" })
    if (toUs > asOfUs) throw fail("invalidArgument", { message: `the moment ${textOfMoment(toUs)} is in the future` })
    await requireListing(requester, bucket, true, prefixOf(request))
    await this.services.moments.check(bucket, toUs)
  }

  async itemsAfter(cursor: string, until: string | undefined, max: number): Promise<ItemPage<ObjectDifference>> {
    const { pages, next } = await this.find(cursor, until, max)
    const items = pages.flatMap(({ differences }) => differences)
    const unchanged = { objects: 0, bytes: 0 }
    for (const page of pages) {
      unchanged.objects += page.unchanged.objects
      unchanged.bytes += page.unchanged.bytes
    }
    return {
      items,
      next,
      plan: planOf({ differences: items, unchanged }),
      bytes: items.reduce((sum, item) => sum + bytesOfDifference(item), 0),
      scanned: pages.reduce((sum, { scanned }) => sum + scanned, 0),
    }
  }

  private async find(cursor: string, until: string | undefined, max: number): Promise<Found> {
    const { ranges, request, bucket, toUs: fromUs, asOfUs: toUs } = this.opened
    const isSelection = request.selected !== undefined
    const end = until === undefined ? undefined : placeInRanges(isSelection, until)
    const pages: DifferencesPage[] = []
    let [found, looked] = [0, 0]
    for (let place = placeInRanges(isSelection, cursor); ;) {
      const range = ranges[place.range]
      // The end of a page that is repeated may be the beginning of a range.
      const isPast = end !== undefined && end.range === place.range && end.within === ""
      if (range === undefined || isPast) return { pages, next: undefined }
      const { prefix, isOneKey } = range
      const within = { prefix, isOneKey, after: place.within }
      const page = await this.services.moments.differences({
        bucket,
        ...within,
        fromUs,
        toUs,
        max: Math.min(max - found, JOB_LIMITS.pageRowsMax),
        until: end?.range === place.range ? end.within : undefined,
      })
      pages.push(page)
      found += page.differences.length
      looked += Math.max(1, page.scanned)
      const isOver = page.next === undefined
      const isLast = isOver && (place.range + 1 >= ranges.length || place.range === end?.range)
      if (isLast) return { pages, next: undefined }
      place = isOver ? { range: place.range + 1, within: "" } : { range: place.range, within: page.next }
      const isEnough = found >= max || (until === undefined && looked >= JOB_LIMITS.pageRowsMax)
      if (isEnough) return { pages, next: textInRanges(isSelection, place) }
    }
  }

  async work(item: ObjectDifference): Promise<RequestOutcome> {
    const { request, bucket, requester, asOfUs } = this.opened
    const reply = await requester.send(restoringRequest(bucket.name, item, asOfUs))
    if (saysChanged(reply)) {
      const isThere = await this.isRestored(item.key)
      return isThere ? undefined : "it was written after the job had begun, and stays as it is"
    }
    if (reply.code === "NoSuchVersion") return "its version was removed since the job began"
    const outcome = outcomeOf(request, reply)
    if (outcome === "later")
      throw fail("tooManyInFlight", { message: `${textOfObjectKey(item.key)}: ${reply.code}: ${reply.message}` })
    if (outcome === "done") return undefined
    return "reason" in outcome ? outcome.reason : outcome
  }

  /**
   * Returns true if the object is as it was at the moment: the job, or its earlier process, has restored it. Returns
   * false if the history no longer tells how it was.
   */
  private async isRestored(key: ObjectKey): Promise<boolean> {
    const { moments } = this.services
    const { bucket, toUs: fromUs } = this.opened
    const range = { bucket, prefix: key, isOneKey: true, after: "" }
    try {
      const { differences } = await moments.differences({ ...range, fromUs, toUs: await moments.now(), max: 1 })
      return differences.length === 0
    } catch (error) {
      if (isFailure(error, "historyIncomplete")) return false
      throw error
    }
  }

  describe(item: ObjectDifference) {
    return describedItem(item)
  }
}
