/**
 * `hayloft cp`: copies files and folders to and from a store, within or between buckets, standard input and output.
 * What a single copy promises is in transfer.ts.
 */
import { basename, resolve } from "node:path"
import type { S3Client } from "@hayloft/client/index.js"
import { CliError } from "../exit-codes.js"
import type { CliIo } from "../io.js"
import { contains, folderPlace, parsePlace, targetKey, textOfPlace, type Place } from "../place.js"
import { withS3At, type StoreOptions } from "../stores.js"
import { placesBelow, targetBelow, TransferRun, type Target } from "./transfer-run.js"
import { folderOf, Transfer, type Transferred, type TransferOptions } from "./transfer.js"

export interface CopyOptions extends StoreOptions, TransferOptions {
  readonly recursive?: boolean
  readonly at?: string
}

export async function copyCommand(
  io: CliIo,
  from: string,
  to: string,
  options: CopyOptions,
  signal: AbortSignal,
): Promise<void> {
  const [source, target] = [parsePlace(from), parsePlace(to)]
  requireStore(source, target, "cp")
  if (options.at !== undefined && (source.kind !== "remote" || target.kind === "remote"))
    throw new CliError("usage", "--at: copy from a store to files; hayloft bucket restore changes the bucket")
  const copy = async (client: S3Client): Promise<void> => {
    if (options.recursive === true) return copyTree(io, client, source, target, options)
    const transfer = new Transfer(io, client, options, undefined)
    if (source.kind === "remote" && target.kind === "stream") {
      requireKey(source)
      return transfer.fetchToOutput(source)
    }
    const run = new TransferRun(io, options, "copied")
    await run.tell(await copyTo(transfer, source, await targetOf(io, source, target)))
  }
  await withS3At(io, options, signal, copy)
}

/** Throws unless one side is in the store. */
export function requireStore(source: Place, target: Place, program: string): void {
  if (source.kind === "remote" || target.kind === "remote") return
  throw new CliError("usage", `one side must be s3://bucket/key; for local files use ${program}`)
}

function requireKey(source: Extract<Place, { kind: "remote" }>): void {
  if (source.key === "") throw new CliError("usage", `name a key, or add -r for the whole bucket ${source.bucket}`)
}

/** Returns where a single object or file goes: in a target folder it keeps its name. */
export async function targetOf(io: CliIo, source: Place, target: Place): Promise<Target> {
  if (target.kind === "remote") return { kind: "remote", bucket: target.bucket, key: targetKey(target, source) }
  if (source.kind === "remote") requireKey(source)
  if (target.kind !== "local" || source.kind !== "remote") throw new CliError("usage", "standard output is no target")
  const folder = await folderOf(io, target.path)
  return folder === undefined
    ? { kind: "file", path: resolve(io.workingFolder, target.path) }
    : { kind: "below", folder, name: basename(source.key) }
}

async function copyTo(transfer: Transfer, source: Place, target: Target): Promise<Transferred> {
  if (target.kind === "remote") return transfer.store(source, { bucket: target.bucket, key: target.key })
  if (source.kind !== "remote") throw new CliError("usage", "one side must be s3://bucket/key")
  if (target.kind === "file") return transfer.fetchToFile(source, target.path)
  return transfer.fetchBelow(source, target.folder, target.name)
}

async function copyTree(
  io: CliIo,
  client: S3Client,
  source: Place,
  target: Place,
  options: CopyOptions,
): Promise<void> {
  requireSeparate(source, target)
  const run = new TransferRun(io, options, "copied")
  const transfer = new Transfer(io, client, options, run.progress)
  await run.each(placesBelow(io, client, source, target, run), ({ place, name }) =>
    copyTo(transfer, place, targetBelow(source, target, name)),
  )
  await run.end(`nothing to copy below ${textOfPlace(source)}`)
}

/** Throws for a copy of a folder into itself, which would copy its own copies. */
export function requireSeparate(source: Place, target: Place): void {
  if (source.kind === "stream" || target.kind === "stream") {
    throw new CliError("usage", "folders are copied; standard input and output are a single object")
  }
  if (contains(source, folderPlace(target))) {
    const [from, to] = [textOfPlace(source), textOfPlace(target)]
    throw new CliError(
      "usage",
      `${to} is among the keys that begin with ${from}; end a folder with /, or choose another target`,
    )
  }
}
