/** The operations of `/v1` on the history of buckets: since when it is complete, and what differs between two moments. */
import { z } from "zod"
import { fail } from "@hayloft/base/failures.js"
import { byteStringOfText, parseBucketName, textOfObjectKey } from "@hayloft/base/ids.js"
import { MOMENT_FORM, parseMoment, textOfMoment } from "@hayloft/base/text/moment.js"
import type { ObjectDifference, ObjectThen } from "@hayloft/objects/contract.js"
import {
  onBucket,
  operation,
  pagesOf,
  parseBody,
  type Calls,
  type OperationInput,
  type OperatorPart,
  type OperatorServices,
  type Shown,
  type Values,
} from "../operator/index.js"
import { differencesText, totalsText } from "./differences-text.js"
import * as schema from "./schemas.js"
import { HISTORY_SERVICES } from "./services.js"

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
  versionId,
  sizeBytes,
  etag,
  lastModifiedMs,
})

const differenceJson = ({ key, before, after }: ObjectDifference) => ({
  key: textOfObjectKey(key),
  change: before === undefined ? "added" : after === undefined ? "removed" : "changed",
  ...(before && { before: thenJson(before) }),
  ...(after && { after: thenJson(after) }),
})

async function history({ buckets, core }: OperatorServices, { segment }: OperationInput) {
  const { histories, moments } = HISTORY_SERVICES.of(core)
  const bucket = await buckets.open(parseBucketName(segment("bucket")))
  const [sinceUs, nowUs] = [await histories.since(bucket), await moments.now()]
  const isComplete = sinceUs !== undefined && Number.isFinite(sinceUs)
  return { ...(isComplete && { since: textOfMoment(sinceUs) }), now: textOfMoment(nowUs) }
}

async function differences({ buckets, core }: OperatorServices, { segment, query }: OperationInput) {
  const { moments } = HISTORY_SERVICES.of(core)
  const fromUs = momentIn(query, "from")
  if (fromUs === undefined) throw fail("invalidArgument", { message: "the parameter from is missing" })
  const bucket = await buckets.open(parseBucketName(segment("bucket")))
  const toUs = momentIn(query, "to") ?? (await moments.now())
  const prefix = byteStringOfText(query.get("prefix") ?? "")
  const after = byteStringOfText(query.get("after") ?? "")
  const page = await moments.differences({ bucket, prefix, after, fromUs, toUs, max: PAGE_MAX })
  const { unchanged, next } = page
  return {
    from: textOfMoment(fromUs),
    to: textOfMoment(toUs),
    unchanged,
    differences: page.differences.map(differenceJson),
    ...(next !== undefined && { next: textOfObjectKey(next) }),
  }
}

const historyText = (name: string, since: string | undefined): string =>
  since === undefined
    ? `${name} has no history; {} as its setting "history" begins one: hayloft bucket settings set ${name} history FILE\n`
    : `${name} can be read at every moment from ${since} on\n`

/** Prints page by page, and sums up. The second moment is that of the first answer, for all pages. */
async function showDifferences(
  { print }: Calls,
  ask: (more: Values) => Promise<z.output<typeof schema.DIFFERENCES>>,
): Promise<Shown> {
  const totals = { added: 0, removed: 0, changed: 0, unchanged: 0 }
  let to: string | undefined
  for await (const page of pagesOf(more => ask(to === undefined ? more : { ...more, to }))) {
    to = page.to
    for (const { change } of page.differences) totals[change] += 1
    totals.unchanged += page.unchanged.objects
    await print({ json: page.differences, isEach: true, text: differencesText(page.differences) })
  }
  return { json: { totals }, text: totalsText(totals) }
}

const OPERATIONS = [
  operation("getBucketHistory", `GET ${PATH}/history`, {
    summary: "Returns since when the history of a bucket is complete.",
    answer: schema.HISTORY,
    permission: onBucket("s3:ListBucketVersions"),
    run: history,
    commands: [
      {
        name: "bucket history",
        help: "since when the history of a bucket is complete: it can be read at every moment from then on",
        inputs: { bucket: { flags: "<BUCKET>" } },
        text: ({ since }, given) => historyText(given("bucket"), since),
      },
    ],
  }),
  operation("listDifferences", `GET ${PATH}/differences`, {
    summary: "Lists the objects of a bucket with a history that differ between two moments, page by page.",
    parameters: [
      { name: "from", description: MOMENT_FORM },
      { name: "to", description: "the second moment; absent: now. Later pages need that of the first answer" },
      { name: "prefix", description: "only keys that begin with it" },
      { name: "after", description: "`next` of the previous page" },
    ],
    answer: schema.DIFFERENCES,
    permission: onBucket("s3:ListBucketVersions"),
    run: differences,
    commands: [
      {
        name: "bucket diff",
        help: "the objects of a bucket with a history that differ between two moments",
        inputs: {
          bucket: { flags: "<BUCKET>" },
          from: { flags: "<FROM>", help: "2h, 2026-01-31T09:30:00Z", reads: "moment" },
          to: { flags: "[TO]", help: "the second moment (default: now)", reads: "moment" },
          prefix: { flags: "--prefix <PREFIX>" },
        },
        run: showDifferences,
      },
    ],
  }),
]

/** The setting has no members. */
const SETTING = z.strictObject({})

export const HISTORY_OPERATOR: OperatorPart = {
  operations: OPERATIONS,
  bucketSettings: {
    history: {
      actions: {
        GET: "hayloft:GetBucketHistory",
        PUT: "hayloft:SetBucketHistory",
        DELETE: "hayloft:RemoveBucketHistory",
      },
      get: async (_, { settings }) => (settings.includes("history") ? {} : undefined),
      put: ({ core }, bucket, value) => {
        parseBody(SETTING, value)
        return HISTORY_SERVICES.of(core).histories.begin(bucket)
      },
      remove: ({ core }, bucket) => HISTORY_SERVICES.of(core).histories.end(bucket),
    },
  },
}
