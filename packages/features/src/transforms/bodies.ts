/** Bodies of representations, and the bytes of an original or of a member of an archive that they are made of. */
import { must } from "@hayloft/base/assert.js"
import { concatBytes } from "@hayloft/base/bytes.js"
import type { ByteRange, ObjectBody, ObjectInfo } from "@hayloft/objects/index.js"
import type { Coding } from "./contract.js"
import { Hashes } from "@hayloft/base/seams/compute/index.js"
import { GZIP_HEADER, gzipTrailer } from "./gzip-core.js"
import type { ResultOf } from "./results.js"
import { TRANSFORM_LIMITS } from "./limits.js"

/** The input of steps: an object, or a member of an archive. */
export interface Base {
  readonly info: ObjectInfo
  /**
   * Opens all bytes if the range is undefined. Throws `preconditionFailed` if the object has been replaced since `info`
   * was read.
   */
  readonly open: (range: ByteRange | undefined) => Promise<ObjectBody>
}

/** The object that a request reads, as its caller may read it. */
export interface Original extends Base {
  readonly of: Omit<ResultOf, "etag">
}

/** The same bytes with other headers. `range`: within what is shown. */
export const shownAs = (body: ObjectBody, info: ObjectInfo, range: ByteRange | undefined): ObjectBody => ({
  info,
  range,
  partChecksum: undefined,
  whole: body.whole,
  lend: () => body.lend(),
  read: (signal, pieces) => body.read(signal, pieces),
  close: () => body.close(),
})

export function bodyOfBytes(
  info: ObjectInfo,
  bytes: Uint8Array,
  range: ByteRange | undefined,
  close: () => void,
): ObjectBody {
  const wanted = range === undefined ? bytes : bytes.subarray(range.first, range.first + range.lengthBytes)
  return {
    info,
    range,
    partChecksum: undefined,
    close,
    lend: () => undefined,
    async *read() {
      yield wanted
    },
  }
}

export const bodyOfStream = (
  info: ObjectInfo,
  read: (signal: AbortSignal) => AsyncIterable<Uint8Array>,
  close: () => void,
): ObjectBody => ({
  info,
  range: undefined,
  partChecksum: undefined,
  close,
  lend: () => undefined,
  read,
})

/**
 * Compressed bytes, as one gzip member (RFC 1952) or as zstd frames (RFC 8878), made of pieces of the same length whatever the
 * input's pieces are, so that the same input always gives the same bytes. `encode`: of a piece, whose bytes it may move away.
 */
export async function* encodedPieces(
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  coding: Coding,
  encode: (piece: Uint8Array) => Promise<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const isGzip = coding === "gzip"
  const hashes = new Hashes({ md5: false, sha256: false, checksum: isGzip ? "CRC32" : undefined })
  if (isGzip) yield GZIP_HEADER
  let sizeBytes = 0
  const ahead: Promise<Uint8Array>[] = []
  for await (const piece of ofEqualLength(source, TRANSFORM_LIMITS.pieceBytes)) {
    sizeBytes += piece.length
    hashes.update(piece)
    const coded = encode(piece)
    // A reader that stops early must not leave an unhandled rejection.
    coded.catch(() => undefined)
    ahead.push(coded)
    const [first] = ahead
    if (ahead.length <= TRANSFORM_LIMITS.piecesAhead || first === undefined) continue
    yield await first
    void ahead.shift()
  }
  for (const coded of ahead) yield await coded
  if (isGzip) yield gzipTrailer(must(hashes.digests().checksum, "a gzip stream has a CRC"), sizeBytes)
  else if (sizeBytes === 0) yield await encode(new Uint8Array(0))
}

/** Pieces in memory of their own; only the last one may be shorter. */
async function* ofEqualLength(
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  lengthBytes: number,
): AsyncGenerator<Uint8Array> {
  let parts: Uint8Array[] = []
  let gathered = 0
  for await (const bytes of source) {
    for (let at = 0; at < bytes.length;) {
      // Lent pieces are valid until the next one.
      const part = Uint8Array.from(bytes.subarray(at, at + lengthBytes - gathered))
      parts.push(part)
      gathered += part.length
      at += part.length
      if (gathered < lengthBytes) continue
      yield concatBytes(parts)
      parts = []
      gathered = 0
    }
  }
  if (gathered > 0) yield concatBytes(parts)
}
