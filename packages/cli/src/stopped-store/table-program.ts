/** The commands of tables: `table build`, `get`, `scan`, `stat` and `verify`, on files of this machine. */
import { createReadStream } from "node:fs"
import { resolve } from "node:path"
import { Option, type Command } from "commander"
import { RealDisk } from "@hayloft/base/seams/disk/index.js"
import { RealRandom } from "@hayloft/base/seams/random/real.js"
import { buildTable, TableFile, textOfBytes, textRows, TEXT_FORMATS } from "@hayloft/engine/table-files/index.js"
import type { TableRow, TableStat, TextFormat } from "@hayloft/engine/table-files/index.js"
import { CliError } from "../exit-codes.js"
import type { CliIo } from "../io.js"
import { group, numberOf, withJson } from "../options.js"
import { answer, type OutputOptions } from "../output.js"
import { countText, printable, sizeText, tableText } from "../text.js"

interface BuildCommandOptions extends OutputOptions {
  readonly from?: string
  readonly format?: TextFormat
  readonly duplicates: "error" | "first" | "last"
  readonly force?: boolean
}

interface KeyOptions extends OutputOptions {
  readonly base64?: boolean
}

interface ScanOptions extends KeyOptions {
  readonly prefix?: string
  readonly from?: string
  readonly to?: string
  readonly limit?: string
  readonly keys?: boolean
}

/** Rows that are written at a time. */
const OUTPUT_BYTES = 64 * 1024
const BASE64_HELP = "keys on the command line are bytes in base64"

export function addTableCommands(program: Command, io: CliIo, signal: AbortSignal): void {
  const table = group(program, "table").description("sorted files of keys and values that programs read in place")
  withJson(table.command("build"))
    .description("build a table from rows of text, in any order")
    .argument("<FILE>")
    .option("--from <FILE>", "the text; absent, or -: standard input")
    .addOption(
      new Option("--format <FORMAT>", "of the text (default: by the name of --from, else ndjson)").choices(
        TEXT_FORMATS,
      ),
    )
    .addOption(
      new Option("--duplicates <WHICH>", "which of several rows with one key is used")
        .choices(["error", "first", "last"])
        .default("error"),
    )
    .option("--force", "replace FILE, and remove what an interrupted build has left")
    .action((file: string, options: BuildCommandOptions) => build(io, signal, file, options))
  withJson(table.command("get"))
    .description("print the values of keys; exit code 1 if a key is missing")
    .argument("<FILE>")
    .argument("<KEY...>")
    .option("--base64", BASE64_HELP)
    .action((file: string, keys: readonly string[], options: KeyOptions) => get(io, file, keys, options))
  withJson(table.command("scan"))
    .description("print rows in the order of their keys; with --json as table build reads them")
    .argument("<FILE>")
    .option("--prefix <KEY>", "only keys that begin with it")
    .option("--from <KEY>", "only this key and those behind it")
    .option("--to <KEY>", "only keys before it")
    .option("--limit <NUMBER>", "so many rows at most")
    .option("--keys", "only the keys")
    .option("--base64", BASE64_HELP)
    .action((file: string, options: ScanOptions) => scan(io, signal, file, options))
  withJson(table.command("stat"))
    .description("print how many keys and bytes a table has, and its checksum")
    .argument("<FILE>")
    .action(async (file: string, options: OutputOptions) => {
      const stat = await withTable(io, file, async found => found.stat())
      await answer(io, options, stat, statText(stat))
    })
  withJson(table.command("verify"))
    .description("read all of a table and compare it with its checksums; exit code 1 if a byte differs")
    .argument("<FILE>")
    .action(async (file: string, options: OutputOptions) => {
      const stat = await withTable(io, file, async found => {
        await found.verify(signal)
        return found.stat()
      })
      await answer(io, options, stat, `${printable(file)} is whole and unchanged: ${countText(stat.keys)} keys\n`)
    })
}

async function withTable<T>(io: CliIo, file: string, work: (table: TableFile) => Promise<T>): Promise<T> {
  const table = await TableFile.open(new RealDisk(), resolve(io.workingFolder, file))
  try {
    return await work(table)
  } finally {
    await table.close()
  }
}

function formatOf({ from = "-", format }: BuildCommandOptions): TextFormat {
  return format ?? TEXT_FORMATS.find(each => from.endsWith(`.${each}`)) ?? "ndjson"
}

async function build(io: CliIo, signal: AbortSignal, file: string, options: BuildCommandOptions): Promise<void> {
  const { from = "-", duplicates, force = false } = options
  const path = resolve(io.workingFolder, file)
  const input = from === "-" ? io.input : createReadStream(resolve(io.workingFolder, from))
  const { values, rows } = await textRows(formatOf(options), input)
  const seams = { disk: new RealDisk(), random: new RealRandom() }
  await buildTable(seams, path, rows, { values, duplicates, replaces: force, signal })
  const stat = await withTable(io, file, async table => table.stat())
  await answer(io, options, stat, `${printable(file)}: ${countText(stat.keys)} keys, ${sizeText(stat.sizeBytes)}\n`)
}

const keyOf = (text: string, { base64 = false }: KeyOptions): string | Uint8Array =>
  base64 ? Buffer.from(text, "base64") : text

const isGiven = (text: string | undefined): text is string => text !== undefined

async function get(io: CliIo, file: string, keys: readonly string[], options: KeyOptions): Promise<void> {
  const missing = await withTable(io, file, async table => {
    if (table.values === "bytes" && options.json !== true && keys.length > 1)
      throw new CliError("usage", "the values are bytes: name one key, or use --json")
    const rows = keys.map(key => ({ key, value: table.get(keyOf(key, options)) }))
    for (const { key, value } of rows) {
      if (value === undefined) continue
      const row = { key: Buffer.from(keyOf(key, options)), value }
      if (options.json === true) await io.out(`${jsonOf(row, table)}\n`)
      else await io.out(table.values === "bytes" ? value : Buffer.concat([value, Buffer.from("\n")]))
    }
    return rows.flatMap(({ key, value }) => (value === undefined ? [key] : []))
  })
  if (missing.length > 0)
    throw new CliError("failed", `${printable(file)} does not have ${missing.map(printable).join(", ")}`)
}

/** A row as `table build` reads it. */
function jsonOf({ key, value }: TableRow, { values }: Pick<TableFile, "values">): string {
  const text = textOfBytes(key)
  const keyJson = text === undefined ? `"key64":"${key.toString("base64")}"` : `"key":${JSON.stringify(text)}`
  if (values === "bytes") return `{${keyJson},"value64":"${value.toString("base64")}"}`
  const valueText = value.toString("utf8")
  return `{${keyJson},"value":${values === "json" ? valueText : JSON.stringify(valueText)}}`
}

async function scan(io: CliIo, signal: AbortSignal, file: string, options: ScanOptions): Promise<void> {
  const limit = options.limit === undefined ? undefined : numberOf(options.limit, "--limit")
  const [prefix, from, to] = [options.prefix, options.from, options.to].map(text =>
    isGiven(text) ? keyOf(text, options) : undefined,
  )
  await withTable(io, file, async table => {
    if (table.values === "bytes" && options.json !== true && options.keys !== true)
      throw new CliError("usage", "the values are bytes: use --json, or --keys")
    let text = ""
    for (const row of table.scan({ prefix, from, to, limit })) {
      text += `${lineOf(row, table, options)}\n`
      if (text.length < OUTPUT_BYTES) continue
      await io.out(text)
      text = ""
      signal.throwIfAborted()
    }
    await io.out(text)
  })
}

function lineOf(row: TableRow, table: TableFile, { json = false, keys = false }: ScanOptions): string {
  const key = textOfBytes(row.key)
  const shownKey = printable(key ?? `base64:${row.key.toString("base64")}`)
  if (!json) return keys ? shownKey : `${shownKey}\t${row.value.toString("utf8")}`
  if (!keys) return jsonOf(row, table)
  return JSON.stringify(key === undefined ? { key64: row.key.toString("base64") } : { key })
}

const statText = ({ path, keys, sizeBytes, values, notes, checksum }: TableStat): string =>
  tableText(
    ["table", printable(path)],
    [
      ["keys", countText(keys)],
      ["size", sizeText(sizeBytes)],
      ["values", values],
      ["checksum of the rows", checksum],
      ...Object.entries(notes).map(([name, text]) => [printable(name), printable(text)]),
    ],
  )
