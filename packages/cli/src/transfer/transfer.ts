/**
 * Transfer: one object or file from one place to another, for `cp`, `mv`, `sync` and `cat`.
 *
 * Promises  A file appears under its name only when it is complete: a download goes to a temporary file beside it, which is
 *           then renamed. Keys that point outside the target folder, or through a link in it, are never written. Objects
 *           are copied by the store itself, with attributes and tags.
 */
import { createHash } from "node:crypto"
import { constants } from "node:fs"
import { mkdir, open, rename, rm, stat, type FileHandle } from "node:fs/promises"
import { basename, dirname, resolve } from "node:path"
import {
  BrokenAnswer,
  type ObjectHead,
  RemoteFailure,
  type S3Client,
  serverCopy,
  upload,
} from "@hayloft/client/index.js"
import { contentTypeOf } from "@hayloft/base/http/content-types.js"
import { CliError } from "../exit-codes.js"
import type { CliIo } from "../io.js"
import { makeFoldersFor } from "./local-tree.js"
import type { OutputOptions } from "../output.js"
import { safeRelativePath, textOfPlace, type Place, type RemotePlace } from "../place.js"
import { Progress } from "../progress.js"
import { printable } from "../text.js"

const READ_CHUNK_BYTES = 1024 * 1024
const { O_WRONLY, O_CREAT, O_TRUNC, O_NOFOLLOW } = constants
const PARTIAL_FLAGS = O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW

export interface TransferOptions extends OutputOptions {
  readonly contentType?: string
}

type RemoteSource = Extract<Place, { kind: "remote" }>

export interface Transferred {
  readonly from: string
  readonly to: string
  readonly sizeBytes: number
  /** The ETag of the object that was written, or read into a file. */
  readonly etag: string
  /** The reason for a transfer that is only planned. */
  readonly why?: string
}

interface FileRules {
  /** The time of change that the file gets. */
  readonly modifiedMs?: number
  /** Wait until it is on the disk. */
  readonly isDurable?: boolean
}

/** The bucket of the target cannot be made: no file can be copied there, and one message says so. */
export class TargetFailed extends CliError {
  constructor(bucket: string, cause: RemoteFailure) {
    super("failed", `cannot create bucket ${printable(bucket)}: ${cause.reason}`)
  }
}

export class Transfer {
  readonly #bucketsReady = new Map<string, Promise<void>>()

  constructor(
    private readonly io: CliIo,
    private readonly client: S3Client,
    private readonly options: TransferOptions,
    /** For all transfers together; undefined: each has its own. */
    private readonly progress: Progress | undefined,
  ) {}

  /**
   * Copies to the key: from a file, standard input, or another object. The bucket is created if it does not exist and the
   * source does. Throws `TargetFailed` if the bucket cannot be created.
   * `isWhole`: a file that changes while it is read is an error, and no object appears.
   */
  async store(source: Place, to: RemotePlace, isWhole = false): Promise<Transferred> {
    const { etag, sizeBytes } =
      source.kind === "remote" ? await this.#copy(source, to) : await this.#upload(source, to, isWhole)
    return { from: textOfPlace(source), to: textOfPlace({ kind: "remote", ...to }), sizeBytes, etag }
  }

  get keepsContentType(): boolean {
    return this.options.contentType === undefined
  }

  /** Creates the bucket if it does not exist. Checks first, since a stream can be sent only once. */
  #ensureBucket(bucket: string): Promise<void> {
    const ready = this.#bucketsReady.get(bucket) ?? this.#createIfMissing(bucket)
    this.#bucketsReady.set(bucket, ready)
    return ready
  }

  /** Copies an object to a file below a folder. Throws if the name is not one of a file there. */
  async fetchBelow(source: RemoteSource, folder: string, name: string, rules: FileRules = {}): Promise<Transferred> {
    const path = safeRelativePath(name)
    if (path === undefined) throw unsafeKey(source)
    const root = resolve(this.io.workingFolder, folder)
    await makeFoldersFor(root, path)
    return this.fetchToFile(source, resolve(root, path), rules)
  }

  async fetchToFile(source: RemoteSource, file: string, rules: FileRules = {}): Promise<Transferred> {
    const { head, body } = await this.client.get(source.bucket, source.key)
    await mkdir(dirname(file), { recursive: true })
    const progress = this.#progress(source.key, head.sizeBytes)
    const partial = `${file}.hayloft-${process.pid}.partial`
    try {
      const handle = await open(partial, PARTIAL_FLAGS)
      try {
        for await (const chunk of verified(body, head)) {
          await handle.writeFile(chunk)
          progress.add(chunk.length)
        }
        if (rules.modifiedMs !== undefined) await handle.utimes(new Date(rules.modifiedMs), new Date(rules.modifiedMs))
        if (rules.isDurable === true) await handle.sync()
      } finally {
        await handle.close()
      }
      await rename(partial, file)
      if (rules.isDurable === true) await syncFolder(dirname(file))
    } catch (error) {
      await rm(partial, { force: true })
      throw error
    } finally {
      progress.end()
    }
    return { from: textOfPlace(source), to: file, sizeBytes: head.sizeBytes, etag: head.etag }
  }

  async fetchToOutput(source: RemotePlace, selection: Parameters<S3Client["get"]>[2] = {}): Promise<void> {
    const { head, body } = await this.client.get(source.bucket, source.key, selection)
    if (selection.range !== undefined && !head.isRange) throw new BrokenAnswer("the store ignored the range")
    for await (const chunk of verified(body, head)) await this.io.out(chunk)
  }

  /** A progress line, if standard error is a terminal. */
  #progress(key: string, totalBytes: number | undefined): Progress {
    return this.progress ?? progressOf(this.io, this.options, () => printable(basename(key)), totalBytes)
  }

  async #copy(source: RemotePlace, to: RemotePlace): Promise<{ etag: string; sizeBytes: number }> {
    const head = await this.client.head(source.bucket, source.key)
    await this.#ensureBucket(to.bucket)
    const { contentType } = this.options
    const progress = this.#progress(to.key, head.sizeBytes)
    const onProgress = (bytes: number) => progress.add(bytes)
    try {
      return await serverCopy(this.client, { from: source, head, to, contentType, onProgress })
    } finally {
      progress.end()
    }
  }

  async #upload(source: Place, to: RemotePlace, isWhole: boolean): Promise<{ etag: string; sizeBytes: number }> {
    const opened = await this.#open(source, isWhole)
    const progress = this.#progress(to.key, opened.sizeBytes)
    const contentType = this.options.contentType ?? contentTypeOf(to.key)
    const headers = [["content-type", contentType] as const]
    const request = { ...to, headers, sizeBytes: opened.sizeBytes, source: opened.chunks }
    try {
      await this.#ensureBucket(to.bucket)
      return await upload(this.client, { ...request, onProgress: bytes => progress.add(bytes) })
    } finally {
      progress.end()
      await opened.handle?.close()
    }
  }

  async #open(source: Place, isWhole: boolean): Promise<OpenedSource> {
    if (source.kind !== "local") return { chunks: this.io.input, sizeBytes: undefined, handle: undefined }
    const path = resolve(this.io.workingFolder, source.path)
    const handle = await open(path)
    try {
      const found = await handle.stat()
      if (found.isDirectory()) throw new CliError("usage", `${source.path} is a folder; add -r to copy its contents`)
      const chunks = isWhole && found.isFile() ? unchanged(handle, path) : streamOf(handle)
      return { chunks, sizeBytes: found.isFile() ? found.size : undefined, handle }
    } catch (error) {
      await handle.close()
      throw error
    }
  }

  async #createIfMissing(bucket: string): Promise<void> {
    try {
      await this.client.headBucket(bucket)
    } catch (error) {
      if (!(error instanceof RemoteFailure)) throw error
      // A caller that may write but not see the bucket gets its answer from the write.
      if (error.status !== 404) return
      await this.client.createBucket(bucket).catch((raced: unknown) => {
        if (raced instanceof RemoteFailure && raced.code === "BucketAlreadyOwnedByYou") return
        throw raced instanceof RemoteFailure ? new TargetFailed(bucket, raced) : raced
      })
      if (this.options.json !== true) this.io.error(`created bucket ${bucket}\n`)
    }
  }
}

interface OpenedSource {
  readonly chunks: AsyncIterable<Uint8Array>
  /** The size is undefined if unknown. */
  readonly sizeBytes: number | undefined
  readonly handle: FileHandle | undefined
}

/** A progress line that is drawn only on a terminal, and not with `--json`. */
export function progressOf(
  io: CliIo,
  options: OutputOptions,
  label: () => string,
  totalBytes: number | undefined,
): Progress {
  const draw = io.errorIsTerminal && options.json !== true ? (text: string) => io.error(text) : undefined
  return new Progress(draw, io.clock, label, totalBytes)
}

export const unsafeKey = (source: RemoteSource): CliError =>
  new CliError("failed", `${printable(textOfPlace(source))}: not copied, the key is not a safe file name`)

/** The folder of a path that ends in "/" or is one; undefined if the path is that of a file. */
export async function folderOf(io: CliIo, path: string): Promise<string | undefined> {
  const absolute = resolve(io.workingFolder, path)
  const found = await stat(absolute).catch(() => undefined)
  return path.endsWith("/") || found?.isDirectory() === true ? absolute : undefined
}

const streamOf = (handle: FileHandle): AsyncIterable<Uint8Array> =>
  handle.createReadStream({ autoClose: false, highWaterMark: READ_CHUNK_BYTES })

/** The bytes of a file; throws at the end if it changed meanwhile, so that its upload is not completed. */
async function* unchanged(handle: FileHandle, path: string): AsyncGenerator<Uint8Array> {
  const before = await handle.stat()
  let lengthBytes = 0
  for await (const chunk of streamOf(handle)) {
    lengthBytes += chunk.length
    yield chunk
  }
  const after = await handle.stat()
  if (after.mtimeMs !== before.mtimeMs || after.size !== before.size || lengthBytes !== before.size)
    throw new CliError("failed", `${printable(path)}: not copied, it changed while it was read`)
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path)
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

/** Passes the bytes through; throws at the end if some are missing, or if the ETag is an MD5 and differs. */
async function* verified(body: AsyncIterable<Uint8Array>, head: ObjectHead): AsyncGenerator<Uint8Array> {
  const md5 = head.etagIsMd5 ? createHash("md5") : undefined
  let lengthBytes = 0
  for await (const chunk of body) {
    md5?.update(chunk)
    lengthBytes += chunk.length
    yield chunk
  }
  if (head.hasSize && lengthBytes !== head.sizeBytes)
    throw new BrokenAnswer(`the download ended after ${lengthBytes} of ${head.sizeBytes} bytes`)
  if (md5 !== undefined && md5.digest("hex") !== head.etag)
    throw new BrokenAnswer("the bytes do not fit the object's checksum")
}
