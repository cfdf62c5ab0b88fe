/** The commands of the history of buckets: `bucket history`, `bucket diff` and `bucket restore`. */
import type { Command } from "commander"
import type { z } from "zod"
import { DIFFERENCES, HISTORY } from "../admin/index.js"
import type { AdminClient } from "../client/index.js"
import { checked } from "./checked.js"
import type { ConfirmOptions } from "./confirm.js"
import { CliError } from "./exit-codes.js"
import type { CliIo } from "./io.js"
import { JobCommands } from "./jobs-program.js"
import { momentText } from "./moment-option.js"
import { numberOf, withStore } from "./options.js"
import { answer, answerList, type OutputOptions } from "./output.js"
import { withAdmin, type StoreOptions } from "./stores.js"
import { countText, plural, printable, sizeText } from "./text.js"

type Options = StoreOptions & OutputOptions
type Difference = z.output<typeof DIFFERENCES>["differences"][number]

interface DiffOptions extends Options {
  readonly prefix?: string
}

interface RestoreOptions extends Options, ConfirmOptions {
  readonly to: string
  readonly prefix?: string
  readonly rate?: string
  readonly preview?: boolean
  readonly wait?: boolean
}

export function addHistoryCommands(bucket: Command, io: CliIo, signal: AbortSignal): void {
  withStore(bucket.command("history"))
    .description("since when the history of a bucket is complete: it can be read at every moment from then on")
    .argument("<BUCKET>")
    .action((name: string, options: Options) => history(io, name, options, signal))
  withStore(bucket.command("diff"))
    .description("the objects of a bucket with a history that differ between two moments")
    .argument("<BUCKET>")
    .argument("<FROM>", "2h, 2026-01-31T09:30:00Z")
    .argument("[TO]", "the second moment (default: now)")
    .option("--prefix <PREFIX>", "only keys that begin with it")
    .action((name: string, from: string, to: string | undefined, options: DiffOptions) =>
      diff(io, name, { from, to }, options, signal),
    )
  withStore(bucket.command("restore"))
    .description(
      "make all objects of a bucket with a history what they were at a moment; newer ones get delete markers",
    )
    .argument("<BUCKET>")
    .requiredOption("--to <TIME>", "the moment: 2h, 2026-01-31T09:30:00Z")
    .option("--prefix <PREFIX>", "only keys that begin with it")
    .option("--rate <NUMBER>", "objects a second at most")
    .option("--preview", "show what would be done, and change nothing")
    .option("--yes", "start without counting and asking")
    .option("--wait", "wait until the job has ended; exit code 1 if anything failed")
    .action((name: string, options: RestoreOptions) => restore(io, name, options, signal))
}

const pathOf = (name: string, what: string): string => `/v1/buckets/${encodeURIComponent(name)}/${what}`

async function history(io: CliIo, name: string, options: Options, signal: AbortSignal): Promise<void> {
  const found = checked(HISTORY, await withAdmin(io, options, signal, client => client.get(pathOf(name, "history"))))
  const text =
    found.since === undefined
      ? `${name} has no history; {} as its setting "history" begins one: hayloft bucket settings set ${name} history FILE`
      : `${name} can be read at every moment from ${found.since} on`
  await answer(io, options, found, `${text}\n`)
}

const SIGN = { added: "+", removed: "-", changed: "~" } as const

function lineOf({ key, change, before, after }: Difference): string {
  const size =
    before && after
      ? `${sizeText(before.sizeBytes)} -> ${sizeText(after.sizeBytes)}`
      : sizeText((after ?? before)?.sizeBytes ?? 0)
  const versions = [before, after].flatMap(then => (then === undefined ? [] : [then.versionId])).join(" -> ")
  return `${SIGN[change]} ${printable(key)}  ${size}  ${versions}\n`
}

interface Totals {
  readonly added: number
  readonly removed: number
  readonly changed: number
  readonly unchanged: number
}

/** Pages of one diff: the second moment is that of the first answer. */
async function* pagesOf(client: AdminClient, name: string, query: Readonly<Record<string, string | undefined>>) {
  let place: { readonly to?: string | undefined; readonly after?: string | undefined } = {}
  do {
    const page = checked(DIFFERENCES, await client.get(pathOf(name, "differences"), { ...query, ...place }))
    yield page
    place = { to: page.to, after: page.next }
  } while (place.after !== undefined)
}

async function diff(
  io: CliIo,
  name: string,
  { from, to }: { readonly from: string; readonly to: string | undefined },
  options: DiffOptions,
  signal: AbortSignal,
): Promise<void> {
  const query = {
    from: momentText(from, "FROM", io),
    to: to === undefined ? undefined : momentText(to, "TO", io),
    prefix: options.prefix,
  }
  const totals = { added: 0, removed: 0, changed: 0, unchanged: 0 }
  await withAdmin(io, options, signal, async client => {
    for await (const { differences, unchanged } of pagesOf(client, name, query)) {
      for (const { change } of differences) totals[change] += 1
      totals.unchanged += unchanged.objects
      await answerList(io, options, differences, differences.map(lineOf).join(""))
    }
  })
  await answer(io, options, { totals }, totalsText(totals))
}

const totalsText = ({ added, removed, changed, unchanged }: Totals): string =>
  `${countText(added)} added, ${countText(removed)} removed, ${countText(changed)} changed, ${plural(unchanged, "object")} unchanged\n`

async function restore(io: CliIo, name: string, options: RestoreOptions, signal: AbortSignal): Promise<void> {
  const { to, prefix = "", rate, preview = false, ...rest } = options
  if (preview && options.wait === true)
    throw new CliError("usage", "--preview changes nothing: there is nothing to wait for")
  const itemsPerSecond = rate === undefined ? undefined : numberOf(rate, "--rate")
  const job = {
    kind: "restore-objects",
    prefix,
    to: momentText(to, "--to", io),
    ...(itemsPerSecond && { itemsPerSecond }),
  }
  await new JobCommands(io, options, signal).start(name, job, { ...rest, dryRun: preview })
}
