/** Command definitions of `cp`, `mv`, `sync`, `cat`, `presign`, `transaction`, `ls`, `rm`, `mb` and `rb`: the store as an S3 client sees it. */
import type { Command } from "commander"
import { copyCommand, type CopyOptions } from "./copy-command.js"
import type { CliIo } from "../io.js"
import { moveCommand } from "./move-command.js"
import {
  catCommand,
  listCommand,
  makeBucketCommand,
  removeBucketCommand,
  removeCommand,
  type CatOptions,
  type ListOptions,
  type RemoveOptions,
} from "./object-commands.js"
import { withStore } from "../options.js"
import type { OutputOptions } from "../output.js"
import { addPresignCommand } from "./presign-command.js"
import type { StoreOptions } from "../stores.js"
import { addImportCommand } from "../import/import-command.js"
import { addSyncCommand } from "./sync-command.js"
import { addTransactionCommand } from "../running-store/transaction-command.js"

const AT = "as it was then, in a bucket with a history: 2h, 2026-01-31T09:30:00Z"

export function addObjectCommands(program: Command, io: CliIo, signal: AbortSignal): void {
  withStore(program.command("cp"))
    .description("copy a file to or from a store: s3://bucket/key, a path, or - for standard input or output")
    .argument("<FROM>")
    .argument("<TO>")
    .option("-r, --recursive", "copy a folder, or all keys that begin with FROM")
    .option("--content-type <TYPE>", "instead of deriving it from the file extension")
    .option("--at <TIME>", AT)
    .action((from: string, to: string, options: CopyOptions) => copyCommand(io, from, to, options, signal))
  withStore(program.command("mv"))
    .description(
      "move a file to or from a store, or an object within it: copy it, verify the copy, then remove the source",
    )
    .argument("<FROM>")
    .argument("<TO>")
    .option("-r, --recursive", "move the files of a folder, or all keys that begin with FROM")
    .option("--content-type <TYPE>", "instead of deriving it from the file extension")
    .action((from: string, to: string, options: CopyOptions) => moveCommand(io, from, to, options, signal))
  addSyncCommand(program, io, signal)
  addImportCommand(program, io, signal)
  withStore(program.command("ls"))
    .description("list buckets, or the keys of one below a prefix")
    .argument("[s3://BUCKET/PREFIX]")
    .option("-r, --recursive", "all keys below, not only up to the next /")
    .option("--at <TIME>", AT)
    .action((place: string | undefined, options: ListOptions) => listCommand(io, place, options, signal))
  withStore(program.command("cat"))
    .description("write the bytes of objects to standard output, or make one of them")
    .argument("<s3://BUCKET/KEY...>")
    .option("--range <RANGE>", "only these bytes: FIRST-LAST, FIRST- or -LENGTH, counted from 0")
    .option("--version-id <ID>", "an earlier version")
    .option("--at <TIME>", AT)
    .option("--transform <PIPELINE>", "what the store makes of it, like svgmin or image,width=200")
    .option("-f, --follow", "go on with what is appended, until you press Ctrl-C")
    .option("--into <s3://BUCKET/KEY>", "make an object of their bytes instead, in a bucket that allows appends")
    .action((places: readonly string[], options: CatOptions) => catCommand(io, places, options, signal))
  addPresignCommand(program, io, signal)
  addTransactionCommand(program, io, signal)
  withStore(program.command("rm"))
    .description("delete an object, or with -r all objects with a prefix")
    .argument("<s3://BUCKET/KEY>")
    .option("-r, --recursive", "delete all keys with this prefix")
    .action((place: string, options: RemoveOptions) => removeCommand(io, place, options, signal))
  addBucketCommandsOfS3(program, io, signal)
}

function addBucketCommandsOfS3(program: Command, io: CliIo, signal: AbortSignal): void {
  withStore(program.command("mb"))
    .description("make a bucket, which belongs to the account of the keys (bucket create needs the admin API)")
    .argument("<s3://BUCKET>")
    .action((place: string, options: StoreOptions & OutputOptions) => makeBucketCommand(io, place, options, signal))
  withStore(program.command("rb"))
    .description("remove an empty bucket")
    .argument("<s3://BUCKET>")
    .action((place: string, options: StoreOptions & OutputOptions) => removeBucketCommand(io, place, options, signal))
}
