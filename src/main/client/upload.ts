/**
 * Uploads a stream of bytes: one PUT where it is short, a multipart upload where it is long.
 *
 * Promises  The object appears whole or not at all; an upload that fails is aborted.
 * Limits    `PARTS_AT_ONCE` parts in memory. Parts grow with the object, so that 10,000 of them hold
 *           5 TiB even where the length is not known beforehand.
 */
import { MIB, PARTS_MAX } from "../../base/limits.js"
import type { S3Client } from "./s3-client.js"

const PART_BYTES = 8 * MIB
const PARTS_AT_ONCE = 4
/** A stream of unknown length: parts double in size each so many parts. */
const PARTS_PER_SIZE = 1000

export interface UploadRequest {
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
): AsyncGenerator<Buffer> {
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
    const first = (await parts.next()).value
    const second = await parts.next()
    const body: Buffer = first ?? Buffer.alloc(0)
    if (second.done === true) {
      const { etag } = await client.put({ bucket, key, body, ...contentType })
      onProgress(body.length)
      return { etag, sizeBytes: body.length }
    }
    const uploadId = await client.createMultipart({ bucket, key, ...contentType })
    return await putParts(client, { bucket, key, uploadId }, [body, second.value], parts, onProgress)
  } finally {
    await parts.return(undefined)
  }
}

/** Sends parts with `PARTS_AT_ONCE` in flight; aborts the upload on the first failure. */
async function putParts(
  client: S3Client,
  target: { bucket: string; key: string; uploadId: string },
  head: readonly Buffer[],
  rest: AsyncGenerator<Buffer>,
  onProgress: (bytes: number) => void,
): Promise<Uploaded> {
  const etags: string[] = []
  let sizeBytes = 0
  let partCount = 0
  const waiting = [...head]
  let failed = false
  const take = async (): Promise<{ body: Buffer; partNumber: number } | undefined> => {
    const body = waiting.shift() ?? (await rest.next()).value
    if (body === undefined || failed) return undefined
    partCount += 1
    sizeBytes += body.length
    return { body, partNumber: partCount }
  }
  // Taking is serialised: the stream has one reader, and parts are numbered in its order.
  let turn: Promise<unknown> = Promise.resolve()
  const takeInTurn = () => {
    const mine = turn.then(take)
    turn = mine.catch(() => undefined)
    return mine
  }
  const sender = async (): Promise<void> => {
    for (let part = await takeInTurn(); part !== undefined; part = await takeInTurn()) {
      etags[part.partNumber - 1] = await client.putPart({ ...target, partNumber: part.partNumber, body: part.body })
      onProgress(part.body.length)
    }
  }
  const outcomes = await Promise.allSettled(
    Array.from({ length: PARTS_AT_ONCE }, () =>
      sender().catch((error: unknown) => {
        failed = true
        throw error
      }),
    ),
  )
  const failure = outcomes.find(outcome => outcome.status === "rejected")
  if (failure !== undefined) {
    await client.abort(target).catch(() => undefined)
    throw failure.reason
  }
  const { etag } = await client.complete({ ...target, etags })
  return { etag, sizeBytes }
}
