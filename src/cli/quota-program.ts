/** The commands for quotas: `quota set`, `show`, `clear` and `check`. */
import type { Command } from "commander"
import type { z } from "zod"
import { QUOTA_CHECK, QUOTA_REPLY, type QUOTA, type QUOTA_LIMITS } from "../admin/index.js"
import type { AdminClient } from "../client/index.js"
import { bytesOfSize } from "../config/index.js"
import { checked } from "./checked.js"
import { CliError } from "./exit-codes.js"
import type { CliIo } from "./io.js"
import { group, withStore } from "./options.js"
import { answer, type OutputOptions } from "./output.js"
import { withAdmin, type StoreOptions } from "./stores.js"
import { countText, plural, sizeText, tableText } from "./text.js"

type Quota = z.output<typeof QUOTA>
type Limits = z.output<typeof QUOTA_LIMITS>
type Check = z.output<typeof QUOTA_CHECK>

interface QuotaOptions extends StoreOptions, OutputOptions {
  readonly account?: true
}

interface SetOptions extends QuotaOptions {
  readonly bytes?: string
  readonly warnBytes?: string
  readonly objects?: string
  readonly warnObjects?: string
}

interface CheckOptions extends QuotaOptions {
  readonly repair?: true
}

const ACCOUNT = ["--account", "NAME is the id of an account: all of its buckets together"] as const

export function addQuotaCommands(program: Command, io: CliIo, signal: AbortSignal): void {
  const quota = group(program, "quota").description("limits of bytes and objects, of buckets and accounts")
  withStore(quota.command("set"))
    .description("replace the quota of a bucket or an account")
    .argument("<NAME>")
    .option("--bytes <SIZE>", "what would exceed it is refused: 10GiB")
    .option("--warn-bytes <SIZE>", "from here on status, metrics and a log line warn")
    .option("--objects <N>", "versions, delete markers included; what would exceed it is refused")
    .option("--warn-objects <N>", "from here on they warn as well")
    .option(...ACCOUNT)
    .action((name: string, options: SetOptions) =>
      replied(io, name, options, signal, (client, path) => client.post(path, limitsOf(options))),
    )
  withStore(quota.command("show"))
    .description("the quota of a bucket or an account, and what is used of it")
    .argument("<NAME>")
    .option(...ACCOUNT)
    .action((name: string, options: QuotaOptions) =>
      replied(io, name, options, signal, (client, path) => client.get(path)),
    )
  withStore(quota.command("clear"))
    .description("remove the quota of a bucket or an account")
    .argument("<NAME>")
    .option(...ACCOUNT)
    .action(async (name: string, options: QuotaOptions) => {
      await withAdmin(io, options, signal, client => client.remove(pathOf(name, options)))
      await answer(io, options, { name, cleared: true }, `removed the quota of ${name}\n`)
    })
  withStore(quota.command("check"))
    .description(
      "compare what is counted with the rows themselves, all of which it reads, also without a quota; exit code 1 if they differ",
    )
    .argument("<NAME>")
    .option(...ACCOUNT)
    .option("--repair", "count again first")
    .action((name: string, options: CheckOptions) => checkCommand(io, name, options, signal))
}

const pathOf = (name: string, { account }: QuotaOptions): string =>
  `/v1/${account === true ? "accounts" : "buckets"}/${encodeURIComponent(name)}/quota`

async function replied(
  io: CliIo,
  name: string,
  options: QuotaOptions,
  signal: AbortSignal,
  ask: (client: AdminClient, path: string) => Promise<unknown>,
): Promise<void> {
  const reply = await withAdmin(io, options, signal, client => ask(client, pathOf(name, options)))
  const { quota } = checked(QUOTA_REPLY, reply)
  await answer(io, options, { quota }, quota === undefined ? `${name} has no quota\n` : quotaText(quota))
}

async function checkCommand(io: CliIo, name: string, options: CheckOptions, signal: AbortSignal): Promise<void> {
  const found = await withAdmin(io, options, signal, async client => {
    const path = pathOf(name, options)
    if (options.repair === true) await client.post(`${path}/recount`, {})
    return checked(QUOTA_CHECK, await client.get(`${path}/check`))
  })
  await answer(io, options, found, checkText(found))
  if (!found.agrees) {
    throw new CliError(
      "failed",
      found.hasQuota
        ? "what is counted differs from the rows: hayloft quota check --repair counts again"
        : "the counters differ from the rows",
    )
  }
}

function limitsOf({ bytes, warnBytes, objects, warnObjects }: SetOptions): Limits {
  const limits = {
    ...(bytes !== undefined && { hardBytes: sizeOf(bytes, "--bytes") }),
    ...(warnBytes !== undefined && { warnBytes: sizeOf(warnBytes, "--warn-bytes") }),
    ...(objects !== undefined && { hardObjects: wholeNumber(objects, "--objects") }),
    ...(warnObjects !== undefined && { warnObjects: wholeNumber(warnObjects, "--warn-objects") }),
  }
  if (Object.keys(limits).length === 0) throw new CliError("usage", "state at least one limit: --bytes 10GiB")
  return limits
}

function sizeOf(text: string, option: string): number {
  const bytes = bytesOfSize(text)
  if (bytes === undefined) throw new CliError("usage", `${option} is a size: 500MiB, 10GiB`)
  return bytes
}

function wholeNumber(text: string, option: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new CliError("usage", `${option} is a whole number from 0`)
  return Number(text)
}

/** "4.2 GiB of 10.0 GiB". */
const usedText = (used: string, limit: string | undefined): string =>
  limit === undefined ? used : `${used} of ${limit}`

function quotaText({ holder, name, limits, used, percent, isExact, isAboveWarning }: Quota): string {
  const { hardBytes, hardObjects, warnBytes, warnObjects } = limits
  const bytes = usedText(
    used ? sizeText(used.bytes) : "unknown",
    hardBytes === undefined ? undefined : sizeText(hardBytes),
  )
  const objects = usedText(
    used ? countText(used.objects) : "unknown",
    hardObjects === undefined ? undefined : countText(hardObjects),
  )
  const warned = [
    ...(warnBytes === undefined ? [] : [sizeText(warnBytes)]),
    ...(warnObjects === undefined ? [] : [plural(warnObjects, "object")]),
  ]
  return tableText(
    [holder, name],
    [
      ["bytes", bytes],
      ["objects", objects],
      ...(percent === undefined ? [] : [["used", `${percent} %`]]),
      ...(warned.length === 0 ? [] : [["warning level", `${warned.join(", ")}${isAboveWarning ? ": above it" : ""}`]]),
      ...(isExact ? [] : [["state", "counting what is there: no limit holds yet"]]),
      ...(used === undefined ? [["state", "what is used is lost: hayloft quota check --repair"]] : []),
    ],
  )
}

function checkText({ hasQuota, used, counters, walked, isStill, agrees }: Check): string {
  const row = (name: string, found: { bytes: number; objects: number; partBytes?: number } | undefined) => [
    name,
    ...(found === undefined
      ? ["lost", "", ""]
      : [String(found.bytes), found.partBytes === undefined ? "" : String(found.partBytes), String(found.objects)]),
  ]
  const verdict = agrees
    ? isStill
      ? "they agree\n"
      : "counted and counters agree; rows have changed during the walk\n"
    : "they differ\n"
  const rows = [...(hasQuota ? [row("counted", used)] : []), row("counters", counters), row("walk", walked)]
  return `${tableText(["", "BYTES", "IN PARTS", "OBJECTS"], rows)}${hasQuota ? "" : "there is no quota; "}${verdict}`
}
