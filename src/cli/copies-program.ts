/** The commands for copies of buckets in other stores: `copies set`, `status`, `pause`, `resume`, `fill` and `remove`. */
import type { Command } from "commander"
import type { z } from "zod"
import { COPIES } from "../admin/index.js"
import type { AdminClient } from "../client/index.js"
import { checked } from "./checked.js"
import { CliError } from "./exit-codes.js"
import type { CliIo } from "./io.js"
import { group, withStore } from "./options.js"
import { answer, type OutputOptions } from "./output.js"
import { withAdmin, type StoreOptions } from "./stores.js"
import { countText, printable, sizeText, tableText, timeText } from "./text.js"

type Options = StoreOptions & OutputOptions
type Copies = z.output<typeof COPIES>

interface SetOptions extends Options {
  readonly to: string
  readonly prefix?: string
  readonly deletes: boolean
  readonly storageClass?: string
  readonly opaqueEtags?: true
  readonly sendBack?: true
  readonly rate?: string
}

interface FillOptions extends Options {
  readonly remove?: true
}

interface StatusOptions extends Options {
  readonly wait?: true
}

const WAIT_MS = 500
/** With --wait: the command fails if an error stays for so long. */
const WAIT_ERROR_MS = 60_000

const bucketPath = (bucket: string): string => `/v1/buckets/${encodeURIComponent(bucket)}`
const settingPath = (bucket: string): string => `${bucketPath(bucket)}/settings/copies`
const copiesPath = (bucket: string): string => `${bucketPath(bucket)}/copies`

type Ask = <T>(options: Options, use: (client: AdminClient) => Promise<T>) => Promise<T>

export function addCopiesCommands(program: Command, io: CliIo, signal: AbortSignal): void {
  const copies = group(program, "copies").description("copies of a bucket in another store, seconds behind it")
  const ask: Ask = (options, use) => withAdmin(io, options, signal, use)
  withStore(copies.command("set"))
    .description("copy each change of a bucket to a bucket of another store; what is there is copied first")
    .argument("<BUCKET>")
    .requiredOption("--to <STORE/BUCKET>", "a remote store, as the operator's file names it, and the bucket there")
    .option("--prefix <PREFIX>", "what precedes each key there (default: nothing)")
    .option("--no-deletes", "removals are not copied")
    .option("--storage-class <CLASS>", "of the copies (default: the target's)")
    .option("--opaque-etags", "ETags of the target are not the MD5 of the bytes")
    .option("--send-back", "while filling, also send what arrived as copies: for a target that has lost its objects")
    .option("--rate <BYTES>", "bytes a second at most, on average")
    .action((bucket: string, options: SetOptions) => setCopies(io, bucket, options, ask))
  withStore(copies.command("status"))
    .description("how far the copies are, and what was not copied")
    .argument("<BUCKET>")
    .option("--wait", "wait until the target has everything; exit code 1 if it takes nothing for a minute")
    .action((bucket: string, options: StatusOptions) => showStatus(io, bucket, options, ask, signal))
  for (const [word, text] of [
    ["pause", "send nothing until `copies resume`; changes are logged"],
    ["resume", "go on from where the copies are"],
  ] as const)
    withStore(copies.command(word))
      .description(text)
      .argument("<BUCKET>")
      .action(async (bucket: string, options: Options) => {
        const found = checked(COPIES, await ask(options, client => client.post(`${copiesPath(bucket)}/${word}`, {})))
        await answer(io, options, found, statusText(bucket, found))
      })
  withStore(copies.command("fill"))
    .description("compare all objects with the target, and send those that differ")
    .argument("<BUCKET>")
    .option("--remove", "also remove copies of objects that this store does not have; what it has lost is gone then")
    .action(async (bucket: string, { remove, ...options }: FillOptions) => {
      const body = { remove: remove === true }
      const found = checked(COPIES, await ask(options, client => client.post(`${copiesPath(bucket)}/fill`, body)))
      await answer(io, options, found, statusText(bucket, found))
    })
  withStore(copies.command("remove"))
    .description("copy no more; what the target has stays there")
    .argument("<BUCKET>")
    .action(async (bucket: string, options: Options) => {
      await ask(options, client => client.remove(settingPath(bucket)))
      await answer(io, options, { bucket, deleted: true }, `${bucket} is not copied any more\n`)
    })
}

async function setCopies(io: CliIo, bucket: string, options: SetOptions, ask: Ask): Promise<void> {
  const value = valueOf(options)
  await ask(options, client => client.put(settingPath(bucket), { value }))
  const where = printable(`${options.to}/${options.prefix ?? ""}`)
  await answer(io, options, { bucket, value }, `changes of ${bucket} are copied to ${where}\n`)
}

/** The setting, as the admin API takes it. Throws a `CliError`. */
function valueOf({ to, prefix, deletes, storageClass, opaqueEtags, sendBack, rate }: SetOptions) {
  const at = to.indexOf("/")
  if (at < 1 || at === to.length - 1)
    throw new CliError("usage", `--to is the name of a store, a slash and a bucket there, not "${to}"`)
  if (rate !== undefined && !/^\d{1,12}$/.test(rate))
    throw new CliError("usage", `--rate is a number of bytes, not "${rate}"`)
  return {
    ...{ store: to.slice(0, at), bucket: to.slice(at + 1), deletes },
    ...(prefix !== undefined && { prefix }),
    ...(storageClass !== undefined && { storageClass }),
    ...(opaqueEtags === true && { opaqueEtags }),
    ...(sendBack === true && { sendBack }),
    ...(rate !== undefined && { bytesPerSecond: Number(rate) }),
  }
}

const isWhole = ({ phase, lag }: Copies): boolean => phase === "following" && lag.objects === 0

async function showStatus(
  io: CliIo,
  bucket: string,
  options: StatusOptions,
  ask: Ask,
  signal: AbortSignal,
): Promise<void> {
  const read = () => ask(options, async client => checked(COPIES, await client.get(copiesPath(bucket))))
  let found = await read()
  for (let failedMs = 0; options.wait === true && !isWhole(found) && !signal.aborted; found = await read()) {
    if (found.isPaused)
      throw new CliError("failed", `the copies of ${bucket} are paused: hayloft copies resume ${bucket}`)
    failedMs = found.error === undefined ? 0 : failedMs + WAIT_MS
    if (failedMs >= WAIT_ERROR_MS) throw new CliError("failed", `${bucket} is not copied: ${found.error ?? ""}`)
    await io.clock.sleep(WAIT_MS, signal)
  }
  await answer(io, options, found, statusText(bucket, found))
}

function statusText(bucket: string, copies: Copies): string {
  const { target, phase, sinceMs, place, fills, isPaused, lag, copiedTo, error, errorMs, parked } = copies
  const facts: string[][] = [
    ["target", printable(`${target.store}/${target.bucket}/${target.prefix}`)],
    ["state", `${isPaused ? "paused, " : ""}${phase}${sinceMs === undefined ? "" : ` since ${timeText(sinceMs)}`}`],
    ["removals", target.deletes ? "copied" : "not copied"],
    ["lag", lagText(lag)],
    ...(place === undefined ? [] : [["filled up to", printable(place)]]),
    ...(fills > 1 ? [["filled", `${countText(fills)} times`]] : []),
    ...(copiedTo === undefined ? [] : [["copied to", copiedTo]]),
    ...(error === undefined
      ? []
      : [["error", `${errorMs === undefined ? "" : `${timeText(errorMs)}: `}${printable(error)}`]]),
  ]
  return tableText(["bucket", printable(bucket)], facts) + parkedText(parked, copies.hasMoreParked)
}

const lagText = ({ objects, bytes, seconds, isCut }: Copies["lag"]): string =>
  objects === 0
    ? "nothing"
    : `${isCut ? "more than " : ""}${countText(objects)} changes, ${sizeText(bytes)}, ${countText(Math.ceil(seconds))} s`

function parkedText(parked: Copies["parked"], hasMore: boolean): string {
  if (parked.length === 0) return ""
  const rows = parked.map(({ key, reason, attempts, sinceMs, nextMs }) => [
    ...[printable(key), countText(attempts), timeText(sinceMs), nextMs === undefined ? "never" : timeText(nextMs)],
    printable(reason),
  ])
  const more = hasMore ? "others follow\n" : ""
  return `\nnot copied:\n${tableText(["KEY", "ATTEMPTS", "SINCE", "NEXT", "REASON"], rows)}${more}`
}
