/** The commands of undelete: `bucket undelete enable`, `disable`, `list`, `restore` and `purge`. */
import type { Command } from "commander"
import type { z } from "zod"
import { DELETED_OBJECTS, PURGED, RESTORED, RESTORED_PREFIX, UNDELETE } from "../admin/index.js"
import type { AdminClient } from "../client/index.js"
import { checked } from "./checked.js"
import { confirm, type ConfirmOptions } from "./confirm.js"
import { CliError } from "./exit-codes.js"
import type { CliIo } from "./io.js"
import { group, withStore } from "./options.js"
import { pastMs } from "./past-time.js"
import { answer, answerList, type OutputOptions } from "./output.js"
import { withAdmin, type StoreOptions } from "./stores.js"
import { countText, plural, printable, rowsText, sizeText, timeText } from "./text.js"

type Kept = z.output<typeof UNDELETE>
type Deleted = z.output<typeof DELETED_OBJECTS>["deleted"][number]
type Options = StoreOptions & OutputOptions

interface Amount {
  readonly objects: number
  readonly bytes: number
}

interface ListOptions extends Options {
  readonly prefix?: string
  readonly since?: string
}

interface RestoreOptions extends Options {
  readonly prefix?: string
  readonly at?: string
  readonly over?: true
}

interface PurgeOptions extends StoreOptions, ConfirmOptions {
  readonly prefix?: string
}

const DAYS_DEFAULT = "3"

export function addUndeleteCommands(bucket: Command, io: CliIo, signal: AbortSignal): void {
  const undelete = group(bucket, "undelete").description(
    "keep what is deleted and overwritten in a bucket without versioning for some days, and get it back",
  )
  withStore(undelete.command("enable"))
    .description("keep what is deleted and overwritten in a bucket without versioning from now on")
    .argument("<BUCKET>")
    .option("--days <N>", "for how long, 1 to 365; what is kept already stays until its time", DAYS_DEFAULT)
    .action((name: string, options: Options & { days: string }) => enable(io, name, options, signal))
  withStore(undelete.command("disable"))
    .description("keep nothing more; what is kept stays until its time")
    .argument("<BUCKET>")
    .action((name: string, options: Options) => disable(io, name, options, signal))
  withStore(undelete.command("list"))
    .description("what is kept of a bucket, by key")
    .argument("<BUCKET>")
    .option("--prefix <PREFIX>", "only keys that begin with it")
    .option("--since <TIME>", "only what was deleted or overwritten since: 2h, 2026-01-31T09:30:00Z")
    .action((name: string, options: ListOptions) => list(io, name, options, signal))
  withStore(undelete.command("restore"))
    .description("make the newest kept version of a key, or of all keys with a prefix, its object again")
    .argument("<BUCKET>")
    .argument("[KEY]")
    .option("--prefix <PREFIX>", "all keys that begin with it")
    .option("--at <TIME>", "what was the object at this time: 2h, 2026-01-31T09:30:00Z")
    .option("--over", "also over existing objects, which are kept in turn")
    .action((name: string, key: string | undefined, options: RestoreOptions) => restore(io, name, key, options, signal))
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
const keptText = ({ objects, bytes }: Amount): string => `${plural(objects, "object")}, ${sizeText(bytes)}`

async function enable(
  io: CliIo,
  name: string,
  options: Options & { readonly days: string },
  signal: AbortSignal,
): Promise<void> {
  const days = /^\d{1,3}$/.test(options.days) ? Number(options.days) : 0
  if (days < 1 || days > 365) throw new CliError("usage", "--days is a whole number from 1 to 365")
  const reply = await withAdmin(io, options, signal, client => client.post(pathOf(name), { days }))
  const text = `${name} keeps what is deleted and overwritten for ${plural(days, "day")} from now on\n`
  await answer(io, options, { bucket: name, ...checked(UNDELETE, reply) }, text)
}

async function disable(io: CliIo, name: string, options: Options, signal: AbortSignal): Promise<void> {
  const kept = await withAdmin(io, options, signal, async client => {
    await client.remove(pathOf(name))
    return checked(UNDELETE, await client.get(pathOf(name)))
  })
  await answer(io, options, { bucket: name, ...kept }, disabledText(name, kept))
}

function disabledText(name: string, { kept }: Kept): string {
  const amount = kept === undefined ? "what is kept" : keptText(kept)
  const rest = kept?.objects === 0 ? "" : `; ${amount}: until their time, or until a purge`
  return `${name} keeps nothing more that is deleted or overwritten${rest}\n`
}

const HEAD = ["DELETED", "UNTIL", "REASON", "SIZE", "KEY"]
/** Pages line up: the columns have the same widths in all of them. */
const WIDTHS = [timeText(0).length, timeText(0).length, "overwritten".length, "1023.9 GiB".length]

const rowOf = ({ key, deletedMs, untilMs, reason, sizeBytes }: Deleted): readonly string[] => [
  ...[timeText(deletedMs), timeText(untilMs), reason, sizeText(sizeBytes)],
  printable(key),
]

async function* pagesOf(
  client: AdminClient,
  name: string,
  query: { readonly prefix?: string | undefined; readonly sinceMs?: string | undefined },
): AsyncGenerator<readonly Deleted[]> {
  let after: string | undefined
  do {
    const page = checked(DELETED_OBJECTS, await client.get(`${pathOf(name)}/deleted`, { ...query, after }))
    if (page.deleted.length > 0) yield page.deleted
    after = page.next
  } while (after !== undefined)
}

async function list(io: CliIo, name: string, options: ListOptions, signal: AbortSignal): Promise<void> {
  const { prefix, since } = options
  const sinceMs = pastMs(since, "--since", io)?.toString()
  let isFirst = true
  await withAdmin(io, options, signal, async client => {
    for await (const page of pagesOf(client, name, { prefix, sinceMs })) {
      const rows = page.map(rowOf)
      await answerList(io, options, page, rowsText(isFirst ? [HEAD, ...rows] : rows, WIDTHS))
      isFirst = false
    }
  })
  if (isFirst) await answerList(io, options, [], `nothing is kept of ${printable(placeOf(name, undefined, prefix))}\n`)
}

/** `photos`, `photos/cat.jpg`, `photos/2019/*`. */
const placeOf = (name: string, key: string | undefined, prefix: string | undefined): string =>
  key !== undefined ? `${name}/${key}` : prefix === undefined ? name : `${name}/${prefix}*`

async function restore(
  io: CliIo,
  name: string,
  key: string | undefined,
  options: RestoreOptions,
  signal: AbortSignal,
): Promise<void> {
  const { prefix, over = false } = options
  if ((key === undefined) === (prefix === undefined)) {
    throw new CliError("usage", `name a key, or --prefix PREFIX; --prefix "" is the whole bucket`)
  }
  const request = { atMs: pastMs(options.at, "--at", io), over }
  await withAdmin(io, options, signal, client =>
    key === undefined
      ? restorePrefix(io, client, options, { name, prefix, ...request })
      : restoreKey(io, client, options, { name, key, ...request }),
  )
}

interface Wanted {
  readonly name: string
  readonly atMs: number | undefined
  readonly over: boolean
}

async function restoreKey(
  io: CliIo,
  client: AdminClient,
  options: Options,
  { name, ...request }: Wanted & { readonly key: string },
): Promise<void> {
  const { outcome } = checked(RESTORED, await client.post(`${pathOf(name)}/restore`, request))
  const place = printable(placeOf(name, request.key, undefined))
  if (outcome === "exists") {
    throw new CliError("conflict", `${place} exists; add --over to replace it: what is there now is kept in turn`)
  }
  if (outcome === "nothingKept") {
    throw new CliError("notFound", `nothing is kept of ${place}${request.atMs === undefined ? "" : " of that time"}`)
  }
  await answer(io, options, { bucket: name, key: request.key, restored: 1 }, `restored ${place}\n`)
}

const existText = (count: number): string =>
  count === 1 ? "1 exists and stays as it is" : `${countText(count)} exist and stay as they are`

async function restorePrefix(
  io: CliIo,
  client: AdminClient,
  options: Options,
  { name, ...request }: Wanted & { readonly prefix: string | undefined },
): Promise<void> {
  const sum = { restored: 0, exist: 0, nothingKept: 0 }
  let after: string | undefined
  do {
    const page = checked(RESTORED_PREFIX, await client.post(`${pathOf(name)}/restore-prefix`, { ...request, after }))
    sum.restored += page.restored
    sum.exist += page.exist
    sum.nothingKept += page.nothingKept
    after = page.next
  } while (after !== undefined)
  const { restored, exist, nothingKept } = sum
  const place = printable(placeOf(name, undefined, request.prefix))
  if (restored + exist === 0) {
    throw new CliError("notFound", `nothing is kept of ${place}${request.atMs === undefined ? "" : " of that time"}`)
  }
  const text = [
    `restored ${countText(restored)} of ${place}`,
    ...(exist === 0 ? [] : [`${existText(exist)} (--over replaces ${exist === 1 ? "it" : "them"})`]),
    ...(nothingKept === 0 ? [] : [`of ${countText(nothingKept)} nothing of that time is kept`]),
  ]
  await answer(io, options, { bucket: name, prefix: request.prefix, ...sum }, `${text.join("; ")}\n`)
}

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
    const kept = await sumOf(pagesOf(client, name, { prefix: key ?? prefix }), key)
    const place = printable(placeOf(name, key, isAll ? undefined : prefix))
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

/** Returns the sum of all keys, or of one. */
async function sumOf(pages: AsyncIterable<readonly Deleted[]>, wanted: string | undefined): Promise<Amount> {
  let [objects, bytes] = [0, 0]
  for await (const page of pages) {
    for (const { key, sizeBytes } of page) {
      if (wanted !== undefined && key !== wanted) continue
      objects += 1
      bytes += sizeBytes
    }
  }
  return { objects, bytes }
}
