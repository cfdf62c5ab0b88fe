/** The operation of `/v1/audit`: which changes the admin API was asked for. */
import { fail } from "../base/failures.js"
import { parseAuditId } from "../base/ids.js"
import type { Operation } from "./operation.js"
import { AUDIT_PAGE } from "./audit-schemas.js"

const PAGE_MAX = 1_000
const PAGE_DEFAULT = 100

export const AUDIT_OPERATIONS: readonly Operation[] = [
  {
    ...{ id: "listAudit", method: "GET", path: "/v1/audit", request: undefined },
    summary: "Lists the changes that were made by the admin API, the latest first.",
    parameters: [
      { name: "max", description: `entries of a page: 1 to ${PAGE_MAX}, ${PAGE_DEFAULT} by default` },
      { name: "after", description: "`next` of the previous page" },
    ],
    response: { status: 200, schema: AUDIT_PAGE },
    async run({ audit }, { query }) {
      const max = Number(query.get("max") ?? PAGE_DEFAULT)
      if (!Number.isInteger(max) || max < 1 || max > PAGE_MAX) {
        throw fail("invalidArgument", { message: `max must be 1 to ${PAGE_MAX}` })
      }
      const after = query.get("after")
      const { entries, next } = await audit.list(after === undefined ? undefined : parseAuditId(after), max)
      return { entries, ...(next !== undefined && { next }) }
    },
  },
]
