/** The two sides of `hayloft sync`: a folder of this machine, or a prefix of a bucket. */
import { rm } from "node:fs/promises"
import { join, resolve } from "node:path"
import { RemoteFailure, type S3Client } from "@hayloft/client/index.js"
import { CliError } from "../exit-codes.js"
import type { CliIo } from "../io.js"
import { filesBelow, removeEmptyFolders, type TreeReports } from "./local-tree.js"
import { removeKeys } from "./object-commands.js"
import { asPrefix, type Place, type RemotePlace } from "../place.js"
import type { SyncEntry } from "./sync-core.js"
import { folderAt, isFolderMarker, markerNote } from "./transfer-run.js"

export interface SyncSide {
  /** In the order of names. A target that does not exist is empty. */
  entries(isSource: boolean, reports: TreeReports): AsyncIterable<SyncEntry>
  placeOf(name: string): Place
  /** Removes what these names stand for, and tells each after it is gone. */
  remove(names: AsyncIterable<string>, tell: (name: string) => Promise<void>): Promise<void>
}

class LocalSide implements SyncSide {
  readonly #root: string

  constructor(
    private readonly io: CliIo,
    private readonly path: string,
  ) {
    this.#root = resolve(io.workingFolder, path)
  }

  async *entries(isSource: boolean, reports: TreeReports): AsyncGenerator<SyncEntry> {
    try {
      await folderAt(this.io, this.path)
    } catch (error) {
      if (!isSource && error instanceof Error && "code" in error && error.code === "ENOENT") return
      throw error
    }
    // A broken link in the target is replaced by a file if the source has one.
    const reported = isSource ? reports : { ...QUIET, problem: reports.problem.bind(reports) }
    yield* filesBelow(this.#root, reported)
  }

  placeOf(name: string): Place {
    return { kind: "local", path: join(this.#root, name) }
  }

  async remove(names: AsyncIterable<string>, tell: (name: string) => Promise<void>): Promise<void> {
    for await (const name of names) {
      await rm(join(this.#root, name), { force: true })
      await removeEmptyFolders(this.#root, name)
      await tell(name)
    }
  }
}

const QUIET = { note: () => undefined }

class RemoteSide implements SyncSide {
  readonly #prefix: string

  constructor(
    private readonly client: S3Client,
    private readonly place: RemotePlace,
    /** The other side has files. */
    private readonly isBesideFiles: boolean,
  ) {
    this.#prefix = asPrefix(place.key)
  }

  async *entries(isSource: boolean, reports: TreeReports): AsyncGenerator<SyncEntry> {
    try {
      for await (const { key, sizeBytes, lastModifiedMs } of this.client.keys(this.place.bucket, this.#prefix)) {
        const name = key.slice(this.#prefix.length)
        if (name === "") continue
        if (this.isBesideFiles && isFolderMarker(key, sizeBytes)) {
          if (isSource) reports.note(markerNote(this.placeOf(name)))
        } else yield { name, sizeBytes, modifiedMs: lastModifiedMs }
      }
    } catch (error) {
      const isMissing = error instanceof RemoteFailure && error.code === "NoSuchBucket"
      if (isSource || !isMissing) throw error
    }
  }

  placeOf(name: string): Place & RemotePlace {
    return { kind: "remote", bucket: this.place.bucket, key: `${this.#prefix}${name}` }
  }

  async remove(names: AsyncIterable<string>, tell: (name: string) => Promise<void>): Promise<void> {
    const keysOf = async function* (prefix: string): AsyncGenerator<string> {
      for await (const name of names) yield `${prefix}${name}`
    }
    await removeKeys(this.client, this.place.bucket, keysOf(this.#prefix), key => tell(key.slice(this.#prefix.length)))
  }
}

/** Throws for standard input and output. */
export function sideOf(io: CliIo, client: S3Client, place: Place, other: Place): SyncSide {
  if (place.kind === "stream") throw new CliError("usage", "folders are synchronized; copy a stream with hayloft cp")
  if (place.kind === "local") return new LocalSide(io, place.path)
  return new RemoteSide(client, place, other.kind === "local")
}
