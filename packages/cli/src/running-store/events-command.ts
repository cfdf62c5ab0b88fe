/**
 * `hayloft events`: notable events of all nodes, those of the past and, with `--follow`, those that occur from now on.
 */
import type { Command } from "commander"
import type { z } from "zod"
import { EVENT_PAGE, FOLLOWED_EVENT, streamOf, type EVENT } from "@hayloft/admin/index.js"
import { explain } from "@hayloft/admin/explain/index.js"
import { checked } from "../checked.js"
import { CliError } from "../exit-codes.js"
import type { CliIo } from "../io.js"
import { withStore } from "../options.js"
import { answerList, type OutputOptions } from "../output.js"
import { byStoreClock, pastMs } from "./past-time.js"
import { withAdmin, type StoreOptions } from "../stores.js"
import { printable, tableText, timeText } from "../text.js"

type Event = z.output<typeof EVENT>
const LINE = streamOf(FOLLOWED_EVENT)

interface EventsOptions extends StoreOptions, OutputOptions {
  readonly since?: string
  readonly level?: string
  readonly code?: string
  readonly node?: string
  readonly max: string
  readonly follow?: boolean
}

const PAGE_MAX = 500

export function addEventsCommand(program: Command, io: CliIo, signal: AbortSignal): void {
  withStore(program.command("events"))
    .description(
      "notable events of all nodes, the latest first: what their logs say at warn and above, starts and stops, changes of devices, ends of repair",
    )
    .option("--since <TIME>", "only later ones: 2h, 2026-01-31T09:30:00Z")
    .option("--level <LEVEL>", "only this level and above: info, warn, error")
    .option("--code <CODE>", "only those with this code; hayloft explain CODE says what it means")
    .option("--node <NODE>", "only those of this node")
    .option("--max <N>", "at most so many", "100")
    .option("--follow", "go on with those that occur from now on, the oldest first, until Ctrl-C")
    .action((options: EventsOptions) => events(io, options, signal))
}

const given = (query: Readonly<Record<string, string | undefined>>): Record<string, string> =>
  Object.fromEntries(Object.entries(query).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])))

async function events(io: CliIo, options: EventsOptions, signal: AbortSignal): Promise<void> {
  const max = /^[1-9]\d{0,6}$/.test(options.max) ? Number(options.max) : 0
  if (max === 0) throw new CliError("usage", "--max must be a number from 1 on")
  const { level, code, node } = options
  const askStore = () => withAdmin(io, options, signal, client => client.nowMs())
  const sinceMs = await byStoreClock(io, askStore, timed => pastMs(options.since, "--since", timed))
  const filter = { level, code, node, sinceMs: sinceMs?.toString() }
  if (options.follow === true) return follow(io, options, filter, signal)
  const incomplete: string[] = []
  const found = await withAdmin(io, options, signal, async client => {
    const all: Event[] = []
    for (let after: string | undefined; ;) {
      const query = { ...filter, max: String(Math.min(PAGE_MAX, max - all.length)), after }
      const page = checked(EVENT_PAGE, await client.get("/v1/events", given(query)))
      all.push(...page.events)
      if (page.incomplete !== undefined) incomplete.push(page.incomplete)
      after = page.next
      if (after === undefined || all.length >= max) return all
    }
  })
  const rows = found.map(event => [...cellsOf(event)])
  await answerList(io, options, found, tableText(["TIME", "LEVEL", "CODE", "NODE", "TIMES", "WHAT"], rows))
  for (const reason of incomplete) io.error(`hayloft: only events of one node that are not stored yet: ${reason}\n`)
}

/** The start of what the code means, and the fields of the line. */
function cellsOf({ atMs, level, code, node = "", count, fields }: Event): readonly string[] {
  const values = Object.entries(fields).map(([name, value]) => `${name}=${String(value)}`)
  const what = [explain(code)[0]?.summary, values.join(" ")].filter(text => text !== undefined && text !== "")
  return [timeText(atMs), level, code, printable(node), String(count), printable(what.join("; "))]
}

async function follow(
  io: CliIo,
  options: EventsOptions,
  filter: Readonly<Record<string, string | undefined>>,
  signal: AbortSignal,
): Promise<void> {
  try {
    await withAdmin(io, options, signal, async client => {
      for await (const line of client.lines("/v1/events/follow", given(filter))) {
        await show(io, options, checked(LINE, line))
      }
    })
  } catch (error) {
    // Ctrl-C is how it ends.
    if (!signal.aborted) throw error
  }
}

async function show(io: CliIo, options: OutputOptions, line: z.output<typeof LINE>): Promise<void> {
  if (line.type === "end") throw new CliError("failed", line.reason)
  if (line.type === "heartbeat") return
  if (options.json === true) return io.out(`${JSON.stringify(line)}\n`)
  if (line.type === "dropped") return io.error(`hayloft: ${line.lines} events are not shown: this reader is too slow\n`)
  await io.out(`${cellsOf(line).join("  ")}\n`)
}
