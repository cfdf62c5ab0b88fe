/**
 * `hayloft cluster reconcile`: asks a node to compare the database, which was rolled back, with the bytes on all devices,
 * shows what it found, and has it carried out. The list of all objects concerned goes to a file.
 */
import { walkPages } from "@hayloft/base/walk-pages.js"
import { writeFile } from "node:fs/promises"
import { resolve } from "node:path"
import type { z } from "zod"
import { STORE_SCHEMAS } from "@hayloft/admin/index.js"
import type { AdminClient } from "@hayloft/client/index.js"
import { checked } from "../checked.js"
import { confirm, type ConfirmOptions } from "../confirm.js"
import { CliError } from "../exit-codes.js"
import type { CliIo } from "../io.js"
import { answer } from "../output.js"
import { withAdmin, type StoreOptions } from "../stores.js"
import { labelled, plural, printable } from "../text.js"

export interface ReconcileOptions extends StoreOptions, ConfirmOptions {
  readonly without?: readonly string[]
  readonly report?: string
}

type Report = z.output<typeof STORE_SCHEMAS.RECONCILIATION>

const PATH = "/v1/reconciliation"
const LOOK_MS = 500

export function reconcileCommand(
  io: CliIo,
  options: ReconcileOptions & { readonly report: string },
  signal: AbortSignal,
): Promise<void> {
  return withAdmin(io, options, signal, async client => {
    const { without = [] } = options
    const file = resolve(io.workingFolder, options.report)
    await client.post(PATH, { without })
    const plan = await settled(client, io, signal)
    await writeEntries(client, file)
    await confirm(io, options, planText(plan, file))
    await client.post(PATH, { confirm: plan.confirmBy })
    const done = await settled(client, io, signal)
    await writeEntries(client, file)
    const { putBack, listed, missing, items } = done
    await answer(
      io,
      options,
      { putBack, listed, missing, items, report: file },
      `${sumsText(done)}\nThe store goes on.\n`,
    )
  })
}

/** The report once nothing is under way. */
async function settled(client: AdminClient, { clock }: CliIo, signal: AbortSignal): Promise<Report> {
  for (;;) {
    const report = checked(STORE_SCHEMAS.RECONCILIATION, await client.get(PATH))
    if (report.phase === "failed") throw new CliError("failed", report.error ?? "the reconciliation has failed")
    if (report.phase === "none") throw new CliError("failed", "the node was started again: repeat the command")
    if (report.phase === "planned" || report.phase === "done") return report
    await clock.sleep(LOOK_MS, signal)
    signal.throwIfAborted()
  }
}

async function writeEntries(client: AdminClient, file: string): Promise<void> {
  const lines: string[] = []
  const pages = walkPages(0, async from =>
    checked(STORE_SCHEMAS.RECONCILE_ENTRIES, await client.get(`${PATH}/entries`, { from: String(from) })),
  )
  for await (const { entries } of pages) for (const entry of entries) lines.push(JSON.stringify(entry))
  await writeFile(file, lines.map(line => `${line}\n`).join(""))
}

const sumsText = ({ putBack, listed, missing, items }: Report): string =>
  [
    labelled("put back", `${plural(putBack, "upload")}, certain to belong to their keys; ${plural(items, "K2V item")}`),
    labelled("listed", `${plural(listed, "upload")}, left for you to decide about`),
    labelled("missing", `${plural(missing, "row")}, whose bytes are gone`),
  ].join("\n")

const planText = (plan: Report, file: string): string => `${printable(plan.halt ?? "")}

${sumsText(plan)}
The list is in ${printable(file)}. What is listed is kept for 24 hours from now on.

What the bytes cannot show:
- Messages of queues come back from the newest metadata backup, and are delivered again, even if they were acknowledged since.
  Those that are delivered at most once are removed.
- Small files come back from that backup where it has newer ones. All sessions end, with their locks: since the database was
  copied, others may have held them.
- K2V items are put back as the newest metadata backup has them: what was written or deleted after it is lost.
- Objects of up to 4 KiB, settings, accounts, permissions and buckets that were written since are lost.
- Objects and buckets that were deleted since are back.
- Tags, access control lists, and headers but Content-Type, of what is put back are lost.
- Object lock: what is put back has the retention and the legal hold that its bytes tell, and otherwise the default
  retention of its bucket from now on. Changes of them since, and of default retentions, are lost.

`
