/**
 * The disks of a stopped MinIO as a source of `hayloft import`.
 *
 * Promises  Of a key all versions are listed that can be read; the others are named, with why: sealed with a key that is not on
 *           the disks, moved to another store, or lost with more disks than their parity allows. Files that were damaged and
 *           replaced by others are notes.
 * Limits    The metadata of one key for each listing and each copy that is under way.
 */
import type { BucketDocumentName, ListedVersion } from "@hayloft/client/index.js"
import { CliError } from "../exit-codes.js"
import type { History, ImportSource, OpenedVersion } from "./import-source.js"
import {
  contentOf,
  DiskFailure,
  factsOf,
  IDENTITIES_FOLDER,
  Listing,
  openDrives,
  parseBucketMetadata,
  parseIdentityFile,
  refusalOf,
  SYSTEM_FOLDER,
  type BucketMetadata,
  type DiskObject,
  type IdentityFile,
  type MergedVersion,
} from "../minio-disks/index.js"
import { plural, printable } from "../text.js"

export interface MinioVersion extends ListedVersion {
  readonly merged: MergedVersion
  /** The folder of the object, below that of a disk. */
  readonly path: string
}

interface Reports {
  /** Something is not imported. */
  problem(message: string): void
  /** Something was in the way, and nothing is lost. */
  note(message: string): void
}

const ENABLED = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
const NONE: BucketMetadata = {
  versioning: undefined,
  objectLock: undefined,
  policy: undefined,
  lifecycle: undefined,
  encryption: undefined,
  tagging: undefined,
  quota: undefined,
  notification: undefined,
  replication: undefined,
}

export class MinioSource implements ImportSource<MinioVersion> {
  readonly #metadata = new Map<string, Promise<BucketMetadata>>()

  private constructor(
    private readonly listing: Listing,
    private readonly reports: Reports,
  ) {}

  static async open(folders: readonly string[], reports: Reports): Promise<MinioSource> {
    const { gaps, problems, ...drives } = await openDrives(folders).catch((error: unknown) => {
      throw error instanceof DiskFailure ? new CliError("usage", error.message) : error
    })
    for (const gap of gaps) reports.note(gap)
    for (const problem of problems) reports.problem(problem)
    return new MinioSource(new Listing(drives, message => reports.problem(printable(message))), reports)
  }

  buckets(): Promise<readonly string[]> {
    return this.listing.buckets()
  }

  async headBucket(bucket: string): Promise<void> {
    if (!(await this.buckets()).includes(bucket))
      throw new CliError("notFound", `${bucket}: the disks have no such bucket`)
  }

  async setting(bucket: string, setting: BucketDocumentName): Promise<string | undefined> {
    const metadata = await this.#metadataOf(bucket)
    switch (setting) {
      case "versioning":
      case "policy":
      case "lifecycle":
      case "encryption":
      case "tagging":
        return metadata[setting]
      case "object-lock":
        return metadata.objectLock
      default:
        return undefined
    }
  }

  async otherSettings(bucket: string): Promise<readonly string[]> {
    const { quota, notification, replication } = await this.#metadataOf(bucket)
    const others: string[] = []
    const limit = quota === undefined ? undefined : /"(?:quota|size)":([1-9]\d*)/.exec(quota)?.[1]
    if (limit !== undefined)
      others.push(`its quota of ${limit} bytes is not taken over: hayloft quota set ${bucket} --bytes ${limit}`)
    if (notification?.includes("<Event>") === true)
      others.push("notifications are not taken over: there are none (docs/guide/not-yet.md)")
    if (replication?.includes("<Rule>") === true)
      others.push("replication is not taken over: hayloft copies does it (docs/guide/copies.md)")
    return others
  }

  async *latest(bucket: string, prefix: string): AsyncGenerator<History<MinioVersion>, void, void> {
    for await (const object of this.#objects(bucket, prefix)) {
      const [newest] = object.versions
      const newestNs = newest?.modifiedNs ?? -1n
      const lost = object.lost.filter(({ modifiedNs }) => modifiedNs > newestNs || newest === undefined)
      if (lost.length > 0) yield { name: object.key, versions: [], unreadable: lost.map(({ why }) => why) }
      else if (newest?.kind === "object") {
        const refusal = refusalOf(newest)
        yield refusal === undefined
          ? { name: object.key, versions: [versionOf(object, newest)] }
          : { name: object.key, versions: [], unreadable: [refusal.message] }
      }
    }
  }

  async *histories(bucket: string, prefix: string): AsyncGenerator<History<MinioVersion>, void, void> {
    for await (const object of this.#objects(bucket, prefix)) {
      const refused = object.versions.flatMap(version => {
        const refusal = version.kind === "object" ? refusalOf(version) : undefined
        return refusal === undefined ? [] : [{ ...version, why: refusal.message }]
      })
      const unreadable = [...object.lost, ...refused]
      const without = new Set(refused.map(({ id, modifiedNs }) => `${id} ${modifiedNs}`))
      const readable = object.versions.filter(({ id, modifiedNs }) => !without.has(`${id} ${modifiedNs}`))
      const newestNs = readable[0]?.modifiedNs ?? -1n
      yield {
        name: object.key,
        versions: readable.map(version => versionOf(object, version)).reverse(),
        unreadable: unreadable.map(({ id, modifiedNs, why }) => {
          const isNewest = readable.length > 0 && modifiedNs > newestNs
          return `${id === "" ? "" : `version ${id}: `}${why}${isNewest ? "; an older version is the current one here" : ""}`
        }),
      }
    }
  }

  async *#objects(bucket: string, prefix: string): AsyncGenerator<DiskObject, void, void> {
    let leftovers = 0
    const lacking = new Map<string, number>()
    for await (const object of this.listing.objects(bucket, prefix)) {
      leftovers += object.leftovers
      for (const drive of object.lacking) lacking.set(drive, (lacking.get(drive) ?? 0) + 1)
      for (const why of object.damaged) this.reports.note(`${printable(why)}; the other disks are read`)
      yield object
    }
    for (const [drive, count] of lacking)
      this.reports.note(`${bucket}: ${drive} lacks ${plural(count, "version")}; the other disks are read`)
    if (leftovers > 0)
      this.reports.note(`${bucket}: ${leftovers} versions are left out, the rest of failed writes and of deletions`)
  }

  async isMd5(_bucket: string, { etag }: MinioVersion): Promise<boolean> {
    return /^[0-9a-f]{32}$/.test(etag)
  }

  async open(_bucket: string, { merged, path }: MinioVersion): Promise<OpenedVersion> {
    if (merged.kind === "marker") throw new CliError("failed", "a delete marker has no bytes")
    const { sizeBytes, attributes, locks, tags, partBytes } = factsOf(merged)
    return { sizeBytes, attributes, locks, tags, partBytes, body: this.#bodyOf(merged, path) }
  }

  async *#bodyOf(
    merged: Extract<MergedVersion, { readonly kind: "object" }>,
    path: string,
  ): AsyncGenerator<Uint8Array, void, void> {
    const onDamage = (file: string): void =>
      this.reports.note(`${printable(file)} is damaged or missing; the other disks are read`)
    try {
      yield* contentOf(merged, path, onDamage)
    } catch (error) {
      throw error instanceof DiskFailure ? new CliError("failed", error.message) : error
    }
  }

  /** One that cannot be read is told once; then no version is left out. */
  #metadataOf(bucket: string): Promise<BucketMetadata> {
    const known = this.#metadata.get(bucket)
    if (known !== undefined) return known
    const read = this.#readMetadata(bucket).catch((error: unknown) => {
      if (!(error instanceof DiskFailure)) throw error
      this.reports.problem(`${bucket}: its settings cannot be read, and are not taken over: ${error.message}`)
      return { ...NONE, versioning: ENABLED }
    })
    this.#metadata.set(bucket, read)
    return read
  }

  async #readMetadata(bucket: string): Promise<BucketMetadata> {
    const bytes = await this.#systemFile(`buckets/${bucket}/.metadata.bin`)
    return bytes === undefined ? NONE : parseBucketMetadata(bytes)
  }

  /** Users, groups, policies and keys. Files that cannot be read are problems. */
  async identities(): Promise<readonly IdentityFile[]> {
    const found: IdentityFile[] = []
    let people = 0
    for await (const { key } of this.listing.objects(SYSTEM_FOLDER, IDENTITIES_FOLDER)) {
      if (isOfDirectory(key)) people += 1
      try {
        const bytes = await this.#systemFile(key)
        const file = bytes && parseIdentityFile(key.slice(IDENTITIES_FOLDER.length), bytes)
        if (file !== undefined) found.push(file)
      } catch (error) {
        if (!(error instanceof DiskFailure)) throw error
        this.reports.problem(`${printable(key)}: ${error.message}`)
      }
    }
    if (people > 0)
      this.reports.problem(`the policies of ${people} people or groups of LDAP are not imported: docs/operate/ldap.md`)
    return found
  }

  /** A file that MinIO keeps for itself; undefined if there is none. */
  async #systemFile(name: string): Promise<Uint8Array | undefined> {
    const path = `${SYSTEM_FOLDER}/${name}`
    const { versions, lost } = await this.listing.object(path)
    const [newest] = versions
    if (newest?.kind === "object") return bytesOf(contentOf(newest, path, () => undefined))
    const [gone] = lost
    if (gone !== undefined) throw new DiskFailure("lost", gone.why)
    return undefined
  }

  close(): void {
    // Files are closed after each part.
  }
}

/** The policies of an entry of LDAP; those of temporary keys are there, too. */
const isOfDirectory = (key: string): boolean =>
  key.startsWith(`${IDENTITIES_FOLDER}policydb/sts-users/`) && key.includes("=")

async function bytesOf(pieces: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const all: Uint8Array[] = []
  for await (const piece of pieces) all.push(piece)
  return Buffer.concat(all)
}

function versionOf({ key, path }: DiskObject, merged: MergedVersion): MinioVersion {
  const { sizeBytes, etag } = merged.kind === "object" ? factsOf(merged) : { sizeBytes: 0, etag: "" }
  return {
    key,
    sizeBytes,
    etag,
    lastModifiedMs: Number(merged.modifiedNs / 1_000_000n),
    versionId: merged.id,
    isMarker: merged.kind === "marker",
    merged,
    path,
  }
}
