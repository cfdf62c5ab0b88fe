/**
 * `hayloft top`: what the store serves and does now, as a screen that refreshes; without a terminal, or with `--json`, once.
 *
 * Promises  The terminal is as before after any end that a process can survive to see: q, Ctrl-C, a signal, an error.
 */
import type { Command } from "commander"
import { Rest } from "@hayloft/base/life/index.js"
import { STORE_SCHEMAS, TRAFFIC } from "@hayloft/admin/index.js"
import type { AdminClient } from "@hayloft/client/index.js"
import { checked } from "../checked.js"
import type { CliIo, Terminal } from "../io.js"
import { withStore } from "../options.js"
import { answer, type OutputOptions } from "../output.js"
import { withAdmin, type StoreOptions } from "../stores.js"
import { paintOf } from "../terminal-text.js"
import { metricIn, SORTS, topLines, topText, type TopSnapshot, type Sort } from "./top-core.js"

const REFRESH_MS = 2_000
const CTRL_C = "\x03"
/** To the left upper corner; to the end of the line; to the end of the screen. */
const [HOME, CLEAR_LINE, CLEAR_REST] = ["\x1b[H", "\x1b[K", "\x1b[J"]

interface TopOptions extends StoreOptions, OutputOptions {
  readonly node?: string
}

export function addTopCommand(program: Command, io: CliIo, signal: AbortSignal): void {
  withStore(program.command("top"))
    .description("what the store serves and does now: traffic by bucket, account and node, devices, jobs, memory")
    .option("--node <NAME>", "traffic of this node only; of all by default")
    .action((options: TopOptions) => top(io, options, signal))
}

async function top(io: CliIo, options: TopOptions, signal: AbortSignal): Promise<void> {
  const { terminal } = io
  await withAdmin(io, options, signal, async client => {
    if (terminal !== undefined && options.json !== true)
      return watch(io, terminal, () => snapshotOf(client, options), signal)
    const snapshot = await snapshotOf(client, options)
    return answer(io, options, jsonOf(snapshot), topText(snapshot, "requests"))
  })
}

const jsonOf = ({ traffic, status, memoryBytes, loopDelayMs }: TopSnapshot) => ({
  ...traffic,
  devices: status.devices.map(({ id, path, state, queues, freeBytes }) => ({ id, path, state, queues, freeBytes })),
  jobs: status.jobs,
  memoryBytes,
  loopDelayMs,
})

async function snapshotOf(client: AdminClient, { node }: TopOptions): Promise<TopSnapshot> {
  const [traffic, status, metrics] = await Promise.all([
    client.get("/v1/traffic", node === undefined ? {} : { node }),
    client.get("/v1/status"),
    // A token may lack the scope; then these figures are unknown.
    client.text("/metrics").catch(() => ""),
  ])
  const loopSeconds = metricIn(metrics, 'hayloft_event_loop_delay_seconds{quantile="0.99"}')
  return {
    traffic: checked(TRAFFIC, traffic),
    status: checked(STORE_SCHEMAS.STATUS, status),
    memoryBytes: metricIn(metrics, "process_resident_memory_bytes"),
    loopDelayMs: loopSeconds === undefined ? undefined : loopSeconds * 1000,
  }
}

async function watch(
  io: CliIo,
  terminal: Terminal,
  look: () => Promise<TopSnapshot>,
  signal: AbortSignal,
): Promise<void> {
  const quit = new AbortController()
  const stop = (): void => quit.abort()
  signal.addEventListener("abort", stop, { once: true })
  if (signal.aborted) stop()
  let sort: Sort = "requests"
  const rest = new Rest(io.clock)
  const close = terminal.open(key => {
    if (key === "q" || key === CTRL_C) stop()
    else if (key === "r" || key === "e" || key === "l" || key === "b") sort = SORTS[key]
    rest.wake()
  })
  const paint = paintOf(io)
  try {
    while (!quit.signal.aborted) {
      const lines = topLines(await look(), sort, terminal.size(), paint)
      if (!quit.signal.aborted) await io.out(`${HOME}${lines.join(`${CLEAR_LINE}\n`)}${CLEAR_LINE}${CLEAR_REST}`)
      await rest.until(REFRESH_MS, quit.signal)
    }
  } catch (error) {
    if (!quit.signal.aborted) throw error
  } finally {
    close()
    signal.removeEventListener("abort", stop)
  }
}
