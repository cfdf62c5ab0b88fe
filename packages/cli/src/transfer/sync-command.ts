/**
 * `hayloft sync`: makes a folder or a prefix of a bucket equal to another one, copying only what differs (sync-core.ts).
 *
 * Promises  A failed file does not stop the others, and the command then ends with an error. `--delete` removes from the
 *           target what the source does not have, after everything was copied without a failure, according to new
 *           listings of both sides; never because a source is empty.
 * Limits    Listings are merged as they arrive (sync-pairs.ts); `FILES_CONCURRENT` transfers at a time.
 */
import type { Command } from "commander"
import type { S3Client } from "@hayloft/client/index.js"
import { requireStore } from "./copy-command.js"
import { CliError } from "../exit-codes.js"
import type { CliIo } from "../io.js"
import type { TreeReports } from "./local-tree.js"
import { withStore } from "../options.js"
import type { OutputOptions } from "../output.js"
import { contains, folderPlace, parsePlace, safeRelativePath, textOfPlace, type Place } from "../place.js"
import { withS3, type StoreOptions } from "../stores.js"
import { takesPart, verdictOf, type NameRule, type SyncEntry, type Verdict } from "./sync-core.js"
import { pairsOf } from "./sync-pairs.js"
import { sideOf, type SyncSide } from "./sync-sides.js"
import { printable, sizeText } from "../text.js"
import { TransferRun } from "./transfer-run.js"
import { Transfer, unsafeKey, type Transferred } from "./transfer.js"

interface SyncOptions extends StoreOptions, OutputOptions {
  readonly delete?: boolean
  readonly dryRun?: boolean
  readonly sizeOnly?: boolean
}

export function addSyncCommand(program: Command, io: CliIo, signal: AbortSignal): void {
  // In the order of the command line, since the last rule that matches decides.
  const rules: NameRule[] = []
  const add = (isIncluded: boolean) => (glob: string) => void rules.push({ isIncluded, glob })
  withStore(program.command("sync"))
    .description(
      "copy what is missing, newer or of another size: from a folder to s3://bucket/prefix, back, or between prefixes",
    )
    .argument("<FROM>")
    .argument("<TO>")
    .option("--delete", "then remove from TO what FROM does not have, if everything was copied")
    .option("--dry-run", "show what would be copied and removed, and change nothing")
    .option("--size-only", "do not compare times")
    .option(
      "--exclude <GLOB>",
      "leave out names like this (* is any text); the last of these options that fits decides",
      add(false),
    )
    .option("--include <GLOB>", "take names like this", add(true))
    .action((from: string, to: string, options: SyncOptions) => syncCommand(io, { from, to, rules }, options, signal))
}

interface SyncRequest {
  readonly from: string
  readonly to: string
  readonly rules: readonly NameRule[]
}

async function syncCommand(
  io: CliIo,
  { from, to, rules }: SyncRequest,
  options: SyncOptions,
  signal: AbortSignal,
): Promise<void> {
  const [source, target] = [folderPlace(parsePlace(from)), folderPlace(parsePlace(to))]
  requireStore(source, target, "rsync")
  if (contains(source, target) || contains(target, source))
    throw new CliError(
      "usage",
      `${textOfPlace(source)} and ${textOfPlace(target)} overlap: choose two places of which none contains the other`,
    )
  await withS3(io, options, signal, client => new Sync(io, client, { source, target, rules }, options).run())
}

const QUIET: TreeReports = { problem: () => undefined, note: () => undefined }

interface SyncPlaces {
  readonly source: Place
  readonly target: Place
  readonly rules: readonly NameRule[]
}

interface Copy {
  readonly place: Place
  readonly name: string
  readonly entry: SyncEntry
  readonly why: Verdict
}

class Sync {
  readonly #from: SyncSide
  readonly #to: SyncSide
  readonly #run: TransferRun
  readonly #transfer: Transfer
  #unchanged = 0
  #extra = 0
  #deleted = 0

  constructor(
    io: CliIo,
    client: S3Client,
    private readonly places: SyncPlaces,
    private readonly options: SyncOptions,
  ) {
    const { source, target } = places
    this.#from = sideOf(io, client, source, target)
    this.#to = sideOf(io, client, target, source)
    this.#run = new TransferRun(io, options, "copied")
    this.#transfer = new Transfer(io, client, options, this.#run.progress)
  }

  async run(): Promise<void> {
    const removes = this.options.delete
    await this.#run.each(this.#copies(), copy => this.#copy(copy))
    if (removes === true && this.#extra > 0 && this.#run.failed === 0) await this.#removeExtra()
    await this.#tellTotals()
    if (removes === true && this.#extra > 0 && this.#run.failed > 0) this.#run.note("nothing was removed")
    this.#run.throwIfFailed()
  }

  /** Yields what is to be copied, in the order of names. */
  async *#copies(): AsyncGenerator<Copy, void, void> {
    for await (const { source, target } of this.#pairs(this.#run)) {
      const verdict = verdictOf({ source, target }, this.options.sizeOnly === true)
      if (source === undefined) {
        this.#extra += 1
        continue
      }
      if (verdict === "same") this.#unchanged += 1
      else yield { place: this.#from.placeOf(source.name), name: source.name, entry: source, why: verdict }
    }
  }

  async *#pairs(reports: TreeReports) {
    const { rules } = this.places
    const part = async function* (entries: AsyncIterable<SyncEntry>): AsyncGenerator<SyncEntry> {
      for await (const entry of entries) if (takesPart(rules, entry.name)) yield entry
    }
    yield* pairsOf(part(this.#from.entries(true, reports)), part(this.#to.entries(false, reports)))
  }

  async #copy({ place, name, entry, why }: Copy): Promise<Transferred> {
    const { target } = this.places
    const to = this.#to.placeOf(name)
    if (target.kind === "local" && place.kind === "remote" && safeRelativePath(name) === undefined)
      throw unsafeKey(place)
    if (this.options.dryRun === true) {
      const [from, into] = [textOfPlace(place), textOfPlace(to)]
      return { from, to: into, sizeBytes: entry.sizeBytes, etag: "", why }
    }
    if (to.kind === "remote") return this.#transfer.store(place, to, true)
    if (place.kind !== "remote" || target.kind !== "local") throw new CliError("usage", "one side must be in a store")
    // The file gets the object's time, so that it is not newer or older than what it is a copy of.
    return this.#transfer.fetchBelow(place, target.path, name, { modifiedMs: entry.modifiedMs })
  }

  async #removeExtra(): Promise<void> {
    const text = textOfPlace(this.places.target)
    // Just before, since a disk may have been unmounted meanwhile.
    if (!(await this.#hasSource()))
      throw new CliError(
        "notFound",
        `nothing in ${textOfPlace(this.places.source)} takes part, and --delete would remove everything from ${text}; if that is meant, remove it yourself`,
      )
    const names = this.#extraNames()
    const tell = (name: string) => this.#tellRemoved(this.#to.placeOf(name))
    if (this.options.dryRun !== true) return this.#to.remove(names, tell)
    for await (const name of names) await tell(name)
  }

  async #hasSource(): Promise<boolean> {
    for await (const { name } of this.#from.entries(true, QUIET)) if (takesPart(this.places.rules, name)) return true
    return false
  }

  async *#extraNames(): AsyncGenerator<string, void, void> {
    const stop = (message: string): never => {
      throw new CliError("failed", `${message}; nothing more is removed`)
    }
    for await (const { source, target } of this.#pairs({ problem: stop, note: () => undefined })) {
      if (source === undefined && target !== undefined) yield target.name
    }
  }

  async #tellRemoved(place: Place): Promise<void> {
    this.#deleted += 1
    const text = textOfPlace(place)
    if (this.options.dryRun === true) return this.#run.say({ wouldDelete: text }, `would delete ${printable(text)}\n`)
    await this.#run.say({ deleted: text }, `deleted ${printable(text)}\n`)
  }

  async #tellTotals(): Promise<void> {
    const { files, sizeBytes, failed } = this.#run
    const isDryRun = this.options.dryRun === true
    const [unchanged, deleted] = [this.#unchanged, this.#deleted]
    const copied = `${isDryRun ? "would copy " : ""}${files}${isDryRun ? "" : " copied"} (${sizeText(sizeBytes)})`
    const removed = this.options.delete !== true ? "" : isDryRun ? `, delete ${deleted}` : `, ${deleted} deleted`
    const total = { files, sizeBytes, unchanged, deleted, failed, ...(isDryRun ? { dryRun: true } : {}) }
    await this.#run.say(total, `${copied}${removed}, ${unchanged} unchanged\n`)
  }
}
