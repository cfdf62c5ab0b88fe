/** The commands for remote buckets: `remote stores`, `set`, `show`, `unset` and `pending`. */
import type { Command } from "commander"
import type { z } from "zod"
import { BUCKET_SETTING, PENDING_COUNTED_MAX, PENDING_WRITES, REMOTES } from "../admin/index.js"
import type { AdminClient } from "../client/index.js"
import { checked } from "./checked.js"
import { CliError } from "./exit-codes.js"
import type { CliIo } from "./io.js"
import { group, withStore } from "./options.js"
import { answer, answerList, type OutputOptions } from "./output.js"
import { withAdmin, type StoreOptions } from "./stores.js"
import { countText, printable, sizeText, tableText, timeText } from "./text.js"

type Options = StoreOptions & OutputOptions
type Report = z.output<typeof REMOTES>
type Setting = z.output<typeof BUCKET_SETTING>
type Pending = z.output<typeof PENDING_WRITES>

interface SetOptions extends Options {
  readonly store: string
  readonly bucket: string
  readonly prefix?: string
  readonly writes?: string
  readonly freshness?: string
  readonly serveStale?: true
  readonly opaqueEtags?: true
  readonly create?: true
}

/** By the words of the option. */
const WRITES: ReadonlyMap<string, string> = new Map([
  ["through", "Through"],
  ["back", "Back"],
  ["none", "None"],
])

const bucketPath = (bucket: string): string => `/v1/buckets/${encodeURIComponent(bucket)}`
const settingPath = (bucket: string): string => `${bucketPath(bucket)}/settings/remote`

export function addRemoteCommands(program: Command, io: CliIo, signal: AbortSignal): void {
  const remote = group(program, "remote").description("buckets whose objects are in another S3 store")
  const ask: Ask = (options, use) => withAdmin(io, options, signal, use)
  withStore(remote.command("stores"))
    .description("the stores that the operator's file names, the buckets that use them, and their cache")
    .action(async (options: Options) => {
      const report = checked(REMOTES, await ask(options, client => client.get("/v1/remotes")))
      await answer(io, options, report, reportText(report))
    })
  withStore(remote.command("set"))
    .description("make an empty bucket remote, or change how its objects are read and written")
    .argument("<BUCKET>")
    .requiredOption("--store <NAME>", "the remote store, as the operator's file names it")
    .requiredOption("--bucket <REMOTE_BUCKET>", "the bucket there")
    .option("--prefix <PREFIX>", "what precedes each key there (default: nothing)")
    .option("--writes <through|back|none>", "before the answer, later, or not at all (default: through)")
    .option(
      "--freshness <AGE>",
      "when a cached object is compared with the remote's: never, always, or once it is so many seconds old (default: never)",
    )
    .option("--serve-stale", "a cached object is read also while the remote does not respond")
    .option("--opaque-etags", "ETags of the remote are not the MD5 of the bytes")
    .option("--create", "create the bucket first")
    .action((bucket: string, options: SetOptions) => setRemote(io, bucket, options, ask))
  withStore(remote.command("show"))
    .description("where the objects of a bucket are, and how many writes are pending")
    .argument("<BUCKET>")
    .action((bucket: string, options: Options) => showRemote(io, bucket, options, ask))
  withStore(remote.command("unset"))
    .description("make a remote bucket an ordinary one, which is empty; objects of the remote stay there")
    .argument("<BUCKET>")
    .action(async (bucket: string, options: Options) => {
      await ask(options, client => client.remove(settingPath(bucket)))
      await answer(io, options, { bucket, deleted: true }, `${bucket} is not remote any more\n`)
    })
  withStore(remote.command("pending"))
    .description("writes of a bucket that its remote does not have yet, and why")
    .argument("<BUCKET>")
    .action(async (bucket: string, options: Options) => {
      const found = await ask(options, client => pendingOf(client, bucket))
      await answerList(io, options, found.pending, pendingText(found))
    })
}

type Ask = <T>(options: Options, use: (client: AdminClient) => Promise<T>) => Promise<T>

/** As many as are counted. */
const pendingOf = async (client: AdminClient, bucket: string): Promise<Pending> =>
  checked(
    PENDING_WRITES,
    await client.get(`${bucketPath(bucket)}/remote/pending`, { max: String(PENDING_COUNTED_MAX) }),
  )

async function setRemote(io: CliIo, bucket: string, options: SetOptions, ask: Ask): Promise<void> {
  const value = valueOf(options)
  const set = checked(
    BUCKET_SETTING,
    await ask(options, async client => {
      if (options.create === true) await client.post("/v1/buckets", { name: bucket })
      try {
        return await client.put(settingPath(bucket), { value })
      } catch (error) {
        // So that the same command can be tried again.
        if (options.create === true) await client.remove(bucketPath(bucket)).catch(() => undefined)
        throw error
      }
    }),
  )
  const where = printable(`${options.bucket}/${options.prefix ?? ""}`)
  await answer(io, options, { bucket, ...set }, `the objects of ${bucket} are in ${where} of ${options.store}\n`)
}

/** The setting, as the admin API takes it. Throws a `CliError`. */
function valueOf(options: SetOptions): Readonly<Record<string, unknown>> {
  const { store, bucket, prefix = "", writes = "through", freshness = "never", serveStale, opaqueEtags } = options
  const chosen = WRITES.get(writes)
  if (chosen === undefined) throw new CliError("usage", `--writes is through, back or none, not "${writes}"`)
  return {
    ...{ Store: store, Bucket: bucket, ...(prefix !== "" && { Prefix: prefix }), Writes: chosen },
    Freshness: freshnessOf(freshness),
    ...{ ServeStale: serveStale === true, OpaqueETags: opaqueEtags === true },
  }
}

function freshnessOf(text: string): Readonly<Record<string, unknown>> {
  if (text === "never") return { Check: "Never" }
  if (text === "always") return { Check: "Always" }
  if (/^\d{1,8}$/.test(text)) return { Check: "Age", MaxAgeSeconds: Number(text) }
  throw new CliError("usage", `--freshness is never, always, or a number of seconds, not "${text}"`)
}

async function showRemote(io: CliIo, bucket: string, options: Options, ask: Ask): Promise<void> {
  const shown = await ask(options, async client => {
    const { value } = checked(BUCKET_SETTING, await client.get(settingPath(bucket)))
    if (value === undefined) throw new CliError("notFound", `${bucket} is not a remote bucket`)
    const { pending, hasMore } = await pendingOf(client, bucket)
    return { value, pending: pending.length, hasMore }
  })
  await answer(io, options, { bucket, ...shown }, settingText(bucket, shown.value, countedText(shown)))
}

const countedText = ({ pending, hasMore }: { readonly pending: number; readonly hasMore: boolean }): string =>
  hasMore ? `more than ${countText(pending)}` : countText(pending)

/** Members of the setting in words; others as they are. */
function settingText(bucket: string, value: NonNullable<Setting["value"]>, pending: string): string {
  const facts = Object.entries(value).map(([name, fact]) => [
    name,
    printable(typeof fact === "string" ? fact : JSON.stringify(fact)),
  ])
  return tableText(["remote", printable(bucket)], [...facts, ["pending writes", pending]])
}

function pendingText({ pending, hasMore }: Pending): string {
  if (pending.length === 0) return "no write is pending\n"
  const rows = pending.map(({ kind, sizeBytes, sinceMs, key, lastError = "" }) => [
    ...[kind, kind === "put" ? sizeText(sizeBytes) : "", timeText(sinceMs), printable(key), printable(lastError)],
  ])
  const more = hasMore ? `these are the first ${countText(pending.length)}; others follow\n` : ""
  return tableText(["WRITE", "SIZE", "SINCE", "KEY", "LAST ERROR"], rows) + more
}

function storesTable(stores: Report["stores"]): string {
  const rows = stores.map(({ name, endpoint, accounts, requests, failures, lastError, lastErrorMs }) => [
    ...[name, printable(endpoint), printable(accounts.join(", ")), countText(requests), countText(failures)],
    lastError === undefined
      ? ""
      : printable(lastErrorMs === undefined ? lastError : `${timeText(lastErrorMs)}: ${lastError}`),
  ])
  return tableText(["STORE", "ENDPOINT", "ACCOUNTS", "REQUESTS", "FAILURES", "LAST ERROR"], rows)
}

function bucketsTable(buckets: Report["buckets"]): string {
  if (buckets.length === 0) return ""
  const rows = buckets.map(({ bucket, store, remoteBucket, prefix, writes, freshness, pending }) => [
    ...[bucket, store, printable(`${remoteBucket}/${prefix}`), writes.toLowerCase()],
    freshness.maxAgeSeconds === undefined ? freshness.check.toLowerCase() : `${freshness.maxAgeSeconds} s`,
    countedText({ pending, hasMore: pending >= PENDING_COUNTED_MAX }),
  ])
  return `${tableText(["BUCKET", "STORE", "OBJECTS IN", "WRITES", "FRESHNESS", "PENDING"], rows)}\n`
}

function cacheText({ sizeBytes, sizeBytesMax, hitBytes, missBytes, evictedBytes }: Report["cache"]): string {
  const read = hitBytes + missBytes
  const hits =
    read === 0
      ? "nothing read yet"
      : `${Math.floor((hitBytes / read) * 100)} % of ${sizeText(read)} read came from it, ${sizeText(evictedBytes)} evicted`
  return `cache: ${sizeText(sizeBytes)} of ${sizeText(sizeBytesMax)}; ${hits}\n`
}

const reportText = ({ stores, buckets, cache }: Report): string =>
  [`${storesTable(stores)}\n`, bucketsTable(buckets), cacheText(cache)].join("")
