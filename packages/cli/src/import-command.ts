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
import type { Command } from "commander"
import { MIB } from "@hayloft/base/limits.js"
import { RemoteFailure, S3Client, upload, type BucketDocumentName, type ListedVersion } from "@hayloft/client/index.js"
import { REGION_DEFAULT } from "@hayloft/base/region.js"
import { CliError } from "./exit-codes.js"
import { decideImport } from "./import-core.js"
import type { CliIo } from "./io.js"
import { withStore } from "./options.js"
import type { OutputOptions } from "./output.js"
import { textOfPlace, type Place } from "./place.js"
import { httpUrl, namedTrust, withS3, type StoreOptions } from "./stores.js"
import { verdictOf } from "./sync-core.js"
import { pairsOf } from "./sync-pairs.js"
import { plural, sizeText } from "./text.js"
import { TransferRun } from "./transfer-run.js"
import type { Transferred } from "./transfer.js"

/** Parts up to this length are written as they were, and an object without parts as one. */
const PART_BYTES_KEPT_MAX = 32 * MIB
const VERSIONS_MAX = 100_000

/** In the order in which they are written: rules of lifecycle act on what is there, and a policy may deny the rest. */
const SETTINGS: readonly BucketDocumentName[] = ["tagging", "cors", "encryption", "website", "lifecycle", "policy"]

interface ImportOptions extends StoreOptions, OutputOptions {
  readonly from: string
  readonly prefix?: string
  readonly into?: string
  readonly latestOnly?: boolean
  readonly settings: boolean
  readonly dryRun?: boolean
}

export function addImportCommand(program: Command, io: CliIo, signal: AbortSignal): void {
  withStore(program.command("import"))
    .description(
      "copy buckets from another S3 store, with versions and settings; SOURCE_ACCESS_KEY_ID and SOURCE_SECRET_ACCESS_KEY contain its key",
    )
    .argument("[BUCKET...]", "all that the other store lists, if none is named")
    .requiredOption("--from <URL>", "the other store, such as https://minio.example:9000")
    .option("--prefix <PREFIX>", "only keys that begin like this")
    .option("--into <NAME>", "give the bucket another name here")
    .option("--latest-only", "leave out earlier versions and delete markers")
    .option("--no-settings", "copy objects only")
    .option("--dry-run", "show what would be copied, and change nothing")
    .action((buckets: readonly string[], options: ImportOptions) => importCommand(io, buckets, options, signal))
}

async function importCommand(
  io: CliIo,
  named: readonly string[],
  options: ImportOptions,
  signal: AbortSignal,
): Promise<void> {
  if (options.into !== undefined && named.length !== 1)
    throw new CliError("usage", "--into gives one bucket another name: name that bucket")
  const source = await sourceOf(io, options.from, signal)
  try {
    await withS3(io, options, signal, async target => {
      const buckets = named.length > 0 ? named : (await source.listBuckets()).map(({ name }) => name)
      if (buckets.length === 0) throw new CliError("notFound", "the source lists no bucket: name them")
      const run = new TransferRun(io, options, "imported")
      const importing = new Import(source, target, run, options)
      for (const bucket of buckets) await importing.bucket(bucket, options.into ?? bucket)
      await importing.tellTotals()
      run.throwIfFailed()
    })
  } finally {
    source.close()
  }
}

async function sourceOf(io: CliIo, url: string, signal: AbortSignal): Promise<S3Client> {
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

/** The versions of one key, from the oldest on; of a bucket without versions the only one. */
interface History {
  readonly name: string
  readonly versions: readonly ListedVersion[]
}

/** A key that the target lacks, or lacks versions of. */
interface Task {
  readonly place: Place
  readonly name: string
  readonly missing: readonly ListedVersion[]
}

interface BucketPair {
  readonly from: string
  readonly to: string
  /** `Enabled` or `Suspended`; undefined: versions are not copied. */
  readonly versioning: string | undefined
  /** The default retention of object lock; undefined: no lock. */
  readonly lock: string | undefined
}

class Import {
  #versions = 0
  #unchanged = 0

  constructor(
    private readonly source: S3Client,
    private readonly target: S3Client,
    private readonly run: TransferRun,
    private readonly options: ImportOptions,
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
    const { latestOnly, settings } = this.options
    const document = latestOnly === true ? undefined : await settingOf(this.source, from, "versioning")
    const versioning = /<Status>(Enabled|Suspended)<\/Status>/.exec(document ?? "")?.[1]
    const lock = settings && versioning !== undefined ? await settingOf(this.source, from, "object-lock") : undefined
    return { from, to, versioning, lock }
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
  async *#tasks({ from, to, versioning }: BucketPair, isThere: boolean): AsyncGenerator<Task, void, void> {
    const prefix = this.options.prefix ?? ""
    const list = versioning === undefined ? latestOf : historiesOf
    const theirs = isThere ? list(this.target, to, prefix) : nothing()
    for await (const { source, target } of pairsOf(list(this.source, from, prefix), theirs)) {
      if (source === undefined) continue
      const place: Place = { kind: "remote", bucket: from, key: source.name }
      try {
        const missing =
          versioning === undefined ? missingLatest(source, target) : await this.#missing(from, to, source, target)
        if (missing.length === 0) this.#unchanged += 1
        else yield { place, name: source.name, missing }
      } catch (error) {
        if (error instanceof Error && error.name === "AbortError") throw error
        this.run.fail(place, error)
      }
    }
  }

  /** The versions that the target lacks. Throws if it has others. */
  async #missing(
    from: string,
    to: string,
    source: History,
    target: History | undefined,
  ): Promise<readonly ListedVersion[]> {
    const there = target?.versions ?? []
    const decision = decideImport(source.versions, there)
    if (decision.kind === "differs") throw otherHistory(decision.why)
    for (const i of decision.unsure) {
      const [own, copy] = [source.versions[i], there[i]]
      const isMd5 = async (client: S3Client, bucket: string, version: ListedVersion | undefined): Promise<boolean> =>
        (await client.head(bucket, source.name, { versionId: version?.versionId })).etagIsMd5
      if ((await isMd5(this.source, from, own)) && (await isMd5(this.target, to, copy)))
        throw otherHistory(`version ${i + 1} has other bytes`)
    }
    return source.versions.slice(decision.copyFrom)
  }

  async #key(pair: BucketPair, { place, name, missing }: Task): Promise<Transferred> {
    const to = textOfPlace({ kind: "remote", bucket: pair.to, key: name })
    const sizeBytes = missing.reduce((sum, version) => sum + version.sizeBytes, 0)
    const planned = { from: textOfPlace(place), to, sizeBytes, etag: "" }
    if (this.options.dryRun === true) return { ...planned, why: plural(missing.length, "version") }
    // One after the other: their order is what they are told apart by.
    for (const version of missing) {
      await this.#version(pair, version)
      this.#versions += 1
    }
    return planned
  }

  async #version({ from, to, versioning, lock }: BucketPair, version: ListedVersion): Promise<void> {
    const { key, isMarker } = version
    if (isMarker) return this.target.remove(to, key)
    const versionId = versioning === undefined ? undefined : version.versionId
    const { head, body } = await this.source.get(from, key, { versionId })
    const tags = await tagsOf(this.source, from, key, versionId)
    const headers = [
      ...head.attributes,
      ...(lock === undefined ? [] : head.locks),
      ...(tags === "" ? [] : [["x-amz-tagging", tags] as const]),
    ]
    const partBytes = await partBytesOf(this.source, from, version, versionId)
    const onProgress = (bytes: number): void => this.run.progress.add(bytes)
    const { sizeBytes } = head
    await upload(this.target, { bucket: to, key, headers, sizeBytes, source: body, onProgress, ...partBytes })
  }

  async #settings({ from, to, versioning, lock }: BucketPair): Promise<void> {
    if (versioning === "Suspended") await this.target.putSetting(to, "versioning", versioningOf(versioning))
    if (!this.options.settings) return
    if (lock?.includes("<Rule>") === true) await this.#setting(to, "object-lock", lock)
    for (const setting of SETTINGS) {
      const document = await settingOf(this.source, from, setting)
      if (document !== undefined) await this.#setting(to, setting, document)
    }
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

const otherHistory = (why: string): CliError =>
  new CliError("failed", `not touched, since the target has a history of its own: ${why}`)

const versioningOf = (status: string): string =>
  `<VersioningConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Status>${status}</Status></VersioningConfiguration>`

/** Returns undefined if the bucket does not have the setting, or its store does not know it. */
async function settingOf(client: S3Client, bucket: string, setting: BucketDocumentName): Promise<string | undefined> {
  try {
    return await client.getSetting(bucket, setting)
  } catch (error) {
    if (error instanceof RemoteFailure && [400, 404, 405, 501].includes(error.status)) return undefined
    throw error
  }
}

/** In the form of a header. A store without tags has none. */
async function tagsOf(client: S3Client, bucket: string, key: string, versionId: string | undefined): Promise<string> {
  try {
    return new URLSearchParams(Object.fromEntries(await client.getTags(bucket, key, versionId))).toString()
  } catch (error) {
    if (error instanceof RemoteFailure && [404, 501].includes(error.status)) return ""
    throw error
  }
}

/** The length of the parts of an object, if they are short enough to be written again like that. */
async function partBytesOf(
  client: S3Client,
  bucket: string,
  { key, etag, sizeBytes }: ListedVersion,
  versionId: string | undefined,
): Promise<{ readonly partBytes?: number }> {
  if (!etag.includes("-")) return sizeBytes <= PART_BYTES_KEPT_MAX ? { partBytes: PART_BYTES_KEPT_MAX } : {}
  const part = await client.head(bucket, key, { versionId, partNumber: 1 })
  return part.sizeBytes > 0 && part.sizeBytes <= PART_BYTES_KEPT_MAX ? { partBytes: part.sizeBytes } : {}
}

async function* nothing(): AsyncGenerator<History> {}

async function* latestOf(client: S3Client, bucket: string, prefix: string): AsyncGenerator<History> {
  for await (const key of client.keys(bucket, prefix))
    yield { name: key.key, versions: [{ ...key, versionId: "null", isMarker: false }] }
}

/** Groups the versions of a listing by key. */
async function* historiesOf(client: S3Client, bucket: string, prefix: string): AsyncGenerator<History> {
  let newestFirst: ListedVersion[] = []
  const grouped = (): History => ({ name: newestFirst[0]?.key ?? "", versions: newestFirst.toReversed() })
  for await (const version of client.versions(bucket, prefix)) {
    if (newestFirst.length > 0 && newestFirst[0]?.key !== version.key) {
      yield grouped()
      newestFirst = []
    }
    if (newestFirst.push(version) > VERSIONS_MAX)
      throw new CliError("failed", `${version.key} has more than ${VERSIONS_MAX} versions; use --latest-only for it`)
  }
  if (newestFirst.length > 0) yield grouped()
}

/** Without versions the rule is that of `hayloft sync`. */
function missingLatest(source: History, target: History | undefined): readonly ListedVersion[] {
  const entryOf = (history: History | undefined) => {
    const [version] = history?.versions ?? []
    return version && { name: version.key, sizeBytes: version.sizeBytes, modifiedMs: version.lastModifiedMs }
  }
  const verdict = verdictOf({ source: entryOf(source), target: entryOf(target) }, false)
  return verdict === "same" ? [] : source.versions
}
