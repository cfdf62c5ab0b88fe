/** `hayloft ls`, `rm`, `mb`, `rb` and `cat`: list, delete and read the contents of a store. */
import {
  BrokenAnswer,
  DELETE_KEYS_MAX,
  RemoteFailure,
  Unreachable,
  type ListedKey,
  type S3Client,
} from "@hayloft/client/index.js"
import { CliError } from "../exit-codes.js"
import type { CliIo } from "../io.js"
import { answer, type OutputOptions } from "../output.js"
import { parseRemote, type RemotePlace } from "../place.js"
import { withS3, withS3At, type StoreOptions } from "../stores.js"
import { printable, timeText } from "../text.js"
import { Transfer } from "./transfer.js"

const SIZE_COLUMNS = 13
/** Other clients name the list of buckets like this. */
const ALL_BUCKETS = "s3://"
const UNREACHABLE_REST_MS = 1_000
const TIME_COLUMNS = timeText(0).length

export interface ListOptions extends StoreOptions, OutputOptions {
  readonly recursive?: boolean
  readonly at?: string
}

export async function listCommand(
  io: CliIo,
  named: string | undefined,
  options: ListOptions,
  signal: AbortSignal,
): Promise<void> {
  const place = named === ALL_BUCKETS ? undefined : named
  if (place === undefined && options.at !== undefined) throw new CliError("usage", "--at: name a bucket, s3://BUCKET")
  const list = async (client: S3Client): Promise<void> => {
    if (place === undefined) return listBuckets(io, client, options)
    const { bucket, key } = parseRemote(place)
    const delimiter = options.recursive === true ? "" : "/"
    let shown = 0
    for await (const page of client.pages(bucket, key, delimiter)) {
      for (const prefix of page.prefixes) {
        await answer(
          io,
          options,
          { prefix },
          `${"".padStart(TIME_COLUMNS)} ${"folder".padStart(SIZE_COLUMNS)} ${printable(prefix)}\n`,
        )
      }
      for (const entry of page.keys) await answer(io, options, entry, keyLine(entry))
      shown += page.prefixes.length + page.keys.length
    }
    if (shown === 0 && key !== "")
      throw new CliError("notFound", `nothing in ${bucket} begins with "${printable(key)}"`)
  }
  await withS3At(io, options, signal, list)
}

const keyLine = ({ key, sizeBytes, lastModifiedMs }: ListedKey): string =>
  `${timeText(lastModifiedMs)} ${String(sizeBytes).padStart(SIZE_COLUMNS)} ${printable(key)}\n`

async function listBuckets(io: CliIo, client: S3Client, options: OutputOptions): Promise<void> {
  for (const bucket of await client.listBuckets()) {
    await answer(io, options, bucket, `${timeText(bucket.createdMs)} ${bucket.name}\n`)
  }
}

export interface RemoveOptions extends StoreOptions, OutputOptions {
  readonly recursive?: boolean
}

export async function removeCommand(
  io: CliIo,
  place: string,
  options: RemoveOptions,
  signal: AbortSignal,
): Promise<void> {
  const { bucket, key } = parseRemote(place)
  await withS3(io, options, signal, async client => {
    if (options.recursive === true) return removeTree(io, client, { bucket, prefix: key }, options)
    if (key === "" || key.endsWith("/")) {
      throw new CliError(
        "usage",
        `add -r to delete everything in ${place} ("hayloft bucket delete" deletes an empty bucket)`,
      )
    }
    await client.head(bucket, key)
    await client.remove(bucket, key)
    await answer(io, options, { deleted: 1 }, `deleted ${printable(place)}\n`)
  })
}

async function removeTree(
  io: CliIo,
  client: S3Client,
  { bucket, prefix }: { bucket: string; prefix: string },
  options: OutputOptions,
): Promise<void> {
  let deleted = 0
  const keysOf = async function* (): AsyncGenerator<string> {
    for await (const { key } of client.keys(bucket, prefix)) yield key
  }
  await removeKeys(client, bucket, keysOf(), async () => void (deleted += 1))
  if (deleted === 0 && prefix !== "")
    throw new CliError("notFound", `nothing in ${bucket} begins with "${printable(prefix)}"`)
  await answer(io, options, { deleted }, `deleted ${deleted} from s3://${bucket}/${printable(prefix)}\n`)
}

/** Deletes keys, `DELETE_KEYS_MAX` in a request, and tells each after it is gone. */
export async function removeKeys(
  client: S3Client,
  bucket: string,
  keys: AsyncIterable<string>,
  tell: (key: string) => Promise<void>,
): Promise<void> {
  let batch: string[] = []
  const flush = async () => {
    if (batch.length > 0) await client.removeMany(bucket, batch)
    for (const key of batch) await tell(key)
    batch = []
  }
  for await (const key of keys) {
    batch.push(key)
    if (batch.length === DELETE_KEYS_MAX) await flush()
  }
  await flush()
}

type BucketOptions = StoreOptions & OutputOptions

const bucketOf = (place: string): string => {
  const { bucket, key } = parseRemote(place)
  if (key !== "") throw new CliError("usage", `${place} is a key; name the bucket: s3://${bucket}`)
  return bucket
}

export async function makeBucketCommand(
  io: CliIo,
  place: string,
  options: BucketOptions,
  signal: AbortSignal,
): Promise<void> {
  const bucket = bucketOf(place)
  await withS3(io, options, signal, client => client.createBucket(bucket))
  await answer(io, options, { created: bucket }, `created s3://${bucket}\n`)
}

export async function removeBucketCommand(
  io: CliIo,
  place: string,
  options: BucketOptions,
  signal: AbortSignal,
): Promise<void> {
  const bucket = bucketOf(place)
  await withS3(io, options, signal, client => client.removeBucket(bucket))
  await answer(io, options, { removed: bucket }, `removed s3://${bucket}\n`)
}

export interface CatOptions extends StoreOptions, OutputOptions {
  readonly range?: string
  readonly versionId?: string
  readonly follow?: boolean
  readonly transform?: string
  readonly into?: string
  readonly at?: string
}

function keyOf(place: string): RemotePlace {
  const found = parseRemote(place)
  if (found.key === "") throw new CliError("usage", `name a key: s3://${found.bucket}/KEY`)
  return found
}

/** The output is the bytes alone, also with `--json`. */
export async function catCommand(
  io: CliIo,
  places: readonly string[],
  options: CatOptions,
  signal: AbortSignal,
): Promise<void> {
  const sources = places.map(keyOf)
  const { range, versionId, transform, follow = false, into, at } = options
  const [source] = sources
  if (source === undefined) throw new CliError("usage", "name a key: s3://BUCKET/KEY")
  const ofOne = Object.entries({ range, versionId, transform, follow }).filter(
    ([, value]) => value !== undefined && value !== false,
  )
  if (ofOne.length > 0 && (sources.length > 1 || into !== undefined))
    throw new CliError(
      "usage",
      "--range, --version-id, --transform and --follow are about one object that is written to the output",
    )
  if (at !== undefined && (into !== undefined || follow || versionId !== undefined))
    throw new CliError("usage", "--at: a moment goes with neither --into nor --follow nor --version-id")
  if (into !== undefined) return joinCommand(io, sources, keyOf(into), options, signal)
  if (range !== undefined && !/^(\d+-\d*|-\d+)$/.test(range))
    throw new CliError("usage", `--range: "${range}" is not FIRST-LAST, FIRST- or -LENGTH, in bytes`)
  if (follow && transform !== undefined)
    throw new CliError("usage", "--follow: what transforms make of an object is no part of it")
  if (follow) return followCommand(io, source, options, signal)
  const fetch = async (client: S3Client): Promise<void> => {
    const transfer = new Transfer(io, client, {}, undefined)
    for (const each of sources) await transfer.fetchToOutput(each, { range, versionId, transform })
  }
  await withS3At(io, options, signal, fetch)
}

/** Makes an object of the bytes of others, which are not copied. */
async function joinCommand(
  io: CliIo,
  sources: readonly RemotePlace[],
  to: RemotePlace,
  options: CatOptions,
  signal: AbortSignal,
): Promise<void> {
  const other = sources.find(({ bucket }) => bucket !== to.bucket)
  if (other !== undefined)
    throw new CliError("usage", `--into: s3://${other.bucket}/${printable(other.key)} is in another bucket: copy it`)
  await withS3(io, options, signal, async client => {
    const [first] = sources
    const { attributes } = await client.head(to.bucket, first?.key ?? "")
    const keys = sources.map(({ key }) => key)
    const { etag } = await client.join(to, keys, attributes)
    const made = { into: `s3://${to.bucket}/${to.key}`, objects: keys.length, etag }
    await answer(io, options, made, `${printable(made.into)}: ${keys.length} objects\n`)
  })
}

/**
 * Until Ctrl-C, which is how it ends. A store that has answered, and then cannot be reached or has a failure of its own, is asked
 * again, from where its bytes ended.
 */
async function followCommand(io: CliIo, source: RemotePlace, options: CatOptions, signal: AbortSignal): Promise<void> {
  const { range = "0-", versionId } = options
  if (versionId !== undefined) throw new CliError("usage", "--follow: an earlier version does not grow")
  if (!/^\d+-$/.test(range)) throw new CliError("usage", "--follow: --range says where to begin: FIRST-")
  let offset = Number(range.slice(0, -1))
  let stream: string | undefined
  let hasAnswered = false
  const mayRepeat = (error: unknown): boolean =>
    hasAnswered && (error instanceof Unreachable || (error instanceof RemoteFailure && error.status >= 500))
  await withS3(io, options, signal, async client => {
    while (!signal.aborted) {
      try {
        const found = await client.follow(source, offset, stream)
        hasAnswered = true
        if (found === undefined) continue
        stream = found.stream ?? stream
        offset += await writeAll(io, found.body)
      } catch (error) {
        if (signal.aborted) return
        if (!mayRepeat(error)) throw error
        await io.clock.sleep(UNREACHABLE_REST_MS, signal).catch(() => undefined)
      }
    }
  })
}

/** Writes the bytes of a body until it ends or breaks off. Returns how many bytes it wrote. */
async function writeAll(io: CliIo, body: AsyncIterable<Uint8Array>): Promise<number> {
  let bytes = 0
  try {
    for await (const chunk of body) {
      await io.out(chunk)
      bytes += chunk.length
    }
  } catch (error) {
    if (!(error instanceof BrokenAnswer)) throw error
  }
  return bytes
}
