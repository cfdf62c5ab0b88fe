/**
 * A run of many transfers: which ones, how they are reported, and what they add up to, for `cp -r`, `mv -r` and `sync`.
 *
 * Promises  A failed transfer is reported with its name and does not stop the others; the run then ends with an error.
 * Limits    `FILES_CONCURRENT` at a time; names are read as they are needed.
 */
import { stat } from "node:fs/promises"
import { join, resolve } from "node:path"
import { RemoteFailure, type S3Client } from "@hayloft/client/index.js"
import { InOrder, mapBounded } from "@hayloft/base/life/index.js"
import { CliError, messageOf } from "../exit-codes.js"
import type { CliIo } from "../io.js"
import { filesBelow, type TreeReports } from "./local-tree.js"
import { answer, type OutputOptions } from "../output.js"
import { asPrefix, contains, isNamedBy, textOfPlace, type Place, type RemotePlace } from "../place.js"
import type { Progress } from "../progress.js"
import { countText, printable, sizeText } from "../text.js"
import { progressOf, TargetFailed, type Transferred } from "./transfer.js"

const FILES_CONCURRENT = 4

export type Target =
  | ({ readonly kind: "remote" } & RemotePlace)
  | { readonly kind: "file"; readonly path: string }
  | { readonly kind: "below"; readonly folder: string; readonly name: string }

interface NamedPlace {
  readonly place: Place
  /** Below the target. */
  readonly name: string
}

export class TransferRun implements TreeReports {
  readonly progress: Progress
  #files = 0
  #sizeBytes = 0
  #failed = 0

  constructor(
    private readonly io: CliIo,
    private readonly options: OutputOptions,
    /** `copied` or `moved`. */
    private readonly done: string,
  ) {
    this.progress = progressOf(io, options, () => `${countText(this.#files)} ${done}`, undefined)
  }

  get files(): number {
    return this.#files
  }

  get failed(): number {
    return this.#failed
  }

  get sizeBytes(): number {
    return this.#sizeBytes
  }

  async each<T extends NamedPlace>(
    items: AsyncIterator<T>,
    transfer: (item: T) => Promise<Transferred>,
  ): Promise<void> {
    try {
      await inParallel(items, FILES_CONCURRENT, async item => {
        try {
          await this.tell(await transfer(item))
        } catch (error) {
          if (error instanceof TargetFailed || (error instanceof Error && error.name === "AbortError")) throw error
          this.fail(item.place, error)
        }
      })
    } finally {
      this.progress.end()
      await items.return?.()
    }
  }

  async tell(transferred: Transferred): Promise<void> {
    const { from, to, sizeBytes, why } = transferred
    this.#files += 1
    this.#sizeBytes += sizeBytes
    const text = `${printable(from)} -> ${printable(to)} (${sizeText(sizeBytes)})`
    await (why === undefined
      ? this.say({ from, to, sizeBytes }, `${text}\n`)
      : this.say({ from, to, sizeBytes, wouldCopy: why }, `would copy ${text}: ${why}\n`))
  }

  async say(value: unknown, text: string): Promise<void> {
    this.progress.end()
    await answer(this.io, this.options, value, text)
  }

  fail(place: Place, error: unknown): void {
    const [name, message] = [printable(textOfPlace(place)), messageOf(withoutName(place, error))]
    this.problem(message.includes(name) ? message : `${name}: ${message}`)
  }

  problem(message: string): void {
    this.#failed += 1
    this.note(message)
  }

  note(message: string): void {
    this.progress.end()
    this.io.error(`hayloft: ${message}\n`)
  }

  /** Reports the totals. Throws if there was nothing to do, or if a transfer failed. */
  async end(nothing: string): Promise<void> {
    if (this.#files === 0 && this.#failed === 0) throw new CliError("notFound", nothing)
    const total = { files: this.#files, sizeBytes: this.#sizeBytes, failed: this.#failed }
    await answer(this.io, this.options, total, `${this.#files} ${this.done}, ${sizeText(this.#sizeBytes)}\n`)
    this.throwIfFailed()
  }

  throwIfFailed(): void {
    if (this.#failed > 0)
      throw new CliError("failed", `${this.#failed} of ${this.#files + this.#failed} were not ${this.done}`)
  }
}

/** The error as it is told after the name of the place. */
function withoutName(place: Place, error: unknown): unknown {
  const isNamed = error instanceof RemoteFailure && error.about !== undefined && isNamedBy(place, error.about)
  return isNamed ? new RemoteFailure(error.status, error.code, error.reason, error.requestId) : error
}

/** The files of a folder, or the objects whose keys begin with a prefix, with their names below the target. */
export async function* placesBelow(
  io: CliIo,
  client: S3Client,
  source: Place,
  target: Place,
  reports: TreeReports,
): AsyncGenerator<NamedPlace, void, void> {
  if (source.kind === "local") {
    const root = await folderAt(io, source.path)
    for await (const { name } of filesBelow(root, reports))
      yield { place: { kind: "local", path: join(root, name) }, name }
  } else if (source.kind === "remote") {
    const cut = source.key.lastIndexOf("/") + 1
    for await (const { key, sizeBytes } of client.keys(source.bucket, source.key)) {
      const place: Place = { kind: "remote", bucket: source.bucket, key }
      if (target.kind === "local" && isFolderMarker(key, sizeBytes)) reports.note(markerNote(place))
      else yield { place, name: key.slice(cut) }
    }
  }
}

/** Throws for a key among those that are still to be listed. */
export function targetBelow(source: Place, target: Place, name: string): Target {
  if (target.kind !== "remote") return { kind: "below", folder: target.kind === "local" ? target.path : ".", name }
  const key = `${asPrefix(target.key)}${name}`
  const place: Target = { kind: "remote", bucket: target.bucket, key }
  if (contains(source, place)) throw new CliError("failed", `${printable(key)} is in the source itself`)
  return place
}

/** The path of a folder. Throws for anything else. */
export async function folderAt(io: CliIo, path: string): Promise<string> {
  const root = resolve(io.workingFolder, path)
  if (!(await stat(root)).isDirectory()) throw new CliError("usage", `${path} is not a folder`)
  return root
}

/** Consoles create empty objects like `photos/` to show a folder. A file cannot have such a name. */
export const isFolderMarker = (key: string, sizeBytes: number): boolean => key.endsWith("/") && sizeBytes === 0

export const markerNote = (place: Place): string =>
  `${printable(textOfPlace(place))}: left out, an empty object that marks a folder`

/** Runs `work` on each item with limited concurrency; the first error ends it. */
async function inParallel<T>(items: AsyncIterator<T>, limit: number, work: (item: T) => Promise<void>): Promise<void> {
  const turn = new InOrder()
  const next = (): Promise<IteratorResult<T>> => turn.run(() => items.next())
  const worker = async (): Promise<void> => {
    for (let item = await next(); item.done !== true; item = await next()) await work(item.value)
  }
  await mapBounded(Array.from({ length: limit }), limit, worker)
}
