/** The operation of `/v1/audit`: which changes were asked for, by the admin API, S3, IAM and KMS. */
import { fail } from "../base/failures.js"
import { parseAuditId } from "../base/ids.js"
import { timeOf } from "./listing.js"
import type { Operation } from "./operation.js"
import { AUDIT_PAGE } from "./audit-schemas.js"

const PAGE_MAX = 1_000
const PAGE_DEFAULT = 100

const PATTERN = "`*` stands for any characters"

export const AUDIT_OPERATIONS: readonly Operation[] = [
  {
    ...{ id: "listAudit", method: "GET", path: "/v1/audit", request: undefined },
    summary:
      "Lists changes by the admin API, by S3 (of buckets and their settings), IAM and KMS, the latest first. A page may be short, or empty, and have `next`: a filter looks at some thousand records at a time.",
    parameters: [
      { name: "max", description: `entries of a page: 1 to ${PAGE_MAX}, ${PAGE_DEFAULT} by default` },
      { name: "after", description: "`next` of the previous page" },
      { name: "caller", description: `id or name of the caller, or operator or anonymous; ${PATTERN}` },
      { name: "operation", description: `s3:PutBucketPolicy, iam:*, setBucketQuota; ${PATTERN}` },
      { name: "target", description: `what it was applied to; ${PATTERN}` },
      { name: "sinceMs", description: "only those from this time on" },
      { name: "untilMs", description: "only those up to this time" },
    ],
    response: { status: 200, schema: AUDIT_PAGE },
    async run({ audit }, { query }) {
      const max = Number(query.get("max") ?? PAGE_DEFAULT)
      if (!Number.isInteger(max) || max < 1 || max > PAGE_MAX) {
        throw fail("invalidArgument", { message: `max must be 1 to ${PAGE_MAX}` })
      }
      const after = query.get("after")
      const [caller, operation, target] = ["caller", "operation", "target"].map(name => query.get(name))
      const filter = { caller, operation, target, sinceMs: timeOf(query, "sinceMs"), untilMs: timeOf(query, "untilMs") }
      const { entries, next } = await audit.list(after === undefined ? undefined : parseAuditId(after), max, filter)
      return { entries, ...(next !== undefined && { next }) }
    },
  },
]
