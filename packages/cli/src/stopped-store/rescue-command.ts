/** `hayloft rescue`: recovers a store that cannot be opened into a new store. */
import { Option, type Command } from "commander"
import { LOCKED_FLAG } from "@hayloft/base/locked-names.js"
import { DEVICES_MAX, STORE_DEVICES_MAX } from "@hayloft/base/limits.js"
import {
  type SettingsInput,
  parseDataFolders,
  type Setting,
  type SettingName,
  SETTINGS,
} from "@hayloft/node/config/index.js"
import type { ListSums, RescueEntry, RescueSummary } from "@hayloft/node/rescue/index.js"
import { CliError } from "../exit-codes.js"
import { namedBuckets } from "../confirm.js"
import type { CliIo } from "../io.js"
import { withJson, withLocked } from "../options.js"
import { answer, type OutputOptions } from "../output.js"
import { Progress } from "../progress.js"
import { configOf } from "../stores.js"
import { countText, labelled, plural, printable, sizeText } from "../text.js"

/** Settings of a first start that apply to the new store. */
const STORE_SETTINGS = [
  "redundancy",
  "matrix",
  "metaCopies",
  "blockSize",
  "masterKeyFile",
  "nextMasterKeyFile",
] as const

/** The folders of all machines of a store, and of the new one. */
const FOLDERS_MAX = STORE_DEVICES_MAX + DEVICES_MAX

interface RescueOptions extends OutputOptions {
  readonly from: readonly string[]
  readonly to?: readonly string[]
  readonly dryRun?: boolean
  readonly lockedBuckets?: string
}

export function addRescueCommand(program: Command, io: CliIo, signal: AbortSignal): void {
  const command = withLocked(withJson(program.command("rescue")))
    .description(
      "recover a store whose metadata is lost from its data folders into a new store; exit code 1 if anything is incomplete, or no complete snapshot of the metadata is found",
    )
    .requiredOption("--from <FOLDER...>", "data folders of the lost store, of all its machines; they are only read")
    .option("--to <FOLDER...>", "new or empty folders for the new store")
    .option("--dry-run", "read and verify everything, and write nothing")
  for (const name of STORE_SETTINGS) {
    const setting: Setting = SETTINGS[name]
    if (setting.flag !== undefined) command.addOption(new Option(`${setting.flag} <${setting.value}>`, setting.help))
  }
  command.action((options: RescueOptions & { readonly [name in SettingName]?: string }) =>
    rescueCommand(io, options, signal),
  )
}

async function rescueCommand(
  io: CliIo,
  options: RescueOptions & { readonly [name in SettingName]?: string },
  signal: AbortSignal,
): Promise<void> {
  const { from, to = [], dryRun = false } = options
  if (to.length === 0 && !dryRun)
    throw new CliError("usage", "name folders for the new store with --to, or add --dry-run")
  // This also refuses a folder that is on both sides, or inside another.
  parseDataFolders([...from, ...to], "--from and --to", io.workingFolder, FOLDERS_MAX)
  const newStore: { [name in SettingName]?: readonly string[] } = { data: to.length === 0 ? ["rescued"] : to }
  for (const name of STORE_SETTINGS) {
    const text = options[name]
    if (text !== undefined) newStore[name] = [text]
  }
  const settings: SettingsInput = { ...newStore, logLevel: ["warn"] }
  const config = await configOf(io, settings, undefined)
  const request = {
    from: parseDataFolders(from, "--from", io.workingFolder, FOLDERS_MAX),
    config: to.length === 0 ? { ...config, dataFolders: [] } : config,
    isDryRun: dryRun,
    lockedBuckets: namedBuckets(options),
  }
  const progress = new Progress(
    io.errorIsTerminal ? text => io.error(text) : undefined,
    io.clock,
    () => (dryRun ? "verified" : "rescued"),
    undefined,
  )
  const onEntry = (entry: RescueEntry) => answer(io, options, entry, entryText(entry))
  try {
    const summary = await io.programs.rescue({ ...request, onEntry, onBytes: count => progress.add(count) }, io, signal)
    progress.end()
    await answer(io, options, { summary }, summaryText(summary))
    const { objects } = summary.incomplete
    const { lostValues } = summary.items
    const lost = [
      plural(objects, "incomplete object"),
      ...(lostValues > 0 ? [`${plural(lostValues, "value")} of K2V`] : []),
    ]
    if (objects + lostValues > 0) throw new CliError("failed", `${lost.join(" and ")} not rescued; the list names them`)
    // Nobody can say then that the new store has everything.
    if (!summary.snapshot?.isComplete) throw new CliError("failed", lackText(summary))
  } finally {
    progress.end()
  }
}

const KINDS: Readonly<Record<string, string>> = {
  account: "account",
  accessKey: "access key",
  key: "named key",
  class: "storage class",
  bucket: "bucket",
  quota: "quota of",
  copies: "paused copies of",
  "remote-buckets": "held pending writes of",
}

function entryText(entry: RescueEntry): string {
  const { list, kind, notes } = entry
  const words = [
    nameText(entry),
    ...(kind === "deleteMarker" ? ["delete marker"] : []),
    ...(entry.sizeBytes === undefined ? [] : [sizeText(entry.sizeBytes)]),
    ...(entry.versionId === undefined || entry.versionId === "null" ? [] : [`version ${entry.versionId}`]),
    ...(notes.length === 0 ? [] : [`(${notes.join("; ")})`]),
  ]
  return `${labelled(list, words.join("  "))}\n`
}

function nameText({ kind, name = "", bucket = "", key = "" }: RescueEntry): string {
  if (kind === "items") return `K2V items of ${bucket}/${printable(key)}`
  if (kind === "queues" || kind === "files") return kind === "files" ? "small files" : "queues"
  if (kind === "object" || kind === "deleteMarker") return `s3://${bucket}/${printable(key)}`
  return `${KINDS[kind] ?? `${kind} of`} ${name}`
}

const sumText = (what: string, { objects, bytes }: ListSums): string =>
  labelled(what, `${plural(objects, "object")}, ${sizeText(bytes)}`)

const lackText = ({ snapshot, needles }: RescueSummary): string => {
  if (needles === 0) return "nothing readable was found in the folders"
  return snapshot === undefined
    ? "no snapshot of the metadata was found, so that it is unknown what else the store had"
    : "the snapshot of the metadata has gaps, so that it is unknown what else the store had"
}

/** No list can name what only the lost metadata had. */
function unknownText(snapshot: RescueSummary["snapshot"]): string {
  const tiny = "objects of 4 KiB and less, tags, settings and deletions"
  if (snapshot === undefined)
    return `${tiny}: without a snapshot nothing shows whether there were any; look for them elsewhere`
  if (!snapshot.isComplete) return `${tiny}: those in the gaps of the snapshot, and all since ${snapshot.startedAt}`
  return `${tiny} since ${snapshot.startedAt}: nothing shows whether there were any`
}

function summaryText(summary: RescueSummary): string {
  const {
    snapshot,
    items,
    queues,
    files,
    deletedSince,
    needles,
    damages,
    superseded,
    lockedBuckets = [],
    notes,
    isDryRun,
  } = summary
  const found = snapshot
    ? `of ${snapshot.startedAt}, ${snapshot.isComplete ? "complete" : "with gaps"}, ${plural(snapshot.records, "row")}`
    : "none"
  const shards = [
    `${countText(needles)} found`,
    `${plural(damages, "damage")} in volumes`,
    `${plural(superseded, "older upload")} skipped`,
  ]
  const lines = [
    "",
    sumText("certain", summary.certain),
    sumText("probable", summary.probable),
    sumText("incomplete", summary.incomplete),
    ...(items.count > 0 ? [labelled("K2V", plural(items.count, "item"))] : []),
    ...(queues.queues > 0
      ? [labelled("queues", `${plural(queues.queues, "queue")}, ${plural(queues.messages, "message")}`)]
      : []),
    ...(files > 0 ? [labelled("files", plural(files, "small file"))] : []),
    labelled("snapshot", found),
    labelled("unknown", unknownText(snapshot)),
    labelled("shards", shards.join(", ")),
    ...(deletedSince > 0 ? [labelled("deleted", `${plural(deletedSince, "object version")} since the snapshot`)] : []),
    ...(lockedBuckets.length > 0
      ? [labelled("locked", `${lockedBuckets.join(", ")}: name them with ${LOCKED_FLAG}`)]
      : []),
    ...notes.map(note => labelled("note", note)),
    ...(isDryRun ? ["This was a dry run: nothing was written."] : []),
  ]
  return lines.map(line => `${line}\n`).join("")
}
