/** `hayloft audit`: which changes the admin API was asked for, by whom, and how they ended. */
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
  readonly max: string
}

const PAGE_MAX = 500

export function addAuditCommand(program: Command, io: CliIo, signal: AbortSignal): void {
  withStore(program.command("audit"))
    .description(
      "changes that were made by the admin API, the latest first; --json shows what was there before and after",
    )
    .option("--since <TIME>", "only later ones: 2h, 2026-01-31T09:30:00Z")
    .option("--max <N>", "at most so many", "100")
    .action((options: AuditOptions) => audit(io, options, signal))
}

async function audit(io: CliIo, options: AuditOptions, signal: AbortSignal): Promise<void> {
  const max = /^[1-9]\d{0,6}$/.test(options.max) ? Number(options.max) : 0
  if (max === 0) throw new CliError("usage", "--max must be a number from 1 on")
  const sinceMs = pastMs(options.since, "--since", io) ?? 0
  const entries = await withAdmin(io, options, signal, async client => {
    const found: Entry[] = []
    for (let after: string | undefined; ;) {
      const query = { max: String(Math.min(PAGE_MAX, max - found.length)), ...(after !== undefined && { after }) }
      const page = checked(AUDIT_PAGE, await client.get("/v1/audit", query))
      const later = page.entries.filter(({ atMs }) => atMs >= sinceMs)
      found.push(...later)
      after = page.next
      if (after === undefined || later.length < page.entries.length || found.length >= max) return found
    }
  })
  const rows = entries.map(({ atMs, caller, operation, target, ended }) => [
    ...[timeText(atMs), caller.kind === "token" ? printable(caller.name) : caller.kind, caller.address],
    ...[operation, printable(target), ended?.outcome ?? "unknown"],
  ])
  await answerList(io, options, entries, tableText(["TIME", "WHO", "ADDRESS", "OPERATION", "TARGET", "OUTCOME"], rows))
}
