/**
 * Changes of a store that have a plan: it is shown first, and the change is made once it is confirmed, by `--yes` or an
 * answer at the terminal; a script without `--yes` changes nothing. An answer is one to the plan that was shown: if the
 * outcome would be worse by then, the store refuses the change. `--wait` waits until all shards are in their places.
 */
import type { z } from "zod"
import { planText, STORE_SCHEMAS, workText, type Status } from "@hayloft/admin/index.js"
import type { AdminClient } from "@hayloft/client/index.js"
import { checked } from "../checked.js"
import { confirm, type ConfirmOptions } from "../confirm.js"
import type { CliIo } from "../io.js"
import { answer, type OutputOptions } from "../output.js"
import type { StoreOptions } from "../stores.js"

export interface ChangeOptions extends StoreOptions, OutputOptions, ConfirmOptions {
  readonly dryRun?: boolean
  readonly wait?: boolean
}

/** Sends a request with more members of its body. */
type SendChange = (more: Readonly<Record<string, unknown>>) => Promise<unknown>

const WAIT_LOOK_MS = 1_000
/** Number of consecutive checks without remaining work that end the wait. */
const QUIET_CHECKS = 3

/** Plans, shows the plan, asks, changes, and waits if requested. */
export async function planAndChange(
  io: CliIo,
  client: AdminClient,
  options: ChangeOptions,
  signal: AbortSignal,
  send: SendChange,
): Promise<void> {
  const planned = checked(STORE_SCHEMAS.CHANGE, await send({ dryRun: true }))
  if (options.dryRun === true) return answer(io, options, planned, planText(planned.plan))
  const { confirmBy, lockedBuckets, outlook } = planned.plan
  const isAnswered = await confirm(io, options, planText(planned.plan), { name: confirmBy, lockedBuckets })
  const confirmation = {
    ...(confirmBy && { confirm: confirmBy }),
    ...(lockedBuckets && { lockedBuckets }),
    ...(isAnswered && { outlook }),
  }
  const made = checked(STORE_SCHEMAS.CHANGE, await send(confirmation))
  if (options.wait === true) await waitUntilSettled(io, client, signal)
  await answer(io, options, made, options.wait === true ? "done\n" : startedText(made))
}

async function waitUntilSettled(io: CliIo, client: AdminClient, signal: AbortSignal): Promise<void> {
  let [shown, quiet] = ["", 0]
  // The work of a change may take a moment to show.
  while (quiet < QUIET_CHECKS) {
    const left = workLeft(checked(STORE_SCHEMAS.STATUS, await client.get("/v1/status")))
    quiet = left === undefined ? quiet + 1 : 0
    if (io.errorIsTerminal && left !== undefined && left !== shown) io.error(`\r\x1b[K${left}`)
    shown = left ?? shown
    await io.clock.sleep(WAIT_LOOK_MS, signal)
    signal.throwIfAborted()
  }
  if (io.errorIsTerminal && shown !== "") io.error("\r\x1b[K")
}

const startedText = ({ job }: z.output<typeof STORE_SCHEMAS.CHANGE>): string =>
  `started; hayloft status shows the progress${job === undefined ? "" : `, and hayloft jobs watch ${job.id}`}\n`

/** The unfinished work of a change; undefined if there is none. */
function workLeft({ layout, devices, reencoding, repair }: Status): string | undefined {
  const coming = devices.filter(({ state }) => state === "rebuilding" || state === "decommissioning")
  const { transition } = layout
  if (transition === undefined && coming.length === 0 && reencoding === undefined) return undefined
  const works = [
    ...(transition?.progress === undefined ? [] : [`moving ${workText(transition.progress)}`]),
    ...(reencoding === undefined ? [] : [`re-encoding ${workText(reencoding)}`]),
    ...(repair === undefined || repair.progress.remainingBytes === 0 ? [] : [`repair ${workText(repair.progress)}`]),
  ]
  return works.length === 0 ? "waiting for shards to move" : works.join("; ")
}
