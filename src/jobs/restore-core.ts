/** Restores of a bucket to a moment: what is done to each object that has changed since, and what replies mean. Pure. */
import type { ObjectKey } from "../base/ids.js"
import type { JobPlan, PlannedItem } from "../format/job-record.js"
import type { Difference, DifferencesPage } from "../object/contract.js"
import { copySource, quotedEtag } from "./bulk-core.js"
import { JOB_LIMITS } from "./limits.js"
import type { ObjectReply, ObjectRequest } from "./object-requests.js"

const WHAT = { restore: "restore", delete: "delete", unchanged: "unchanged" } as const

const whatOf = ({ before }: Difference): string => (before === undefined ? WHAT.delete : WHAT.restore)

/** Of what is restored, or of what is deleted. */
export const bytesOf = ({ before, after }: Difference): number => (before ?? after)?.sizeBytes ?? 0

/** What is planned for these pages of differences. */
export function planOf({ differences, unchanged }: Pick<DifferencesPage, "differences" | "unchanged">): JobPlan {
  const amountOf = (what: string) => {
    const items = differences.filter(each => whatOf(each) === what)
    return { what, objects: items.length, bytes: items.reduce((sum, each) => sum + bytesOf(each), 0) }
  }
  const first = differences.slice(0, JOB_LIMITS.plannedMax).map((each): PlannedItem => {
    const versionId = each.before?.versionId ?? ""
    return { what: whatOf(each), key: each.key, versionId, sizeBytes: bytesOf(each) }
  })
  return { amounts: [amountOf(WHAT.restore), amountOf(WHAT.delete), { what: WHAT.unchanged, ...unchanged }], first }
}

/**
 * The request that makes an object what it was: a copy of the version, or a delete marker. A former delete marker is not
 * removed, as the history would then be complete only from now on. An object that was written since the job began stays.
 */
export function restoringRequest(bucket: string, { key, before, after }: Difference): ObjectRequest {
  const isUnchanged =
    after === undefined ? (["if-none-match", "*"] as const) : (["if-match", quotedEtag(after.etag)] as const)
  if (before === undefined) return { method: "DELETE", bucket, key, headers: [isUnchanged] }
  const { versionId, storageClass, websiteRedirect } = before
  return {
    ...{ method: "PUT", bucket, key },
    headers: [
      copySource(bucket, key, versionId),
      ["x-amz-storage-class", storageClass],
      ...(websiteRedirect === undefined ? [] : [["x-amz-website-redirect-location", websiteRedirect] as const]),
      isUnchanged,
    ],
  }
}

/** What is there of an object; undefined: nothing. */
type Present = { readonly etag: string; readonly sizeBytes: number } | undefined

/** Whether the object is what it was at the moment: the job, or its earlier process, has restored it. */
export const isRestored = ({ before }: Difference, present: Present): boolean =>
  before?.etag === present?.etag && before?.sizeBytes === present?.sizeBytes

export const describedItem = ({
  key,
  before,
}: Difference): { readonly key: ObjectKey; readonly versionId: string } => ({
  ...{ key, versionId: before?.versionId ?? "" },
})

/** Whether the reply says that the object is another one than when the job began. */
export const saysChanged = ({ code }: ObjectReply): boolean => code === "PreconditionFailed" || code === "NoSuchKey"
