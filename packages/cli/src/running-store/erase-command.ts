/**
 * `hayloft bucket erase`: begins the erasure of a bucket and waits until it is over. It says "erased" only once no device
 * has a key that opens the bucket; while only devices that are offline hold it up, it names them and ends.
 */
import type { z } from "zod"
import { erasureText, ERASURE_STATE } from "@hayloft/admin/index.js"
import type { AdminClient } from "@hayloft/client/index.js"
import { checked } from "../checked.js"
import { CliError } from "../exit-codes.js"
import type { CliIo } from "../io.js"
import { answer, type OutputOptions } from "../output.js"
import { withAdmin, type StoreOptions } from "../stores.js"

export interface EraseOptions extends StoreOptions, OutputOptions {
  readonly confirm?: string
}

type State = z.output<typeof ERASURE_STATE>

const ASK_EVERY_MS = 1_000

const BACKUP_ADVICE =
  "Make a new backup of the metadata database if there is one: in earlier ones no encrypted object can be opened any more."

export async function eraseCommand(
  io: CliIo,
  bucket: string,
  options: EraseOptions,
  signal: AbortSignal,
): Promise<void> {
  const { confirm } = options
  if (confirm !== bucket) {
    throw new CliError("usage", `nothing was changed; an erasure cannot be undone: add --confirm ${bucket}`)
  }
  const state = await withAdmin(io, options, signal, async client => {
    const path = `/v1/buckets/${encodeURIComponent(bucket)}/erase`
    const begun = checked(ERASURE_STATE, await client.post(path, { confirm }))
    if (options.json !== true)
      io.error(`nothing in bucket ${bucket} can be read through this store any more; its keys are being removed …\n`)
    return ended(io, client, begun, signal)
  })
  if (state.state === "erased") {
    await answer(io, options, state, `erased bucket ${bucket}\n${BACKUP_ADVICE}\n`)
    return
  }
  const waits = state.report === undefined ? "" : `: ${erasureText(state.report)}`
  throw new CliError("failed", `bucket ${bucket} is not erased yet${waits}; it goes on by itself, see: hayloft status`)
}

/** The last state: erased, or held up by nothing but devices that are offline. */
async function ended(io: CliIo, client: AdminClient, begun: State, signal: AbortSignal): Promise<State> {
  let state = begun
  while (state.state === "erasing" && !isHeldUp(state.report)) {
    await io.clock.sleep(ASK_EVERY_MS, signal)
    signal.throwIfAborted()
    state = checked(ERASURE_STATE, await client.get(`/v1/erasures/${begun.bucketId}`))
  }
  return state
}

function isHeldUp(erasure: State["report"]): boolean {
  if (erasure === undefined) return false
  const { keysReplaced, versions, uploads, devices } = erasure
  return keysReplaced && versions + uploads === 0 && devices.length > 0 && devices.every(({ isOffline }) => isOffline)
}
