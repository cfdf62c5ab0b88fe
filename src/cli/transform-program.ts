/** The commands for transforms: `transform list`, `put` and `remove`; and `transform rules show`, `set` and `clear`. */
import type { Command } from "commander"
import type { z } from "zod"
import { TRANSFORM_MODULE, TRANSFORMS } from "../admin/index.js"
import type { AdminClient, S3Client } from "../client/index.js"
import { checked } from "./checked.js"
import { readBytes, readText } from "./document-file.js"
import type { CliIo } from "./io.js"
import { group, withStore } from "./options.js"
import { answer, type OutputOptions } from "./output.js"
import { withAdmin, withS3, type StoreOptions } from "./stores.js"
import { countText, plural, printable, sizeText, tableText, timeText } from "./text.js"

type Options = StoreOptions & OutputOptions
type Report = z.output<typeof TRANSFORMS>

interface PutOptions extends Options {
  readonly contentType?: string
}

const PATH = "/v1/transforms"
const WASM = "application/wasm"
/** As many as tell modules apart. */
const HASH_DIGITS = 12

const modulePath = (name: string): string => `${PATH}/modules/${encodeURIComponent(name)}`

export function addTransformCommands(program: Command, io: CliIo, signal: AbortSignal): void {
  const transform = group(program, "transform").description(
    "what a store can make of objects when they are read, and the rules of buckets for it",
  )
  const ask: Ask = (options, use) => withAdmin(io, options, signal, use)
  withStore(transform.command("list"))
    .description("steps that pipelines may have, modules among them, and what is running")
    .action(async (options: Options) => {
      const report = checked(TRANSFORMS, await ask(options, client => client.get(PATH)))
      await answer(io, options, report, reportText(report))
    })
  withStore(transform.command("put"))
    .description("upload a WebAssembly module as a step, or replace it")
    .argument("<NAME>", "of the step: lower-case letters, digits and hyphens")
    .argument("<FILE>", "- for standard input")
    .option("--content-type <TYPE>", "of its results (default: that of its input)")
    .action((name: string, file: string, options: PutOptions) => put(io, { name, file }, options, ask))
  withStore(transform.command("remove"))
    .description(
      "remove a module; requests that name it then fail, rules of buckets that name it leave objects as they are",
    )
    .argument("<NAME>")
    .action(async (name: string, options: Options) => {
      await ask(options, client => client.remove(modulePath(name)))
      await answer(io, options, { name, deleted: true }, `removed the module ${name}\n`)
    })
  addRuleCommands(transform, io, (options, use) => withS3(io, options, signal, use))
}

type Ask = <T>(options: Options, use: (client: AdminClient) => Promise<T>) => Promise<T>
type AskS3 = <T>(options: Options, use: (client: S3Client) => Promise<T>) => Promise<T>

function addRuleCommands(transform: Command, io: CliIo, ask: AskS3): void {
  const rules = group(transform, "rules").description(
    "the transforms of a bucket: pipelines with names, and rules by which its objects get them unasked",
  )
  withStore(rules.command("show"))
    .description("the rules of a bucket as XML, as set takes them")
    .argument("<BUCKET>")
    .action(async (bucket: string, options: Options) => {
      const document = await ask(options, client => client.getSetting(bucket, "transforms"))
      await answer(io, options, { bucket, document }, document.endsWith("\n") ? document : `${document}\n`)
    })
  withStore(rules.command("set"))
    .description("replace the rules of a bucket by the XML of a file")
    .argument("<BUCKET>")
    .argument("<FILE>", "- for standard input")
    .action(async (bucket: string, file: string, options: Options) => {
      const document = await readText(io, file)
      await ask(options, client => client.putSetting(bucket, "transforms", document))
      await answer(io, options, { bucket, set: true }, `set the transforms of ${bucket}\n`)
    })
  withStore(rules.command("clear"))
    .description("remove the rules of a bucket")
    .argument("<BUCKET>")
    .action(async (bucket: string, options: Options) => {
      await ask(options, client => client.removeSetting(bucket, "transforms"))
      await answer(io, options, { bucket, deleted: true }, `removed the transforms of ${bucket}\n`)
    })
}

async function put(
  io: CliIo,
  { name, file }: { readonly name: string; readonly file: string },
  options: PutOptions,
  ask: Ask,
): Promise<void> {
  const { contentType } = options
  const bytes = await readBytes(io, file)
  const made = await ask(options, client => client.putBytes(modulePath(name), bytes, WASM, { contentType }))
  const module = checked(TRANSFORM_MODULE, made)
  await answer(
    io,
    options,
    module,
    `${name} is a step of transforms: ${sizeText(module.sizeBytes)}, ${module.sha256}\n`,
  )
}

function reportText({ threads, running, waiting, steps, modules, results }: Report): string {
  const builtIn = steps.map(({ name, isAvailable, version = "" }) => [
    ...[name, isAvailable ? "built in" : "not available here", "", "", printable(version)],
  ])
  const uploaded = modules.map(({ name, sha256, sizeBytes, contentType, modifiedMs }) => [
    ...[name, `module of ${timeText(modifiedMs)}`, sizeText(sizeBytes)],
    ...[contentType === undefined ? "as its input" : printable(contentType), sha256.slice(0, HASH_DIGITS)],
  ])
  const table = tableText(["STEP", "KIND", "SIZE", "TYPE OF RESULTS", "VERSION"], [...builtIn, ...uploaded])
  const { count, sizeBytes, sizeBytesMax } = results
  return [
    table,
    `${countText(running)} of ${plural(threads, "thread")} at work, ${plural(waiting, "request")} waiting\n`,
    `${plural(count, "result")} kept: ${sizeText(sizeBytes)} of ${sizeText(sizeBytesMax)}\n`,
  ].join("")
}
