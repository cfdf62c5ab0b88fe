/** The operations of `/v1` on the history of buckets: since when it is complete, and what differs between two moments. */
import { fail } from "../base/failures.js"
import { byteStringOfText, parseBucketName, textOfObjectKey } from "../base/ids.js"
import { MOMENT_FORM, parseMoment, textOfMoment } from "../base/moment.js"
import type { Difference, ObjectThen } from "../object/contract.js"
import * as schema from "./history-schemas.js"
import type { Operation, OperationInput, Services } from "./operation.js"
import { onBucket } from "./permits.js"

const PATH = "/v1/buckets/{bucket}"
/** Differences of one page. */
const PAGE_MAX = 1_000

/** Throws `invalidArgument`. */
function momentIn(query: OperationInput["query"], name: string): number | undefined {
  const text = query.get(name)
  const us = text === undefined ? undefined : parseMoment(text)
  if (text !== undefined && us === undefined)
    throw fail("invalidArgument", { message: `${name} must be ${MOMENT_FORM}` })
  return us
}

const thenJson = ({ versionId, sizeBytes, etag, lastModifiedMs }: ObjectThen) => ({
  ...{ versionId, sizeBytes, etag, lastModifiedMs },
})

const differenceJson = ({ key, before, after }: Difference) => ({
  key: textOfObjectKey(key),
  change: before === undefined ? "added" : after === undefined ? "removed" : "changed",
  ...(before && { before: thenJson(before) }),
  ...(after && { after: thenJson(after) }),
})

async function history({ buckets, histories, moments }: Services, { segment }: OperationInput) {
  const bucket = await buckets.open(parseBucketName(segment("bucket")))
  const [sinceUs, nowUs] = [await histories.since(bucket), await moments.now()]
  const isComplete = sinceUs !== undefined && Number.isFinite(sinceUs)
  return { ...(isComplete && { since: textOfMoment(sinceUs) }), now: textOfMoment(nowUs) }
}

async function differences({ buckets, moments }: Services, { segment, query }: OperationInput) {
  const fromUs = momentIn(query, "from")
  if (fromUs === undefined) throw fail("invalidArgument", { message: "the parameter from is missing" })
  const bucket = await buckets.open(parseBucketName(segment("bucket")))
  const toUs = momentIn(query, "to") ?? (await moments.now())
  const prefix = byteStringOfText(query.get("prefix") ?? "")
  const after = byteStringOfText(query.get("after") ?? "")
  const page = await moments.differences({ bucket, prefix, after, fromUs, toUs, max: PAGE_MAX })
  const { unchanged, next } = page
  return {
    ...{ from: textOfMoment(fromUs), to: textOfMoment(toUs), unchanged },
    differences: page.differences.map(differenceJson),
    ...(next !== undefined && { next: textOfObjectKey(next) }),
  }
}

export const HISTORY_OPERATIONS: readonly Operation[] = [
  {
    ...{ id: "getBucketHistory", method: "GET", path: `${PATH}/history`, parameters: [], request: undefined },
    summary: "Returns since when the history of a bucket is complete.",
    response: { status: 200, schema: schema.HISTORY },
    permission: onBucket("s3:ListBucketVersions"),
    run: history,
  },
  {
    ...{ id: "listDifferences", method: "GET", path: `${PATH}/differences`, request: undefined },
    summary: "Lists the objects of a bucket with a history that differ between two moments, page by page.",
    parameters: [
      { name: "from", description: MOMENT_FORM },
      { name: "to", description: "the second moment; absent: now. Later pages need that of the first answer" },
      { name: "prefix", description: "only keys that begin with it" },
      { name: "after", description: "`next` of the previous page" },
    ],
    response: { status: 200, schema: schema.DIFFERENCES },
    permission: onBucket("s3:ListBucketVersions"),
    run: differences,
  },
]
