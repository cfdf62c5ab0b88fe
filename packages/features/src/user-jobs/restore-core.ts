/** Restores of a bucket to a moment: the request for each object that has changed since, and its reply. Pure. */
import type { ObjectKey } from "@hayloft/base/ids.js"
import type { JobPlan, PlannedItem } from "@hayloft/engine/format/job-record.js"
import type { ObjectDifference, DifferencesPage } from "@hayloft/objects/contract.js"
import { copySource } from "./bulk-core.js"
import { JOB_LIMITS } from "./limits.js"
import type { ObjectReply, ObjectRequest } from "./object-requests.js"

const WHAT = { restore: "restore", delete: "delete", unchanged: "unchanged" } as const

const whatOf = ({ before }: ObjectDifference): string => (before === undefined ? WHAT.delete : WHAT.restore)

/** The size of the object that is restored or deleted. */
export const bytesOfDifference = ({ before, after }: ObjectDifference): number => (before ?? after)?.sizeBytes ?? 0

/** The plan for a page of differences. */
export function planOf({ differences, unchanged }: Pick<DifferencesPage, "differences" | "unchanged">): JobPlan {
  const amountOf = (what: string) => {
    const items = differences.filter(each => whatOf(each) === what)
    return { what, objects: items.length, bytes: items.reduce((sum, each) => sum + bytesOfDifference(each), 0) }
  }
  const first = differences.slice(0, JOB_LIMITS.plannedMax).map((each): PlannedItem => {
    const versionId = each.before?.versionId ?? ""
    return { what: whatOf(each), key: each.key, versionId, sizeBytes: bytesOfDifference(each) }
  })
  return { amounts: [amountOf(WHAT.restore), amountOf(WHAT.delete), { what: WHAT.unchanged, ...unchanged }], first }
}

/**
 * The request that restores an object: a copy of the version, or a delete marker. A former delete marker is not
 * removed, as the history would then be complete only from now on. What was written since `asOfUs` stays, even if it has the
 * same bytes.
 */
export function restoringRequest(
  bucket: string,
  { key, before, after }: ObjectDifference,
  asOfUs: number,
): ObjectRequest {
  const ifUnchanged = { atUs: asOfUs, versionId: after?.versionId }
  if (before === undefined) return { method: "DELETE", bucket, key, ifUnchanged }
  const { versionId, storageClass, websiteRedirect } = before
  return {
    method: "PUT",
    bucket,
    key,
    ifUnchanged,
    headers: [
      copySource(bucket, key, versionId),
      ["x-amz-storage-class", storageClass],
      ...(websiteRedirect === undefined ? [] : [["x-amz-website-redirect-location", websiteRedirect] as const]),
    ],
  }
}

export const describedItem = ({
  key,
  before,
}: ObjectDifference): { readonly key: ObjectKey; readonly versionId: string } => ({
  key,
  versionId: before?.versionId ?? "",
})

/** Returns true if the reply says that the object is another one than when the job began. */
export const saysChanged = ({ code }: ObjectReply): boolean => code === "PreconditionFailed"
