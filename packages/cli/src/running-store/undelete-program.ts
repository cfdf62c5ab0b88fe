/** The command of undelete that asks: `bucket undelete purge`. */
import type { Command } from "commander"
import { DELETED_OBJECTS, keptPlace, keptText, pagesOf, PURGED } from "@hayloft/admin/index.js"
import type { AdminClient } from "@hayloft/client/index.js"
import { checked } from "../checked.js"
import { confirm, type ConfirmOptions } from "../confirm.js"
import { CliError } from "../exit-codes.js"
import type { CliIo } from "../io.js"
import { withStore } from "../options.js"
import { answer } from "../output.js"
import { withAdmin, type StoreOptions } from "../stores.js"

interface PurgeOptions extends StoreOptions, ConfirmOptions {
  readonly prefix?: string
}

export function addPurgeCommand(undelete: Command, io: CliIo, signal: AbortSignal): void {
  withStore(undelete.command("purge"))
    .description("remove what is kept of a bucket, of a key or below a prefix before its time")
    .argument("<BUCKET>")
    .argument("[KEY]")
    .option("--prefix <PREFIX>", "all keys that begin with it")
    .option("--yes", "remove it without asking")
    .option("--confirm <BUCKET>", "in addition to --yes, if everything is removed")
    .action((name: string, key: string | undefined, options: PurgeOptions) => purge(io, name, key, options, signal))
}

const pathOf = (name: string): string => `/v1/buckets/${encodeURIComponent(name)}/undelete`

async function purge(
  io: CliIo,
  name: string,
  key: string | undefined,
  options: PurgeOptions,
  signal: AbortSignal,
): Promise<void> {
  const { prefix } = options
  if (key !== undefined && prefix !== undefined) throw new CliError("usage", "name a key or --prefix, not both")
  const isAll = key === undefined && (prefix === undefined || prefix === "")
  await withAdmin(io, options, signal, async client => {
    const kept = await sumOf(client, name, { prefix, key })
    const place = keptPlace(name, { key, prefix: isAll ? undefined : prefix })
    if (kept.objects === 0) {
      await answer(io, options, { bucket: name, objects: 0, bytes: 0 }, `nothing is kept of ${place}\n`)
      return
    }
    const text = `removes what is kept of ${place}: ${keptText(kept)}; it cannot be restored any more\n`
    await confirm(io, options, text, { name: isAll ? name : undefined })
    const what = key === undefined ? { prefix: prefix ?? "" } : { key }
    const purged = { objects: 0, bytes: 0 }
    for (let hasMore = true; hasMore;) {
      const page = checked(PURGED, await client.post(`${pathOf(name)}/purge`, what))
      purged.objects += page.objects
      purged.bytes += page.bytes
      hasMore = page.hasMore
    }
    await answer(io, options, { bucket: name, ...purged }, `removed ${keptText(purged)}\n`)
  })
}

/** Returns the sum of all that is kept of the bucket, below a prefix, or of a key. */
async function sumOf(
  client: AdminClient,
  name: string,
  { prefix, key: wanted }: { readonly prefix: string | undefined; readonly key: string | undefined },
): Promise<{ readonly objects: number; readonly bytes: number }> {
  let [objects, bytes] = [0, 0]
  const query = { prefix: wanted ?? prefix }
  const pages = pagesOf(async ({ after }) =>
    checked(DELETED_OBJECTS, await client.get(`${pathOf(name)}/deleted`, { ...query, after })),
  )
  for await (const { deleted } of pages)
    for (const { key, sizeBytes } of deleted) {
      if (wanted !== undefined && key !== wanted) continue
      objects += 1
      bytes += sizeBytes
    }
  return { objects, bytes }
}
