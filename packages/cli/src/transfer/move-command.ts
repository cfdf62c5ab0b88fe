/**
 * `hayloft mv`: moves files and objects to, from and within a store.
 *
 * Promises  The source is removed only after its bytes are at the target: the object was read back by its head, or the file
 *           is on the disk; and only if it is still the one that was copied. Within Hayloft a move is a rename, of one
 *           moment, unless the bucket of either is one that renames lead to no other from.
 */
import { rm, stat } from "node:fs/promises"
import { resolve } from "node:path"
import { hexOf } from "@hayloft/base/bytes.js"
import { BrokenAnswer, RemoteFailure, type ObjectHead, type ObjectName, type S3Client } from "@hayloft/client/index.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { RealRandom } from "@hayloft/base/seams/random/real.js"
import { requireSeparate, requireStore, targetOf, type CopyOptions } from "./copy-command.js"
import { CliError } from "../exit-codes.js"
import type { CliIo } from "../io.js"
import { parsePlace, textOfPlace, type Place, type RemotePlace } from "../place.js"
import { withS3 } from "../stores.js"
import { placesBelow, targetBelow, TransferRun, type Target } from "./transfer-run.js"
import { printable } from "../text.js"
import { Transfer, type Transferred } from "./transfer.js"

const TOKEN_BYTES = 16

export async function moveCommand(
  io: CliIo,
  from: string,
  to: string,
  options: CopyOptions,
  signal: AbortSignal,
): Promise<void> {
  const [source, target] = [parsePlace(from), parsePlace(to)]
  if (source.kind === "stream" || target.kind === "stream")
    throw new CliError("usage", "standard input and output cannot be moved; copy them with hayloft cp")
  requireStore(source, target, "mv")
  if (options.recursive === true) requireSeparate(source, target)
  await withS3(io, options, signal, async client => {
    const run = new TransferRun(io, options, "moved")
    if (options.recursive !== true) {
      const mover = new Mover(io, client, new Transfer(io, client, options, undefined), new RealRandom())
      return run.tell(await mover.move(source, await targetOf(io, source, target)))
    }
    const mover = new Mover(io, client, new Transfer(io, client, options, run.progress), new RealRandom())
    await run.each(placesBelow(io, client, source, target, run), ({ place, name }) =>
      mover.move(place, targetBelow(source, target, name)),
    )
    await run.end(`nothing to move below ${textOfPlace(source)}`)
  })
}

class Mover {
  constructor(
    private readonly io: CliIo,
    private readonly client: S3Client,
    private readonly transfer: Transfer,
    private readonly random: Random,
  ) {}

  move(source: Place, target: Target): Promise<Transferred> {
    if (source.kind === "local" && target.kind === "remote") return this.#fromFile(source, target)
    if (source.kind !== "remote") throw new CliError("usage", "one side must be s3://bucket/key")
    return target.kind === "remote" ? this.#within(source, target) : this.#toFile(source, target)
  }

  async #fromFile(source: Extract<Place, { kind: "local" }>, { bucket, key }: RemotePlace): Promise<Transferred> {
    const path = resolve(this.io.workingFolder, source.path)
    const before = await stat(path)
    const moved = await this.transfer.store(source, { bucket, key }, true)
    requireCopy(moved, await this.client.head(bucket, key))
    const after = await stat(path)
    if (after.ino !== before.ino || after.mtimeMs !== before.mtimeMs || after.size !== before.size)
      throw new CliError("failed", `${printable(path)}: copied, but not removed, since it changed meanwhile`)
    await rm(path)
    return moved
  }

  async #toFile(
    source: Extract<Place, { kind: "remote" }>,
    target: Exclude<Target, { kind: "remote" }>,
  ): Promise<Transferred> {
    const rules = { isDurable: true }
    const moved = await (target.kind === "file"
      ? this.transfer.fetchToFile(source, target.path, rules)
      : this.transfer.fetchBelow(source, target.folder, target.name, rules))
    await this.client.remove(source.bucket, source.key, { ifMatch: moved.etag })
    return moved
  }

  /** Returns false if it has to be copied: the store renames only within buckets, or one is remote or missing. */
  async #renames(source: ObjectName, head: ObjectHead, to: ObjectName): Promise<boolean> {
    try {
      await this.client.rename(source, head.etag, to, hexOf(this.random.bytes(TOKEN_BYTES)))
      return true
    } catch (error) {
      if (!(error instanceof RemoteFailure) || source.bucket === to.bucket) throw error
      // An earlier release refuses the name of another bucket; a copy makes a bucket that is missing.
      if (["NotImplemented", "InvalidArgument", "NoSuchBucket"].includes(error.code)) return false
      throw error
    }
  }

  async #within(source: Extract<Place, { kind: "remote" }>, { bucket, key }: RemotePlace): Promise<Transferred> {
    if (source.bucket === bucket && source.key === key)
      throw new CliError("usage", `${printable(textOfPlace(source))} is the source and the target`)
    const head = await this.client.head(source.bucket, source.key)
    if (head.hasRename && this.transfer.keepsContentType && (await this.#renames(source, head, { bucket, key }))) {
      const [from, to] = [textOfPlace(source), textOfPlace({ kind: "remote", bucket, key })]
      return { from, to, sizeBytes: head.sizeBytes, etag: head.etag }
    }
    const moved = await this.transfer.store(source, { bucket, key })
    requireCopy(moved, await this.client.head(bucket, key))
    await this.client.remove(source.bucket, source.key, { ifMatch: head.etag })
    return moved
  }
}

/** Throws unless the object at the target is the copy. */
function requireCopy({ to, sizeBytes, etag }: Transferred, found: ObjectHead): void {
  if (found.sizeBytes === sizeBytes && found.etag === etag) return
  throw new BrokenAnswer(`${printable(to)} is not the copy that was written; the source is kept`)
}
