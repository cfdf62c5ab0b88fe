/** The operation of `/v1/audit`: which changes were asked for, by the admin API, S3, IAM and KMS. */
import type { z } from "zod"
import { fail } from "@hayloft/base/failures.js"
import { parseAuditId } from "@hayloft/base/ids.js"
import { printable, tableText, timeText } from "@hayloft/base/text/report-text.js"
import { type CommandOf, CommandProblem, timeOf } from "@hayloft/features/operator/index.js"
import { type AdminOperation, operation } from "../operation.js"
import { AUDIT_PAGE } from "./audit-schemas.js"

const PAGE_MAX = 1_000
const PAGE_DEFAULT = 100

const PATTERN = "`*` stands for any characters"

type Page = z.output<typeof AUDIT_PAGE>
type Entry = Page["entries"][number]

function auditText(entries: readonly Entry[]): string {
  const rows = entries.map(({ atMs, caller, operation, target, ended }) => [
    timeText(atMs),
    caller.name === "" ? caller.kind : printable(caller.name),
    caller.address,
    operation,
    printable(target),
    ended?.outcome ?? "unknown",
  ])
  return tableText(["TIME", "WHO", "ADDRESS", "OPERATION", "TARGET", "OUTCOME"], rows)
}

function maxIn(text: string): number {
  if (/^[1-9]\d{0,6}$/.test(text)) return Number(text)
  throw new CommandProblem("usage", "--max must be a number from 1 on")
}

/** Entries that the command asks for at a time. */
const ASKED_MAX = 500

const AUDIT: CommandOf<Page> = {
  name: "audit",
  help: "changes by the admin API, by S3 (of buckets and their settings), IAM and KMS, the latest first; --json shows what was there before and after; a * in a filter stands for any characters",
  inputs: {
    sinceMs: { flags: "--since <TIME>", help: "only later ones: 2h, 2026-01-31T09:30:00Z", reads: "past" },
    untilMs: { flags: "--until <TIME>", help: "only earlier ones", reads: "past" },
    caller: { flags: "--caller <NAME>", help: "id or name of the caller: a token, an access key, an ARN; operator" },
    operation: { flags: "--operation <NAME>", help: "s3:PutBucketPolicy, iam:*, setBucketQuota" },
    target: { flags: "--target <NAME>", help: "what it was applied to: a bucket, an ARN" },
    max: { flags: "--max <N>", help: "at most so many", preset: "100", reads: maxIn },
  },
  async run({ given }, own) {
    const max = maxIn(given("max"))
    const entries: Entry[] = []
    for (let after: string | undefined; ;) {
      const page = await own({ max: Math.min(ASKED_MAX, max - entries.length), after })
      entries.push(...page.entries)
      after = page.next
      if (after === undefined || entries.length >= max)
        return { json: entries, isEach: true, text: () => auditText(entries) }
    }
  },
}

export const AUDIT_OPERATIONS: readonly AdminOperation[] = [
  operation("listAudit", "GET /v1/audit", {
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
    answer: AUDIT_PAGE,
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
    commands: [AUDIT],
  }),
]
