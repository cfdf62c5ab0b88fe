/**
 * `hayloft import`: copies buckets from another S3 store, with their versions, delete markers and settings.
 *
 * Promises  Nothing at the source changes. Of a key with versions the target gets all of them in their order, or an unbroken
 *           beginning, from which the next run goes on. A key whose history in the target is another one is reported, and
 *           stays as it is. A failed key does not stop the others, and the command then ends with an error. Settings come
 *           last, so that no rule acts on a bucket that is half there.
 * Keeps     Bytes, content type, cache control and the like, user metadata, tags, retention and legal hold; ETags, unless the
 *           parts of the object are longer than `PART_BYTES_KEPT_MAX`. Times of change are those of the import.
 * Limits    Some keys at a time (transfer-run.ts); of each object some parts are in memory, and of each key the list of its
 *           versions, up to `VERSIONS_MAX`.
 */
import { Option, type Command } from "commander"
import { MIB } from "@hayloft/base/limits.js"
import {
  BrokenAnswer,
  RemoteFailure,
  S3Client,
  Unreachable,
  upload,
  type BucketDocumentName,
  type ListedVersion,
} from "@hayloft/client/index.js"
import { REGION_DEFAULT } from "@hayloft/base/region.js"
import type { HeaderFields } from "@hayloft/base/http/request-headers.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { CliError } from "../exit-codes.js"
import { decideImport } from "./import-core.js"
import {
  historiesOf,
  isMd5At,
  latestOf,
  S3Source,
  type History,
  type ImportSource,
  type OpenedVersion,
} from "./import-source.js"
import type { CliIo } from "../io.js"
import { parseDataFolders } from "@hayloft/node/config/index.js"
import { foldersOf } from "../minio/arguments-core.js"
import type { MinioSource } from "./minio-source.js"
import { withStore } from "../options.js"
import type { OutputOptions } from "../output.js"
import { textOfPlace, type Place } from "../place.js"
import { httpUrl, isElsewhere, namedTrust, withAdmin, withS3, type StoreOptions } from "../stores.js"
import { verdictOf } from "../transfer/sync-core.js"
import { pairsOf } from "../transfer/sync-pairs.js"
import { plural, printable, sizeText } from "../text.js"
import { TransferRun } from "../transfer/transfer-run.js"
import type { Transferred } from "../transfer/transfer.js"

/** Parts up to this length are written as they were, and an object without parts as one. */
const PART_BYTES_KEPT_MAX = 32 * MIB

const MINIO_FOLDERS_MAX = 1024

/** The attempts to write the versions of a key. */
const ATTEMPTS_MAX = 5

/** In the order in which they are written: rules of lifecycle act on what is there, and a policy may deny the rest. */
const SETTINGS: readonly BucketDocumentName[] = ["tagging", "cors", "encryption", "website", "lifecycle", "policy"]

interface ImportOptions extends StoreOptions, OutputOptions {
  readonly prefix?: string
  readonly into?: string
  readonly latestOnly?: boolean
  readonly settings: boolean
  readonly dryRun?: boolean
}

interface ServerOptions extends ImportOptions {
  readonly from?: string
}

interface DisksOptions extends ServerOptions {
  readonly bucket?: readonly string[]
  readonly identities: boolean
}

const withImport = (command: Command): Command =>
  withStore(command)
    .option("--prefix <PREFIX>", "only keys that begin like this")
    .option("--into <NAME>", "give the bucket another name here")
    .option("--latest-only", "leave out earlier versions and delete markers")
    .option("--no-settings", "copy objects only")
    .option("--dry-run", "show what would be copied, and change nothing")

export function addImportCommand(program: Command, io: CliIo, signal: AbortSignal): void {
  const command = withImport(program.command("import"))
    .description(
      "copy buckets from another S3 store, with versions and settings; SOURCE_ACCESS_KEY_ID and SOURCE_SECRET_ACCESS_KEY contain its key",
    )
    .argument("[BUCKET...]", "all that the other store lists, if none is named")
    .option("--from <URL>", "the other store, such as https://minio.example:9000")
    .action((buckets: readonly string[], options: ServerOptions) => importCommand(io, buckets, options, signal))
  withImport(command.command("minio"))
    .description("copy buckets from the disks of a stopped MinIO, with versions and settings; its disks are only read")
    .argument("[DIR...]", "all folders of that MinIO, also as /mnt/disk{1...4}; a lost one may be missing")
    .option("--bucket <NAME...>", "only these buckets")
    .option("--no-identities", "leave out users, groups, policies and access keys")
    // A bucket of another store may be called minio.
    .addOption(new Option("--from <URL>").hideHelp())
    .action((folders: readonly string[], options: DisksOptions) => {
      // The option is that of either command, wherever it is written; the other one has its default.
      const ofImport = command.opts<ServerOptions>()
      const all: DisksOptions = { ...ofImport, ...options, settings: ofImport.settings && options.settings }
      return all.from === undefined
        ? importDisks(io, folders, all, signal)
        : importCommand(io, ["minio", ...folders], all, signal)
    })
}

async function importCommand(
  io: CliIo,
  named: readonly string[],
  options: ServerOptions,
  signal: AbortSignal,
): Promise<void> {
  const { from } = options
  if (from === undefined) throw new CliError("usage", "name the other store with --from URL, or the disks of a MinIO")
  await importFrom(io, named, options, signal, async () => ({
    source: new S3Source(await clientOf(io, from, signal)),
  }))
}

async function importDisks(
  io: CliIo,
  texts: readonly string[],
  options: DisksOptions,
  signal: AbortSignal,
): Promise<void> {
  if (texts.length === 0) throw new CliError("usage", "name the folders of the MinIO: hayloft import minio DIR...")
  const where = "import minio"
  const folders = parseDataFolders(foldersOf(texts, where), where, io.workingFolder, MINIO_FOLDERS_MAX)
  await importFrom(io, options.bucket ?? [], options, signal, async run => {
    const { MinioSource } = await import("./minio-source.js")
    const source = await MinioSource.open(folders, run)
    const isWhole = options.bucket === undefined && options.prefix === undefined
    if (!options.identities || !isWhole) return { source }
    return { source, finish: () => importMinioIdentities(io, source, run, options, signal) }
  })
}

/** Needs the admin API of the store that objects are written to. */
async function importMinioIdentities(
  io: CliIo,
  source: MinioSource,
  run: TransferRun,
  options: DisksOptions,
  signal: AbortSignal,
): Promise<void> {
  const files = await source.identities()
  const { environment } = io
  if (files.length === 0) return
  if (options.dryRun === true)
    return run.say({ identities: files.length, dryRun: true }, `would import ${files.length} files of identities\n`)
  const isRemote =
    options.data === undefined && Boolean(environment["AWS_ENDPOINT_URL_S3"] || environment["AWS_ENDPOINT_URL"])
  if (isRemote && !isElsewhere(io, options)) {
    run.problem("users, groups, policies and keys are not imported: set HAYLOFT_ADMIN_ENDPOINT and HAYLOFT_ADMIN_TOKEN")
    return
  }
  const { importIdentities } = await import("./minio-identities.js")
  const rootUser = environment["MINIO_ROOT_USER"] || environment["MINIO_ACCESS_KEY"] || undefined
  await withAdmin(io, options, signal, client => importIdentities(files, client, run, { rootUser }))
}

interface Opened<Version extends ListedVersion> {
  readonly source: ImportSource<Version>
  /** Imports what is not in buckets. */
  readonly finish?: () => Promise<void>
}

async function importFrom<Version extends ListedVersion>(
  io: CliIo,
  named: readonly string[],
  options: ImportOptions,
  signal: AbortSignal,
  open: (run: TransferRun) => Promise<Opened<Version>>,
): Promise<void> {
  if (options.into !== undefined && named.length !== 1)
    throw new CliError("usage", "--into gives one bucket another name: name that bucket")
  const run = new TransferRun(io, options, "imported")
  const { source, finish } = await open(run)
  try {
    await withS3(io, options, signal, async target => {
      const buckets = named.length > 0 ? named : await source.buckets()
      if (buckets.length === 0) throw new CliError("notFound", "the source lists no bucket: name them")
      const importing = new Import(source, target, run, options, io.clock)
      for (const bucket of buckets) await importing.bucket(bucket, options.into ?? bucket)
      await finish?.()
      await importing.tellTotals()
      run.throwIfFailed()
    })
  } finally {
    source.close()
  }
}

async function clientOf(io: CliIo, url: string, signal: AbortSignal): Promise<S3Client> {
  const { environment } = io
  const [accessKeyId, secretAccessKey] = [environment["SOURCE_ACCESS_KEY_ID"], environment["SOURCE_SECRET_ACCESS_KEY"]]
  if (!accessKeyId || !secretAccessKey) {
    throw new CliError(
      "usage",
      "set SOURCE_ACCESS_KEY_ID and SOURCE_SECRET_ACCESS_KEY to a key of the store that is imported from",
    )
  }
  const region = environment["SOURCE_REGION"] || REGION_DEFAULT
  const trust = await namedTrust(io, "SOURCE_CA_BUNDLE")
  return new S3Client(
    { endpoint: httpUrl(url, "--from"), accessKeyId, secretAccessKey, region, ...trust },
    io.clock,
    signal,
  )
}

/** A key that the target lacks, or lacks versions of. */
interface Task<Version extends ListedVersion> extends Rest {
  readonly place: Place
  readonly name: string
  readonly source: History<Version>
}

/** The place in the history of a key from which it is still to be written. */
interface Rest {
  /** The first version of the source that the target lacks. */
  readonly next: number
  /** The ETag of the object that the target has now; undefined: it has none, or the bucket has no versions. */
  readonly current: string | undefined
}

interface BucketPair {
  readonly from: string
  readonly to: string
  /** `Enabled` or `Suspended`; undefined: versions are not copied. */
  readonly versioning: string | undefined
  /** The default retention of object lock; undefined: no lock. */
  readonly lock: string | undefined
}

class Import<Version extends ListedVersion> {
  #versions = 0
  #unchanged = 0

  constructor(
    private readonly source: ImportSource<Version>,
    private readonly target: S3Client,
    private readonly run: TransferRun,
    private readonly options: ImportOptions,
    private readonly clock: Clock,
  ) {}

  async bucket(from: string, to: string): Promise<void> {
    const changes = this.options.dryRun !== true
    try {
      const pair = await this.#look(from, to)
      const isThere = await this.#isThere(to)
      if (!isThere && changes) await this.target.createBucket(to, { hasLock: pair.lock !== undefined })
      if (pair.versioning !== undefined && changes)
        await this.target.putSetting(to, "versioning", versioningOf("Enabled"))
      await this.run.each(this.#tasks(pair, isThere), task => this.#key(pair, task))
      if (changes) await this.#settings(pair)
    } catch (error) {
      if (error instanceof Error && error.name === "AbortError") throw error
      this.run.fail({ kind: "remote", bucket: from, key: "" }, error)
    }
  }

  async #look(from: string, to: string): Promise<BucketPair> {
    await this.source.headBucket(from)
    const document = await this.source.setting(from, "versioning")
    const versioning = /<Status>(Enabled|Suspended)<\/Status>/.exec(document ?? "")?.[1]
    // Retention and holds are of the objects: they stay, whatever else is left out.
    const lock = versioning === undefined ? undefined : await this.source.setting(from, "object-lock")
    return { from, to, versioning: this.options.latestOnly === true ? undefined : versioning, lock }
  }

  #isThere(bucket: string): Promise<boolean> {
    return this.target.headBucket(bucket).then(
      () => true,
      (error: unknown) => {
        if (error instanceof RemoteFailure && error.status === 404) return false
        throw error
      },
    )
  }

  /** Yields what is to be copied, in the order of keys. */
  async *#tasks({ from, to, versioning }: BucketPair, isThere: boolean): AsyncGenerator<Task<Version>, void, void> {
    const prefix = this.options.prefix ?? ""
    const isVersioned = versioning !== undefined
    const sources = isVersioned ? this.source.histories(from, prefix) : this.source.latest(from, prefix)
    const targets = isVersioned ? historiesOf(this.target, to, prefix) : latestOf(this.target, to, prefix)
    for await (const { source, target } of pairsOf(sources, isThere ? targets : nothing())) {
      if (source === undefined) continue
      const place: Place = { kind: "remote", bucket: from, key: source.name }
      for (const why of source.unreadable ?? []) this.run.fail(place, new CliError("failed", printable(why)))
      if (source.versions.length === 0) continue
      try {
        const rest = isVersioned ? await this.#rest(from, to, source, target) : restOfLatest(source, target)
        if (rest.next === source.versions.length) this.#unchanged += 1
        else yield { place, name: source.name, source, ...rest }
      } catch (error) {
        if (error instanceof Error && error.name === "AbortError") throw error
        this.run.fail(place, error)
      }
    }
  }

  /** Throws if the target has other versions. */
  async #rest(from: string, to: string, source: History<Version>, target: History | undefined): Promise<Rest> {
    const there = target?.versions ?? []
    const decision = decideImport(source.versions, there)
    if (decision.kind === "differs") throw otherHistory(decision.why)
    for (const i of decision.unsure) {
      const [own, copy] = [source.versions[i], there[i]]
      if (own === undefined || copy === undefined) continue
      if ((await this.source.isMd5(from, own)) && (await isMd5At(this.target, to, copy)))
        throw otherHistory(`version ${i + 1} has other bytes`)
    }
    const newest = there.at(-1)
    return { next: decision.copyFrom, current: newest?.isMarker === true ? undefined : newest?.etag }
  }

  async #key(pair: BucketPair, task: Task<Version>): Promise<Transferred> {
    const to = textOfPlace({ kind: "remote", bucket: pair.to, key: task.name })
    const missing = task.source.versions.slice(task.next)
    const sizeBytes = missing.reduce((sum, version) => sum + version.sizeBytes, 0)
    const planned = { from: textOfPlace(task.place), to, sizeBytes, etag: "" }
    if (this.options.dryRun === true) return { ...planned, why: plural(missing.length, "version") }
    await this.#write(pair, task)
    return planned
  }

  /**
   * Writes one version after the other: their order is what they are told apart by. A write that failed may be there all the
   * same, so that the target says where to go on.
   */
  async #write(pair: BucketPair, { source, ...task }: Task<Version>): Promise<void> {
    let { next, current } = task
    let attempt = 1
    try {
      for (let version = source.versions[next]; version !== undefined; version = source.versions[next]) {
        try {
          current = await this.#version(pair, version, current)
          next += 1
        } catch (error) {
          if (pair.versioning === undefined || attempt === ATTEMPTS_MAX || !mayBeWritten(error)) throw error
          attempt += 1
          const { from, to } = pair
          ;({ next, current } = await this.#rest(from, to, source, await this.#historyAt(to, source.name)))
        }
      }
    } finally {
      this.#versions += next - task.next
    }
  }

  async #historyAt(bucket: string, name: string): Promise<History | undefined> {
    // The key itself comes before all others that begin like it.
    const histories = historiesOf(this.target, bucket, name)
    const { value: first } = await histories.next()
    await histories.return()
    return first?.name === name ? first : undefined
  }

  /** Writes a version on top of the current one, and not twice. Returns what is current then. */
  async #version(
    { from, to, versioning, lock }: BucketPair,
    version: Version,
    current: string | undefined,
  ): Promise<string | undefined> {
    const { key, isMarker } = version
    if (isMarker) {
      await this.target.remove(to, key, { ifMatch: current, isRepeatable: false })
      return undefined
    }
    const { attributes, locks, tags, sizeBytes, body, partBytes } = await this.source.open(
      from,
      version,
      versioning !== undefined,
    )
    const headers = [
      ...attributes,
      ...(lock === undefined ? [] : currentLocks(locks, this.clock.wallMs())),
      ...(tags === "" ? [] : [["x-amz-tagging", tags] as const]),
    ]
    const conditions = versioning === undefined ? [] : [onTopOf(current)]
    const onProgress = (bytes: number): void => this.run.progress.add(bytes)
    const parts = keptParts(version, partBytes)
    const request = { bucket: to, key, headers, conditions, sizeBytes, source: body, onProgress, ...parts }
    return (await upload(this.target, request)).etag
  }

  async #settings({ from, to, versioning, lock }: BucketPair): Promise<void> {
    if (versioning === "Suspended") await this.target.putSetting(to, "versioning", versioningOf(versioning))
    if (!this.options.settings) return
    if (lock?.includes("<Rule>") === true) await this.#setting(to, "object-lock", lock)
    for (const setting of SETTINGS) {
      const document = await this.source.setting(from, setting)
      if (document !== undefined) await this.#setting(to, setting, document)
    }
    for (const other of await this.source.otherSettings(from)) this.run.problem(`${from}: ${other}`)
  }

  async #setting(bucket: string, setting: BucketDocumentName, document: string): Promise<void> {
    try {
      await this.target.putSetting(bucket, setting, document)
      await this.run.say({ bucket, setting }, `${bucket}: ${setting} is set\n`)
    } catch (error) {
      if (!(error instanceof RemoteFailure)) throw error
      this.run.problem(`${bucket}: ${setting} was not taken over: ${error.message}`)
    }
  }

  async tellTotals(): Promise<void> {
    const { files: keys, sizeBytes, failed } = this.run
    const [versions, unchanged] = [this.#versions, this.#unchanged]
    const isDryRun = this.options.dryRun === true
    const done = isDryRun
      ? `would import ${plural(keys, "key")}`
      : `${plural(keys, "key")} imported, ${plural(versions, "version")}`
    const total = { keys, versions, sizeBytes, unchanged, failed, ...(isDryRun && { dryRun: true }) }
    await this.run.say(total, `${done} (${sizeText(sizeBytes)}), ${unchanged} unchanged\n`)
  }
}

const onTopOf = (current: string | undefined): readonly [string, string] =>
  current === undefined ? ["if-none-match", "*"] : ["if-match", `"${current}"`]

/** A write may be there although it was not confirmed; then another attempt finds an object that it does not expect. */
const mayBeWritten = (error: unknown): boolean =>
  error instanceof Unreachable ||
  error instanceof BrokenAnswer ||
  (error instanceof RemoteFailure && [409, 412, 500, 503].includes(error.status))

const otherHistory = (why: string): CliError =>
  new CliError("failed", `not touched, since the target has a history of its own: ${why}`)

const versioningOf = (status: string): string =>
  `<VersioningConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Status>${status}</Status></VersioningConfiguration>`

/** A retention that has ended protects nothing, and stores refuse to begin with it. */
function currentLocks(locks: HeaderFields, nowMs: number): HeaderFields {
  const until = locks.find(([name]) => name === "x-amz-object-lock-retain-until-date")?.[1]
  const hasEnded = until !== undefined && Date.parse(until) <= nowMs
  return hasEnded ? locks.filter(([name]) => name === "x-amz-object-lock-legal-hold") : locks
}

/** The lengths of the parts of an object, if they are short enough to be written again like that. */
function keptParts(
  { etag, sizeBytes }: ListedVersion,
  partBytes: OpenedVersion["partBytes"],
): { readonly partBytes?: number | ((partNumber: number) => number) } {
  const isKept = (bytes: number): boolean => bytes > 0 && bytes <= PART_BYTES_KEPT_MAX
  if (!etag.includes("-")) return sizeBytes <= PART_BYTES_KEPT_MAX ? { partBytes: PART_BYTES_KEPT_MAX } : {}
  if (partBytes === undefined) return {}
  if (typeof partBytes === "number") return isKept(partBytes) ? { partBytes } : {}
  return partBytes.every(isKept) ? { partBytes: partNumber => partBytes[partNumber - 1] ?? PART_BYTES_KEPT_MAX } : {}
}

async function* nothing(): AsyncGenerator<History> {}

/** Without versions the rule is that of `hayloft sync`. */
function restOfLatest<Version extends ListedVersion>(source: History<Version>, target: History | undefined): Rest {
  const entryOf = (history: History | undefined) => {
    const [version] = history?.versions ?? []
    return version && { name: version.key, sizeBytes: version.sizeBytes, modifiedMs: version.lastModifiedMs }
  }
  const verdict = verdictOf({ source: entryOf(source), target: entryOf(target) }, false)
  return { next: verdict === "same" ? source.versions.length : 0, current: undefined }
}
