/** `hayloft cluster init` and `leave`: ask the running store to move its metadata, and follow it. */
import type { z } from "zod"
import { STORE_SCHEMAS } from "@hayloft/admin/index.js"
import { Unreachable, type AdminClient } from "@hayloft/client/index.js"
import { checked } from "../checked.js"
import { namedBuckets } from "../confirm.js"
import { CliError } from "../exit-codes.js"
import type { CliIo } from "../io.js"
import { answer } from "../output.js"
import type { StoreCommandOptions } from "./store-commands.js"
import { withAdmin } from "../stores.js"
import { printable, tableText } from "../text.js"

export interface InitOptions extends StoreCommandOptions {
  readonly node?: string
  readonly zone?: string
  readonly machine?: string
  readonly nodeListen?: string
  readonly nodeAddress?: string
}

type Report = z.output<typeof STORE_SCHEMAS.CONVERSION>

const LOOK_EVERY_MS = 500
/** The admin port does not answer while the store is opened again. */
const SILENCE_MS_MAX = 120_000

export const initCluster = (io: CliIo, databaseUrl: string, options: InitOptions, signal: AbortSignal): Promise<void> =>
  follow(io, options, signal, client => {
    const { node, zone, machine, nodeListen, nodeAddress } = options
    return client.post("/v1/cluster/init", { databaseUrl, node, zone, machine, nodeListen, nodeAddress })
  })

export interface LeaveOptions extends StoreCommandOptions {
  readonly lockedBuckets?: string
}

export const leaveCluster = (io: CliIo, options: LeaveOptions, signal: AbortSignal): Promise<void> =>
  follow(io, options, signal, client => {
    const lockedBuckets = namedBuckets(options)
    return client.post("/v1/cluster/leave", lockedBuckets.length === 0 ? {} : { lockedBuckets })
  })

async function follow(
  io: CliIo,
  options: StoreCommandOptions,
  signal: AbortSignal,
  begin: (client: AdminClient) => Promise<unknown>,
): Promise<void> {
  const last = await withAdmin(io, options, signal, async client => {
    let report = checked(STORE_SCHEMAS.CONVERSION, await begin(client))
    let shown = ""
    while (report.state === "copying" || report.state === "switching") {
      if (options.json !== true && report.progress !== shown) io.error(`${printable(report.progress)}\n`)
      shown = report.progress
      await io.clock.sleep(LOOK_EVERY_MS, signal)
      signal.throwIfAborted()
      report = await reportOf(io, client)
    }
    return report
  })
  if (last.state !== "done") throw new CliError("failed", last.progress)
  const settings = Object.entries(last.settings ?? {}).map(([flag, value]) => [flag, printable(value)])
  const table = settings.length === 0 ? "" : tableText(["SETTING", "VALUE"], settings)
  await answer(io, options, last, `${printable(last.progress)}\n${table}`)
}

async function reportOf(io: CliIo, client: AdminClient): Promise<Report> {
  const untilMs = io.clock.monotonicMs() + SILENCE_MS_MAX
  for (;;) {
    try {
      return checked(STORE_SCHEMAS.CONVERSION, await client.get("/v1/cluster/conversion"))
    } catch (error) {
      if (!(error instanceof Unreachable) || io.clock.monotonicMs() > untilMs) throw error
      await io.clock.sleep(LOOK_EVERY_MS, new AbortController().signal)
    }
  }
}
