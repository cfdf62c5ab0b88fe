/** `hayloft audit`: which changes were asked for, by whom, and how they ended. */
import type { Command } from "commander"
import type { z } from "zod"
import { AUDIT_PAGE } from "../admin/index.js"
import { checked } from "./checked.js"
import { CliError } from "./exit-codes.js"
import type { CliIo } from "./io.js"
import { withStore } from "./options.js"
import { answerList, type OutputOptions } from "./output.js"
import { pastMs } from "./past-time.js"
import { withAdmin, type StoreOptions } from "./stores.js"
import { printable, tableText, timeText } from "./text.js"

type Entry = z.output<typeof AUDIT_PAGE>["entries"][number]

interface AuditOptions extends StoreOptions, OutputOptions {
  readonly since?: string
  readonly until?: string
  readonly caller?: string
  readonly operation?: string
  readonly target?: string
  readonly max: string
}

const PAGE_MAX = 500

export function addAuditCommand(program: Command, io: CliIo, signal: AbortSignal): void {
  withStore(program.command("audit"))
    .description(
      "changes by the admin API, by S3 (of buckets and their settings), IAM and KMS, the latest first; --json shows what was there before and after; a * in a filter stands for any characters",
    )
    .option("--since <TIME>", "only later ones: 2h, 2026-01-31T09:30:00Z")
    .option("--until <TIME>", "only earlier ones")
    .option("--caller <NAME>", "id or name of the caller: a token, an access key, an ARN; operator")
    .option("--operation <NAME>", "s3:PutBucketPolicy, iam:*, setBucketQuota")
    .option("--target <NAME>", "what it was applied to: a bucket, an ARN")
    .option("--max <N>", "at most so many", "100")
    .action((options: AuditOptions) => audit(io, options, signal))
}

const given = (query: Readonly<Record<string, string | undefined>>): Record<string, string> =>
  Object.fromEntries(Object.entries(query).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])))

async function audit(io: CliIo, options: AuditOptions, signal: AbortSignal): Promise<void> {
  const max = /^[1-9]\d{0,6}$/.test(options.max) ? Number(options.max) : 0
  if (max === 0) throw new CliError("usage", "--max must be a number from 1 on")
  const { caller, operation, target } = options
  const filter = {
    ...{ caller, operation, target },
    sinceMs: pastMs(options.since, "--since", io)?.toString(),
    untilMs: pastMs(options.until, "--until", io)?.toString(),
  }
  const entries = await withAdmin(io, options, signal, async client => {
    const found: Entry[] = []
    for (let after: string | undefined; ;) {
      const query = { ...filter, max: String(Math.min(PAGE_MAX, max - found.length)), after }
      const page = checked(AUDIT_PAGE, await client.get("/v1/audit", given(query)))
      found.push(...page.entries)
      after = page.next
      if (after === undefined || found.length >= max) return found
    }
  })
  const rows = entries.map(({ atMs, caller, operation, target, ended }) => [
    ...[timeText(atMs), caller.name === "" ? caller.kind : printable(caller.name), caller.address],
    ...[operation, printable(target), ended?.outcome ?? "unknown"],
  ])
  await answerList(io, options, entries, tableText(["TIME", "WHO", "ADDRESS", "OPERATION", "TARGET", "OUTCOME"], rows))
}
