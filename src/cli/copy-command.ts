/**
 * `hayloft cp`: copies files and folders to and from a store, within or between buckets, standard input and output.
 *
 * Promises  A file appears under its name only when it is complete: a download goes to a temporary file beside
 *           it, which is then renamed. Keys that point outside the target folder are never written.
 * Limits    At most `FILES_CONCURRENT` files of a recursive copy at a time.
 */
import { createHash } from "node:crypto"
import { constants, createReadStream } from "node:fs"
import { mkdir, open, readdir, rename, rm, stat } from "node:fs/promises"
import { basename, dirname, join, resolve } from "node:path"
import { mapBounded } from "../life/index.js"
import { BrokenAnswer, type ObjectHead, RemoteFailure, type S3Client, upload, type Uploaded } from "../client/index.js"
import { contentTypeOf } from "./content-types.js"
import { CliError, messageOf } from "./exit-codes.js"
import type { CliIo } from "./io.js"
import { answer, type OutputOptions } from "./output.js"
import {
  asPrefix,
  parsePlace,
  safeRelativePath,
  targetKey,
  textOfPlace,
  type Place,
  type RemotePlace,
} from "./place.js"
import { Progress } from "./progress.js"
import { withS3, type StoreOptions } from "./stores.js"
import { printable, sizeText } from "./text.js"

const FILES_CONCURRENT = 4
const READ_CHUNK_BYTES = 1024 * 1024

export interface CopyOptions extends StoreOptions, OutputOptions {
  readonly recursive?: boolean
  readonly contentType?: string
}

interface Copied {
  readonly from: string
  readonly to: string
  readonly sizeBytes: number
}

export async function copyCommand(
  io: CliIo,
  from: string,
  to: string,
  options: CopyOptions,
  signal: AbortSignal,
): Promise<void> {
  const [source, target] = [parsePlace(from), parsePlace(to)]
  if (source.kind !== "remote" && target.kind !== "remote") {
    throw new CliError("usage", "one side must be s3://bucket/key; to copy between local files use cp")
  }
  await withS3(io, options, signal, async client => {
    const copier = new Copier(io, client, options)
    await (options.recursive === true ? copier.copyTree(source, target) : copier.copyOne(source, target))
  })
}

class Copier {
  constructor(
    private readonly io: CliIo,
    private readonly client: S3Client,
    private readonly options: CopyOptions,
  ) {}

  async copyOne(source: Place, target: Place): Promise<void> {
    if (target.kind === "remote") await this.#tell(await this.#store(source, target))
    else if (source.kind === "remote") await this.#fetch(source, target)
  }

  async copyTree(source: Place, target: Place): Promise<void> {
    if (source.kind === "stream" || target.kind === "stream") {
      throw new CliError("usage", "-r copies folders; standard input and output are a single object")
    }
    const copies =
      source.kind === "local" ? this.#treeFromFolder(source.path, target) : this.#treeFromKeys(source, target)
    let [files, sizeBytes] = [0, 0]
    const failures: unknown[] = []
    await inParallel(copies, FILES_CONCURRENT, async copy => {
      try {
        const copied = await copy()
        files += 1
        sizeBytes += copied.sizeBytes
        await this.#tell(copied)
      } catch (error) {
        if (error instanceof Error && error.name === "AbortError") throw error
        failures.push(error)
        this.io.error(`hayloft: ${messageOf(error)}\n`)
      }
    })
    const failed = failures.length
    if (files === 0 && failed === 0) throw new CliError("notFound", `nothing to copy below ${textOfPlace(source)}`)
    await answer(this.io, this.options, { files, sizeBytes, failed }, `${files} copied, ${sizeText(sizeBytes)}\n`)
    if (failed > 0) throw new CliError("failed", `${failed} of ${files + failed} were not copied`)
  }

  async *#treeFromFolder(folder: string, target: Place): AsyncGenerator<() => Promise<Copied>> {
    const root = resolve(this.io.workingFolder, folder)
    if (target.kind !== "remote") return
    if (!(await stat(root)).isDirectory()) throw new CliError("usage", `${folder} is not a folder; omit -r`)
    for await (const path of filesBelow(root, "")) {
      const key = `${asPrefix(target.key)}${path}`
      yield () => this.#store({ kind: "local", path: join(root, path) }, { bucket: target.bucket, key })
    }
  }

  async *#treeFromKeys(source: RemotePlace, target: Place): AsyncGenerator<() => Promise<Copied>> {
    const prefix = source.key
    const cut = prefix.lastIndexOf("/") + 1
    for await (const { key } of this.client.keys(source.bucket, prefix)) {
      const from: Place = { kind: "remote", bucket: source.bucket, key }
      const rest = key.slice(cut)
      if (target.kind === "remote") {
        yield () => this.#store(from, { bucket: target.bucket, key: `${asPrefix(target.key)}${rest}` })
      } else if (target.kind === "local" && !key.endsWith("/")) {
        yield () => this.#fetchBelow(from, target.path, rest)
      }
    }
  }

  async #fetchBelow(from: Extract<Place, { kind: "remote" }>, folder: string, rest: string): Promise<Copied> {
    const path = safeRelativePath(rest)
    if (path === undefined)
      throw new CliError("failed", `${printable(textOfPlace(from))}: not copied, the key is not a safe file name`)
    const file = join(resolve(this.io.workingFolder, folder), path)
    return this.#fetchToFile(from, file)
  }

  /** Copies to the store: from a file, standard input, or another object. */
  async #store(source: Place, target: RemotePlace): Promise<Copied> {
    const opened = await this.#openSource(source)
    const key = targetKey(target, source)
    const to = textOfPlace({ kind: "remote", bucket: target.bucket, key })
    const progress = this.#progress(key, opened.sizeBytes)
    const contentType = this.options.contentType ?? opened.contentType ?? contentTypeOf(key)
    const request = {
      bucket: target.bucket,
      key,
      contentType,
      sizeBytes: opened.sizeBytes,
      onProgress: (bytes: number) => progress.add(bytes),
    }
    try {
      const { sizeBytes } = await this.#uploadCreating({ ...request, source: opened.chunks })
      return { from: textOfPlace(source), to, sizeBytes }
    } finally {
      progress.end()
    }
  }

  /** Creates the bucket if it does not exist. Checks first, since a stream can be sent only once. */
  async #uploadCreating(request: Parameters<typeof upload>[1]): Promise<Uploaded> {
    await this.#ensureBucket(request.bucket)
    return upload(this.client, request)
  }

  readonly #bucketsReady = new Map<string, Promise<void>>()

  #ensureBucket(bucket: string): Promise<void> {
    const ready = this.#bucketsReady.get(bucket) ?? this.#createIfMissing(bucket)
    this.#bucketsReady.set(bucket, ready)
    return ready
  }

  async #createIfMissing(bucket: string): Promise<void> {
    try {
      await this.client.headBucket(bucket)
    } catch (error) {
      if (!(error instanceof RemoteFailure)) throw error
      // A caller that may write but not see the bucket gets its answer from the write.
      if (error.status !== 404) return
      await this.client.createBucket(bucket).catch((raced: unknown) => {
        if (!(raced instanceof RemoteFailure) || raced.code !== "BucketAlreadyOwnedByYou") throw raced
      })
      if (this.options.json !== true) this.io.error(`created bucket ${bucket}\n`)
    }
  }

  async #openSource(
    source: Place,
  ): Promise<{ chunks: AsyncIterable<Uint8Array>; sizeBytes: number | undefined; contentType?: string }> {
    if (source.kind === "stream") return { chunks: this.io.input, sizeBytes: undefined }
    if (source.kind === "remote") {
      const { head, body } = await this.client.get(source.bucket, source.key)
      const contentType = head.contentType === undefined ? {} : { contentType: head.contentType }
      return { chunks: body, sizeBytes: head.sizeBytes, ...contentType }
    }
    const path = resolve(this.io.workingFolder, source.path)
    const found = await stat(path)
    if (found.isDirectory()) throw new CliError("usage", `${source.path} is a folder; add -r to copy its contents`)
    return {
      chunks: createReadStream(path, { highWaterMark: READ_CHUNK_BYTES }),
      sizeBytes: found.isFile() ? found.size : undefined,
    }
  }

  /** Copies from the store to a file or to standard output. */
  async #fetch(source: Extract<Place, { kind: "remote" }>, target: Place): Promise<void> {
    if (source.key === "")
      throw new CliError("usage", `name a key, or add -r to copy the whole bucket ${source.bucket}`)
    if (target.kind === "stream") return this.#fetchToOutput(source)
    if (target.kind !== "local") return
    const path = resolve(this.io.workingFolder, target.path)
    const isFolder = target.path.endsWith("/") || (await stat(path).catch(() => undefined))?.isDirectory() === true
    if (!isFolder) return this.#tell(await this.#fetchToFile(source, path))
    await mkdir(path, { recursive: true })
    await this.#tell(await this.#fetchBelow(source, target.path, basename(source.key)))
  }

  async #fetchToOutput(source: RemotePlace): Promise<void> {
    const { head, body } = await this.client.get(source.bucket, source.key)
    for await (const chunk of verified(body, head)) await this.io.out(chunk)
  }

  async #fetchToFile(source: Extract<Place, { kind: "remote" }>, file: string): Promise<Copied> {
    const { head, body } = await this.client.get(source.bucket, source.key)
    await mkdir(dirname(file), { recursive: true })
    const progress = this.#progress(source.key, head.sizeBytes)
    const partial = `${file}.hayloft-${process.pid}.partial`
    try {
      const handle = await open(partial, constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC)
      try {
        for await (const chunk of verified(body, head)) {
          await handle.writeFile(chunk)
          progress.add(chunk.length)
        }
      } finally {
        await handle.close()
      }
      await rename(partial, file)
    } catch (error) {
      await rm(partial, { force: true })
      throw error
    } finally {
      progress.end()
    }
    return { from: textOfPlace(source), to: file, sizeBytes: head.sizeBytes }
  }

  #progress(label: string, totalBytes: number | undefined): Progress {
    const alone = this.options.recursive !== true && this.options.json !== true
    const draw = this.io.errorIsTerminal && alone ? (text: string) => this.io.error(text) : undefined
    return new Progress(draw, this.io.clock, printable(basename(label)), totalBytes)
  }

  async #tell(copied: Copied): Promise<void> {
    const { from, to, sizeBytes } = copied
    await answer(this.io, this.options, copied, `${printable(from)} -> ${printable(to)} (${sizeText(sizeBytes)})\n`)
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
  if (lengthBytes !== head.sizeBytes)
    throw new BrokenAnswer(`the download ended after ${lengthBytes} of ${head.sizeBytes} bytes`)
  if (md5 !== undefined && md5.digest("hex") !== head.etag)
    throw new BrokenAnswer("the bytes do not fit the object's checksum")
}

/** Paths of files below a folder, with "/" between names, in order; does not follow links to folders. */
async function* filesBelow(root: string, path: string): AsyncGenerator<string> {
  const entries = await readdir(join(root, path), { withFileTypes: true })
  entries.sort((a, b) => (a.name < b.name ? -1 : 1))
  for (const entry of entries) {
    const inner = path === "" ? entry.name : `${path}/${entry.name}`
    if (entry.isDirectory()) yield* filesBelow(root, inner)
    else if (entry.isFile() || (entry.isSymbolicLink() && (await isFile(join(root, inner))))) yield inner
  }
}

const isFile = async (path: string): Promise<boolean> => (await stat(path).catch(() => undefined))?.isFile() === true

/** Runs `work` on each item with limited concurrency; the first error ends it. */
async function inParallel<T>(items: AsyncIterator<T>, limit: number, work: (item: T) => Promise<void>): Promise<void> {
  let turn: Promise<unknown> = Promise.resolve()
  const next = (): Promise<IteratorResult<T>> => {
    const mine = turn.then(() => items.next())
    turn = mine.catch(() => undefined)
    return mine
  }
  const worker = async (): Promise<void> => {
    for (let item = await next(); item.done !== true; item = await next()) await work(item.value)
  }
  await mapBounded(Array.from({ length: limit }), limit, worker)
}
