/** `hayloft ring export` and `validate`, which work on files; a validation needs no store. */
import { readFile, stat, writeFile } from "node:fs/promises"
import { resolve } from "node:path"
import type { Command } from "commander"
import { LAYOUT_FILE } from "@hayloft/admin/index.js"
import type { AdminClient } from "@hayloft/client/index.js"
import { isFailure } from "@hayloft/base/failures.js"
import { textOfPolicy } from "@hayloft/base/policy.js"
import { parseLayoutFile, type LayoutFile } from "@hayloft/engine/format/device/layout-file.js"
import { problemsOfLayoutFile } from "@hayloft/node/index.js"
import { checked } from "../checked.js"
import { CliError, messageOf } from "../exit-codes.js"
import type { CliIo } from "../io.js"
import { withStore } from "../options.js"
import { answer, type OutputOptions } from "../output.js"
import { withAdmin, type StoreOptions } from "../stores.js"
import { countText, plural } from "../text.js"

type Options = StoreOptions & OutputOptions

/** Some 4,096 devices, and tables of 32 slots. */
const FILE_BYTES_MAX = 32 * 1024 * 1024

export function addRingCommands(ring: Command, io: CliIo, signal: AbortSignal): void {
  const ask = <T>(options: Options, use: (client: AdminClient) => Promise<T>) => withAdmin(io, options, signal, use)
  withStore(ring.command("export"))
    .description("the layout as a JSON file, for programs that compute where blocks are (docs/design/placement.py)")
    .argument("[FILE]", "default: standard output")
    .action(async (file: string | undefined, options: Options) => {
      const layout = await exported(options, ask)
      const text = `${JSON.stringify(layout, undefined, options.json === true ? undefined : 2)}\n`
      if (file === undefined) return io.out(text)
      await writeFile(resolve(io.workingFolder, file), text)
    })
  withStore(ring.command("validate"))
    .description("check an exported file: its checksum, tables, devices and redundancy; needs no store")
    .argument("<FILE>")
    .option("--compare", "also whether it is the present layout of the store")
    .action(async (file: string, options: Options & { readonly compare?: true }) => {
      const layout = await readLayoutFile(io, file)
      const problems = [...problemsOfLayoutFile(layout)]
      if (options.compare === true) problems.push(...differences(layout, parseLayoutFile(await exported(options, ask))))
      await answer(io, options, { valid: problems.length === 0, problems }, validText(layout, problems))
      if (problems.length > 0) throw new CliError("failed", `${file}: ${plural(problems.length, "problem")}`)
    })
}

const exported = async (
  options: Options,
  ask: (options: Options, use: (client: AdminClient) => Promise<unknown>) => Promise<unknown>,
) => checked(LAYOUT_FILE, await ask(options, client => client.get("/v1/layout/export")))

/** Throws a `CliError` that names the file. */
async function readLayoutFile(io: CliIo, file: string): Promise<LayoutFile> {
  const path = resolve(io.workingFolder, file)
  const { size } = await stat(path).catch(() => {
    throw new CliError("notFound", `cannot read ${file}`)
  })
  if (size > FILE_BYTES_MAX) throw new CliError("failed", `${file} is too large for an exported layout`)
  try {
    return parseLayoutFile(JSON.parse(await readFile(path, "utf8")))
  } catch (error) {
    throw new CliError("failed", `${file} is no exported layout: ${reasonOf(error)}`)
  }
}

function reasonOf(error: unknown): string {
  if (!isFailure(error, "corruptRecord")) return messageOf(error)
  const { field } = error.details
  return field === "checksum"
    ? "its checksum does not match: it was changed after its export, or is damaged"
    : `its member ${String(field)} is not valid`
}

function differences(file: LayoutFile, present: LayoutFile): readonly string[] {
  if (file.storeId !== present.storeId) return [`it is the layout of another store, ${file.storeId}`]
  const [before, now] = [file.layout, present.layout]
  if (before.version !== now.version)
    return [`it is layout version ${before.version}; the store has version ${now.version}`]
  const isSame = before.devices.join() === now.devices.join() && Buffer.from(before.table).equals(now.table)
  return isSame ? [] : ["the store has another table for the same version"]
}

function validText({ storeId, layout, devices, policy }: LayoutFile, problems: readonly string[]): string {
  if (problems.length > 0) return problems.map(problem => `${problem}\n`).join("")
  const what = `layout version ${layout.version} of store ${storeId}`
  return `valid: ${what}, ${plural(devices.length, "device")}, ${textOfPolicy(policy)}, ${countText(layout.width * 65_536)} slots\n`
}
