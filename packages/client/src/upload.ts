/**
 * Uploads a stream of bytes: a single PUT if it is short, a multipart upload if it is long.
 *
 * Promises  The object appears whole or not at all; a failed upload is aborted.
 * Limits    `PARTS_CONCURRENT` parts in memory. Parts grow with the object, so that 10,000 of them hold 5 TiB even if
 *           the length is not known beforehand.
 */
import { MIB, PARTS_MAX } from "@hayloft/base/limits.js"
import { InOrder, mapBounded } from "@hayloft/base/life/index.js"
import type { S3Client } from "./s3-client.js"
import type { HeaderFields } from "@hayloft/base/http/request-headers.js"

const PART_BYTES = 8 * MIB
const PARTS_CONCURRENT = 4
/** For a stream of unknown length: the number of parts after which the part size doubles. */
const PARTS_PER_SIZE = 1000

interface UploadRequest {
  readonly bucket: string
  readonly key: string
  /** Content type, metadata and the like. */
  readonly headers?: HeaderFields
  /** They are on the object that the upload replaces. */
  readonly conditions?: HeaderFields
  /** The size is undefined if unknown. */
  readonly sizeBytes: number | undefined
  /** The size of each part but the last one, or of the part of each number from 1 on; a shorter object is sent whole. */
  readonly partBytes?: number | ((partNumber: number) => number)
  readonly source: AsyncIterable<Uint8Array>
  /** Called when bytes have arrived at the store. */
  readonly onProgress: (bytes: number) => void
}

export interface Uploaded {
  readonly etag: string
  readonly sizeBytes: number
}

/** Bytes of part `partNumber` (1, 2, 3 …). */
export function partBytesOf(partNumber: number, sizeBytes: number | undefined): number {
  if (sizeBytes !== undefined) return Math.max(PART_BYTES, Math.ceil(sizeBytes / PARTS_MAX / MIB) * MIB)
  return PART_BYTES * 2 ** Math.floor((partNumber - 1) / PARTS_PER_SIZE)
}

/** Splits a stream into parts; the last one is shorter; an empty stream has one empty part. */
export async function* partsOf(
  source: AsyncIterable<Uint8Array>,
  sizeBytes: number | undefined,
  partBytes = (partNumber: number): number => partBytesOf(partNumber, sizeBytes),
): AsyncGenerator<Buffer, void, void> {
  let partNumber = 1
  let pending: Uint8Array[] = []
  let pendingBytes = 0
  for await (const chunk of source) {
    let rest = chunk
    while (rest.length > 0) {
      const taken = rest.subarray(0, partBytes(partNumber) - pendingBytes)
      pending.push(taken)
      pendingBytes += taken.length
      rest = rest.subarray(taken.length)
      if (pendingBytes < partBytes(partNumber)) continue
      yield Buffer.concat(pending)
      partNumber += 1
      pending = []
      pendingBytes = 0
    }
  }
  if (pendingBytes > 0 || partNumber === 1) yield Buffer.concat(pending)
}

export async function upload(client: S3Client, request: UploadRequest): Promise<Uploaded> {
  const { bucket, key, onProgress, headers = [], conditions = [], partBytes } = request
  const sizeOf = typeof partBytes === "number" ? () => partBytes : partBytes
  const parts = partsOf(request.source, request.sizeBytes, sizeOf)
  try {
    const first = await parts.next()
    const second = await parts.next()
    const body = first.done === true ? Buffer.alloc(0) : first.value
    if (second.done === true) {
      const { etag } = await client.put({ bucket, key, body, headers: [...headers, ...conditions] })
      onProgress(body.length)
      return { etag, sizeBytes: body.length }
    }
    const target = { bucket, key, uploadId: await client.createMultipart({ bucket, key }, headers) }
    try {
      const { etags, sizeBytes } = await putParts(
        client,
        target,
        new PartQueue([body, second.value], parts),
        onProgress,
      )
      const { etag } = await client.complete({ ...target, etags, headers: conditions })
      return { etag, sizeBytes }
    } catch (error) {
      await client.abort(target).catch(() => undefined)
      throw error
    }
  } finally {
    await parts.return()
  }
}

interface NumberedPart {
  readonly partNumber: number
  readonly body: Buffer
}

/** Returns parts in the order of the stream, one at a time, to concurrent callers. */
class PartQueue {
  #taken = 0
  readonly #turn = new InOrder()
  closed = false

  constructor(
    private readonly head: Buffer[],
    private readonly rest: AsyncGenerator<Buffer, void, void>,
  ) {}

  /** Returns undefined at the end, and once closed. */
  take(): Promise<NumberedPart | undefined> {
    return this.#turn.run(() => this.#next())
  }

  async #next(): Promise<NumberedPart | undefined> {
    if (this.closed) return undefined
    const body = this.head.shift() ?? (await this.rest.next()).value
    if (body === undefined) return undefined
    this.#taken += 1
    return { partNumber: this.#taken, body }
  }
}

/** Sends parts with `PARTS_CONCURRENT` in flight; starts no further ones after the first failure. */
async function putParts(
  client: S3Client,
  target: { bucket: string; key: string; uploadId: string },
  queue: PartQueue,
  onProgress: (bytes: number) => void,
): Promise<{ etags: readonly string[]; sizeBytes: number }> {
  const etags: string[] = []
  let sizeBytes = 0
  const lane = async (): Promise<void> => {
    try {
      for (let part = await queue.take(); part !== undefined; part = await queue.take()) {
        etags[part.partNumber - 1] = await client.putPart({ ...target, ...part })
        sizeBytes += part.body.length
        onProgress(part.body.length)
      }
    } finally {
      queue.closed = true
    }
  }
  await mapBounded(Array.from({ length: PARTS_CONCURRENT }), PARTS_CONCURRENT, lane)
  return { etags, sizeBytes }
}
