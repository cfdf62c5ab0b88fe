/**
 * `hayloft ring`: where shards are and should be: `show`, `locate`, `dispersion`, `export`, and `validate`, which needs no
 * store.
 */
import { readFile, stat, writeFile } from "node:fs/promises"
import { resolve } from "node:path"
import type { Command } from "commander"
import { DISPERSION, LAYOUT_FILE, LOCATED_OBJECT, STORE_SCHEMAS } from "../admin/index.js"
import type { AdminClient } from "../client/index.js"
import { isFailure } from "../base/failures.js"
import { textOfPolicy } from "../base/policy.js"
import { parseLayoutFile, type LayoutFile } from "../format/layout-file.js"
import { problemsOfLayoutFile } from "../node/index.js"
import { checked } from "./checked.js"
import { CliError, messageOf } from "./exit-codes.js"
import type { CliIo } from "./io.js"
import { group, numberOf, withStore } from "./options.js"
import { answer, type OutputOptions } from "./output.js"
import { parseRemote } from "./place.js"
import { dispersionText, locatedText, ringText } from "./ring-text.js"
import { withAdmin, type StoreOptions } from "./stores.js"
import { workText } from "./store-text.js"
import { countText, plural } from "./text.js"

type Options = StoreOptions & OutputOptions

interface LocateOptions extends Options {
  readonly version?: string
  readonly offset?: string
  readonly blocks: string
}

/** Some 4,096 devices, and tables of 32 slots. */
const FILE_BYTES_MAX = 32 * 1024 * 1024

export function addRingCommands(program: Command, io: CliIo, signal: AbortSignal): void {
  const ring = group(program, "ring").description("placement: where shards are, where they should be, and why")
  const ask = <T>(options: Options, use: (client: AdminClient) => Promise<T>) => withAdmin(io, options, signal, use)
  withStore(ring.command("show"))
    .description("zones, machines and devices with their shards against their fair share, and what moves")
    .action(async (options: Options) => {
      const layout = checked(STORE_SCHEMAS.LAYOUT_DETAILS, await ask(options, client => client.get("/v1/layout")))
      await answer(io, options, layout, ringText(layout, workText))
    })
  withStore(ring.command("locate"))
    .description("where each shard of an object is, where it belongs, and by which rule")
    .argument("<BUCKET/KEY>")
    .option("--version <ID>", "a version (default: the current one)")
    .option("--offset <BYTES>", "blocks from the one with this byte on")
    .option("--blocks <N>", "how many blocks, up to 100", "10")
    .action(async (place: string, options: LocateOptions) => {
      const { path, query } = requestOf(place, options)
      const value = await ask(options, client => client.get(path, query))
      const located = checked(LOCATED_OBJECT, value)
      await answer(io, options, located, locatedText(located))
    })
  withStore(ring.command("dispersion"))
    .description("how many blocks have all shards in their places, and which part of shards is found")
    .option("--samples <N>", "parts of the store of which the first blocks are read, up to 1,024", "16")
    .action(async (options: Options & { readonly samples: string }) => {
      const samples = String(numberOf(options.samples, "--samples"))
      const value = await ask(options, client => client.get("/v1/layout/dispersion", { samples }))
      const dispersion = checked(DISPERSION, value)
      await answer(io, options, dispersion, dispersionText(dispersion))
    })
  withStore(ring.command("export"))
    .description("the layout as a JSON file, for programs that compute where blocks are (docs/placement.py)")
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

function requestOf(place: string, { version, offset, blocks }: LocateOptions) {
  const { bucket, key } = parseRemote(place.startsWith("s3://") ? place : `s3://${place}`)
  if (key === "") throw new CliError("usage", "name the object as BUCKET/KEY")
  const max = String(numberOf(blocks, "--blocks"))
  const query = {
    key,
    max,
    ...(version !== undefined && { versionId: version }),
    ...(offset !== undefined && { offset }),
  }
  return { path: `/v1/buckets/${encodeURIComponent(bucket)}/shards`, query }
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
