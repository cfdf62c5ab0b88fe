/**
 * Uploads a stream of bytes: one PUT where it is short, a multipart upload where it is long.
 *
 * Promises  The object appears whole or not at all; an upload that fails is aborted.
 * Limits    `PARTS_AT_ONCE` parts in memory. Parts grow with the object, so that 10,000 of them hold
 *           5 TiB even where the length is not known beforehand.
 */
import { MIB, PARTS_MAX } from "../base/limits.js"
import { mapBounded } from "../life/index.js"
import type { S3Client } from "./s3-client.js"

const PART_BYTES = 8 * MIB
const PARTS_AT_ONCE = 4
/** A stream of unknown length: parts double in size each so many parts. */
const PARTS_PER_SIZE = 1000

interface UploadRequest {
  readonly bucket: string
  readonly key: string
  readonly contentType?: string
  /** Undefined: not known. */
  readonly sizeBytes: number | undefined
  readonly source: AsyncIterable<Uint8Array>
  /** Called as bytes have arrived at the store. */
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

/** Cuts a stream into parts; the last is shorter, and at least one (perhaps empty) comes. */
export async function* partsOf(
  source: AsyncIterable<Uint8Array>,
  sizeBytes: number | undefined,
): AsyncGenerator<Buffer, void, void> {
  let partNumber = 1
  let pending: Uint8Array[] = []
  let pendingBytes = 0
  for await (const chunk of source) {
    let rest = chunk
    while (rest.length > 0) {
      const taken = rest.subarray(0, partBytesOf(partNumber, sizeBytes) - pendingBytes)
      pending.push(taken)
      pendingBytes += taken.length
      rest = rest.subarray(taken.length)
      if (pendingBytes < partBytesOf(partNumber, sizeBytes)) continue
      yield Buffer.concat(pending)
      partNumber += 1
      pending = []
      pendingBytes = 0
    }
  }
  if (pendingBytes > 0 || partNumber === 1) yield Buffer.concat(pending)
}

export async function upload(client: S3Client, request: UploadRequest): Promise<Uploaded> {
  const { bucket, key, onProgress } = request
  const contentType = request.contentType === undefined ? {} : { contentType: request.contentType }
  const parts = partsOf(request.source, request.sizeBytes)
  try {
    const first = await parts.next()
    const second = await parts.next()
    const body = first.done === true ? Buffer.alloc(0) : first.value
    if (second.done === true) {
      const { etag } = await client.put({ bucket, key, body, ...contentType })
      onProgress(body.length)
      return { etag, sizeBytes: body.length }
    }
    const target = { bucket, key, uploadId: await client.createMultipart({ bucket, key, ...contentType }) }
    try {
      const { etags, sizeBytes } = await putParts(
        client,
        target,
        new PartQueue([body, second.value], parts),
        onProgress,
      )
      const { etag } = await client.complete({ ...target, etags })
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

/** Hands out parts in the order of the stream, one at a time, however many ask. */
class PartQueue {
  #taken = 0
  #turn: Promise<unknown> = Promise.resolve()
  closed = false

  constructor(
    private readonly head: Buffer[],
    private readonly rest: AsyncGenerator<Buffer, void, void>,
  ) {}

  /** Undefined at the end, and once closed. */
  take(): Promise<NumberedPart | undefined> {
    const mine = this.#turn.then(() => this.#next())
    this.#turn = mine.catch(() => undefined)
    return mine
  }

  async #next(): Promise<NumberedPart | undefined> {
    if (this.closed) return undefined
    const body = this.head.shift() ?? (await this.rest.next()).value
    if (body === undefined) return undefined
    this.#taken += 1
    return { partNumber: this.#taken, body }
  }
}

/** Sends parts with `PARTS_AT_ONCE` in flight; after the first failure nothing new is started. */
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
  await mapBounded(Array.from({ length: PARTS_AT_ONCE }), PARTS_AT_ONCE, lane)
  return { etags, sizeBytes }
}
