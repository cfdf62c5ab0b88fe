/**
 * Scenarios beside the workload: one large object by the AWS SDK, listing pages in ever larger
 * buckets, memory of an idle store.
 */
import { readFile } from "node:fs/promises"
import { Readable } from "node:stream"
import type { S3Access, S3Client } from "../src/main/client/s3-client.js"
import type { Clock } from "../src/seams/clock/contract.js"
import { Latencies, ratio, type Summary } from "../src/main/client/load/latencies.js"

const CHUNK_BYTES = 1024 * 1024

export interface MultipartResult {
  readonly bytes: number
  readonly uploadSeconds: number
  readonly downloadSeconds: number
  readonly uploadMegabytesPerSecond: number
  readonly downloadMegabytesPerSecond: number
}

/** Bytes that neither compress nor repeat within a block, made twice so that any offset has a whole chunk. */
function noiseOf(): Buffer {
  const noise = Buffer.alloc(2 * CHUNK_BYTES)
  for (let i = 0, x = 1; i < noise.length; i += 4) {
    x = (Math.imul(x, 1_664_525) + 1_013_904_223) >>> 0
    noise.writeUInt32LE(x, i)
  }
  return noise
}

/** The n-th chunk of the object: a view, another one for each n of a thousand. */
const chunkOf = (noise: Buffer, n: number): Buffer => {
  const from = (n * 4099) % CHUNK_BYTES
  return noise.subarray(from, from + CHUNK_BYTES)
}

function* chunksOf(noise: Buffer, lengthBytes: number): Generator<Buffer> {
  for (let at = 0, n = 0; at < lengthBytes; at += CHUNK_BYTES, n += 1) {
    yield chunkOf(noise, n).subarray(0, Math.min(CHUNK_BYTES, lengthBytes - at))
  }
}

/** Compares a stream with the object byte for byte, which costs a client less than hashing both. */
async function isObject(noise: Buffer, lengthBytes: number, received: Readable): Promise<boolean> {
  let at = 0
  for await (const piece of received) {
    if (!(piece instanceof Uint8Array)) return false
    for (let rest: Uint8Array = piece; rest.length > 0;) {
      const within = at % CHUNK_BYTES
      const expected = chunkOf(noise, Math.floor(at / CHUNK_BYTES)).subarray(within, within + rest.length)
      if (expected.compare(rest.subarray(0, expected.length)) !== 0) return false
      at += expected.length
      rest = rest.subarray(expected.length)
    }
  }
  return at === lengthBytes
}

/** Uploads a stream of unknown length with the AWS SDK's own multipart uploader, then reads it back. */
export async function multipartScenario(
  access: S3Access,
  clock: Clock,
  bucket: string,
  bytes: number,
): Promise<MultipartResult> {
  process.env["AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED"] = "true"
  const { S3Client: AwsClient, GetObjectCommand } = await import("@aws-sdk/client-s3")
  const { Upload } = await import("@aws-sdk/lib-storage")
  const { endpoint, region, accessKeyId, secretAccessKey } = access
  const client = new AwsClient({
    endpoint,
    region,
    forcePathStyle: true,
    credentials: { accessKeyId, secretAccessKey },
  })
  try {
    const noise = noiseOf()
    const target = { Bucket: bucket, Key: "multipart" }
    const startedMs = clock.monotonicMs()
    const body = Readable.from(chunksOf(noise, bytes), { objectMode: false, highWaterMark: 4 * CHUNK_BYTES })
    await new Upload({ client, params: { ...target, Body: body }, partSize: 16 * CHUNK_BYTES, queueSize: 4 }).done()
    const uploadedMs = clock.monotonicMs()
    const { Body } = await client.send(new GetObjectCommand(target))
    if (!(Body instanceof Readable)) throw new Error("the SDK gave no stream")
    if (!(await isObject(noise, bytes, Body))) throw new Error("the object that came back is another one")
    const [uploadSeconds, downloadSeconds] = [
      (uploadedMs - startedMs) / 1000,
      (clock.monotonicMs() - uploadedMs) / 1000,
    ]
    return {
      bytes,
      uploadSeconds: Number(uploadSeconds.toFixed(2)),
      downloadSeconds: Number(downloadSeconds.toFixed(2)),
      uploadMegabytesPerSecond: Math.round(bytes / 1e6 / uploadSeconds),
      downloadMegabytesPerSecond: Math.round(bytes / 1e6 / downloadSeconds),
    }
  } finally {
    client.destroy()
  }
}

export interface ListingResult {
  readonly keys: number
  readonly fillSeconds: number
  readonly page: Summary
  /** p50 against that of the smallest bucket: 1 is flat. */
  readonly againstSmallest: number | undefined
}

const FILL_AT_ONCE = 32
const PAGES = 60
const SMALLEST = 1000

/** Pages of 1,000 keys from random places, in one bucket that grows by powers of ten. */
export async function* listingScenario(
  client: S3Client,
  clock: Clock,
  bucket: string,
  keysMax: number,
  signal: AbortSignal,
): AsyncGenerator<ListingResult> {
  const body = new Uint8Array(0)
  let filled = 0
  let smallestMs = 0
  for (let keys = SMALLEST; keys <= keysMax; keys *= 10) {
    const startedMs = clock.monotonicMs()
    const worker = async (): Promise<void> => {
      while (filled < keys && !signal.aborted) {
        filled += 1
        await client.put({ bucket, key: keyOf(filled - 1), body })
      }
    }
    await Promise.all(Array.from({ length: FILL_AT_ONCE }, worker))
    signal.throwIfAborted()
    const fillSeconds = (clock.monotonicMs() - startedMs) / 1000
    const page = await pages(client, clock, bucket, keys)
    if (keys === SMALLEST) smallestMs = page.p50Ms
    yield { keys, fillSeconds: Math.round(fillSeconds), page, againstSmallest: ratio(page.p50Ms, smallestMs) }
  }
}

/** Keys in a scattered order, so that a larger bucket has its new keys everywhere. */
const keyOf = (n: number): string => `dir/${((n * 2_654_435_761) % 2 ** 32).toString(16).padStart(8, "0")}/${n}`

async function pages(client: S3Client, clock: Clock, bucket: string, keys: number): Promise<Summary> {
  const latencies = new Latencies()
  const startedMs = clock.monotonicMs()
  for (let n = 0; n < PAGES; n += 1) {
    // A full page needs a thousand keys behind it: in the smallest bucket that is the beginning.
    const share = (n / PAGES) * (1 - SMALLEST / keys)
    const after = `dir/${Math.floor(share * 2 ** 32)
      .toString(16)
      .padStart(8, "0")}`
    const beganMs = clock.monotonicMs()
    const page = await client.list(bucket, { prefix: "dir/", delimiter: "", after })
    latencies.record(clock.monotonicMs() - beganMs, 0)
    if (page.keys.length < SMALLEST * 0.8) throw new Error(`a page had only ${page.keys.length} keys`)
  }
  return latencies.summary((clock.monotonicMs() - startedMs) / 1000)
}

/** Megabytes of a process in physical memory (Linux); undefined elsewhere. */
export async function residentMegabytes(pid: number): Promise<number | undefined> {
  const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "")
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]
  return kib === undefined ? undefined : Math.round((Number(kib) * 1024) / 1e6)
}
