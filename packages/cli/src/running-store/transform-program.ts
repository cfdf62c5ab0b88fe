/** The commands for the transforms of buckets, which are requests of S3: `transform rules show`, `set` and `clear`. */
import type { Command } from "commander"
import type { S3Client } from "@hayloft/client/index.js"
import { readText } from "../document-file.js"
import type { CliIo } from "../io.js"
import { group, withStore } from "../options.js"
import { answer, type OutputOptions } from "../output.js"
import { withS3, type StoreOptions } from "../stores.js"

type Options = StoreOptions & OutputOptions

export function addTransformCommands(transform: Command, io: CliIo, signal: AbortSignal): void {
  addRuleCommands(transform, io, (options, use) => withS3(io, options, signal, use))
}

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
