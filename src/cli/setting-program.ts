/** The commands for the settings of a bucket as JSON: `bucket settings list`, `get`, `set` and `delete`. */
import type { Command } from "commander"
import type { z } from "zod"
import { BUCKET_SETTING, BUCKET_SETTINGS } from "../admin/index.js"
import type { AdminClient } from "../client/index.js"
import { checked } from "./checked.js"
import { readDocument } from "./document-file.js"
import { CliError } from "./exit-codes.js"
import type { CliIo } from "./io.js"
import { group, withStore } from "./options.js"
import { answer, answerList, type OutputOptions } from "./output.js"
import { withAdmin, type StoreOptions } from "./stores.js"
import { printable, tableText } from "./text.js"

type Options = StoreOptions & OutputOptions
type Setting = z.output<typeof BUCKET_SETTING>

const SHOWN_CHARACTERS = 80
const SETTING = ["<SETTING>", "a name of the list: versioning, lifecycle, policy …"] as const

export function addSettingCommands(bucket: Command, io: CliIo, signal: AbortSignal): void {
  const settings = group(bucket, "settings").description("all settings of a bucket as JSON")
  const ask = <T>(options: Options, use: (client: AdminClient) => Promise<T>): Promise<T> =>
    withAdmin(io, options, signal, use)
  withStore(settings.command("list"))
    .description("which settings a bucket has, and how they begin")
    .argument("<BUCKET>")
    .action(async (name: string, options: Options) => {
      const found = checked(BUCKET_SETTINGS, await ask(options, client => client.get(pathOf(name)))).settings
      await answerList(io, options, found, tableText(["SETTING", "VALUE"], found.map(rowOf)))
    })
  withStore(settings.command("get"))
    .description("a setting of a bucket, as set takes it")
    .argument("<BUCKET>")
    .argument(...SETTING)
    .action(async (name: string, setting: string, options: Options) => {
      const found = checked(BUCKET_SETTING, await ask(options, client => client.get(pathOf(name, setting))))
      if (found.value === undefined && options.json !== true)
        throw new CliError("notFound", `${name} has no ${setting} set`)
      await answer(io, options, found, `${JSON.stringify(found.value, undefined, 2)}\n`)
    })
  withStore(settings.command("set"))
    .description("replace a setting of a bucket by JSON, as an argument or in a file; aws s3api prints the same JSON")
    .argument("<BUCKET>")
    .argument(...SETTING)
    .argument("<FILE>", "- for standard input, or the JSON itself")
    .action(async (name: string, setting: string, file: string, options: Options) => {
      const value = await readDocument(io, file)
      const set = checked(BUCKET_SETTING, await ask(options, client => client.put(pathOf(name, setting), { value })))
      await answer(io, options, set, `set ${setting} of ${name}\n`)
    })
  withStore(settings.command("delete"))
    .description("remove a setting of a bucket")
    .argument("<BUCKET>")
    .argument(...SETTING)
    .action(async (name: string, setting: string, options: Options) => {
      await ask(options, client => client.remove(pathOf(name, setting)))
      await answer(io, options, { bucket: name, setting, deleted: 1 }, `removed ${setting} of ${name}\n`)
    })
}

const pathOf = (name: string, setting?: string): string =>
  `/v1/buckets/${encodeURIComponent(name)}/settings${setting === undefined ? "" : `/${encodeURIComponent(setting)}`}`

function rowOf({ setting, value, refused }: Setting): readonly string[] {
  if (refused !== undefined) return [setting, `(${printable(refused)})`]
  const text = value === undefined ? "" : JSON.stringify(value)
  return [setting, printable(text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}…` : text)]
}
