/**
 * Says where `hayloft import` takes buckets from: an S3 store that runs, or another form of one.
 *
 * Versions are those of one source; they are opened by it only.
 */
import {
  RemoteFailure,
  type BucketDocumentName,
  type ListedKey,
  type ListedVersion,
  type S3Client,
} from "@hayloft/client/index.js"
import type { HeaderFields } from "@hayloft/base/http/request-headers.js"
import { CliError } from "../exit-codes.js"

const VERSIONS_MAX = 100_000

/** The versions of one key, from the oldest on; of a bucket without versions the only one. */
export interface History<Version extends ListedVersion = ListedVersion> {
  readonly name: string
  readonly versions: readonly Version[]
  /** Versions that are there and cannot be read, with why; they are not in the list. */
  readonly unreadable?: readonly string[]
}

export interface OpenedVersion {
  readonly sizeBytes: number
  readonly attributes: HeaderFields
  readonly locks: HeaderFields
  /** They have the form of the header; empty: none. */
  readonly tags: string
  /** The length of all parts but the last one, or of each; undefined if there are no parts, or they are not known. */
  readonly partBytes: number | readonly number[] | undefined
  readonly body: AsyncIterable<Uint8Array>
}

export interface ImportSource<Version extends ListedVersion> {
  buckets(): Promise<readonly string[]>
  /** Throws if it does not exist. */
  headBucket(bucket: string): Promise<void>
  /** Returns undefined if the bucket does not have the setting, or the source does not know it. */
  setting(bucket: string, setting: BucketDocumentName): Promise<string | undefined>
  /** Settings that have no counterpart here, with what to do about them. */
  otherSettings(bucket: string): Promise<readonly string[]>
  /** Yields keys in their order. */
  latest(bucket: string, prefix: string): AsyncIterable<History<Version>>
  histories(bucket: string, prefix: string): AsyncIterable<History<Version>>
  /** Returns true if the ETag is the MD5 of the bytes. */
  isMd5(bucket: string, version: Version): Promise<boolean>
  /** `isVersioned`: the version with its id, else what the bucket has now. */
  open(bucket: string, version: Version, isVersioned: boolean): Promise<OpenedVersion>
  close(): void
}

export class S3Source implements ImportSource<ListedVersion> {
  constructor(private readonly client: S3Client) {}

  async buckets(): Promise<readonly string[]> {
    return (await this.client.listBuckets()).map(({ name }) => name)
  }

  headBucket(bucket: string): Promise<void> {
    return this.client.headBucket(bucket)
  }

  async setting(bucket: string, setting: BucketDocumentName): Promise<string | undefined> {
    try {
      return await this.client.getSetting(bucket, setting)
    } catch (error) {
      if (error instanceof RemoteFailure && [400, 404, 405, 501].includes(error.status)) return undefined
      throw error
    }
  }

  async otherSettings(): Promise<readonly string[]> {
    return []
  }

  latest(bucket: string, prefix: string): AsyncIterable<History> {
    return latestOf(this.client, bucket, prefix)
  }

  histories(bucket: string, prefix: string): AsyncIterable<History> {
    return historiesOf(this.client, bucket, prefix)
  }

  isMd5(bucket: string, version: ListedVersion): Promise<boolean> {
    return isMd5At(this.client, bucket, version)
  }

  async open(bucket: string, version: ListedVersion, isVersioned: boolean): Promise<OpenedVersion> {
    const { key } = version
    const versionId = isVersioned ? version.versionId : undefined
    const tags = await this.#tags(bucket, key, versionId)
    const partBytes = version.etag.includes("-")
      ? (await this.client.head(bucket, key, { versionId, partNumber: 1 })).sizeBytes
      : undefined
    const { head, body } = await this.client.get(bucket, key, { versionId })
    const { sizeBytes, attributes, locks } = head
    return { sizeBytes, attributes, locks, tags, partBytes, body }
  }

  /** A store without tags has none. */
  async #tags(bucket: string, key: string, versionId: string | undefined): Promise<string> {
    try {
      return new URLSearchParams(Object.fromEntries(await this.client.getTags(bucket, key, versionId))).toString()
    } catch (error) {
      if (error instanceof RemoteFailure && [404, 501].includes(error.status)) return ""
      throw error
    }
  }

  close(): void {
    this.client.close()
  }
}

export const isMd5At = async (client: S3Client, bucket: string, version: ListedVersion): Promise<boolean> =>
  (await client.head(bucket, version.key, { versionId: version.versionId })).etagIsMd5

const plainHistory = (key: ListedKey): History => ({
  name: key.key,
  versions: [{ ...key, versionId: "null", isMarker: false }],
})

export async function* latestOf(client: S3Client, bucket: string, prefix: string): AsyncGenerator<History> {
  for await (const key of client.keys(bucket, prefix)) yield plainHistory(key)
}

/** Groups the versions of a listing by key. */
export async function* historiesOf(
  client: S3Client,
  bucket: string,
  prefix: string,
): AsyncGenerator<History, void, void> {
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
