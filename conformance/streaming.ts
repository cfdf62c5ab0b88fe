/**
 * Bodies in aws-chunked framing: signed chunks, signed chunks with a trailer, unsigned with a trailer.
 *
 * A body is a list of frames, so that a row can damage exactly one of them before it is sent.
 */
import { checksumBase64, checksumHeader } from "./checksums.js"
import type { Algorithm } from "./checksums.js"
import type { Client, HeaderInput } from "./client.js"
import { headerList } from "./client.js"
import { exchange } from "./raw-client.js"
import type { Header, RawResponse } from "./raw-client.js"
import { signChunk, signTrailer } from "./sign-v4.js"
import type { Signature } from "./sign-v4.js"

export type Mode = "signed" | "signed-trailer" | "unsigned-trailer"

export const PAYLOAD_HASH: Readonly<Record<Mode, string>> = {
  signed: "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
  "signed-trailer": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
  "unsigned-trailer": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
}

export interface StreamedPut {
  readonly bucket: string
  readonly key: string
  readonly query?: string
  readonly mode: Mode
  readonly body: Uint8Array
  /** Bytes of each chunk but the last. */
  readonly chunkBytes?: number
  readonly trailer?: Algorithm
  /** Instead of the right checksum. */
  readonly trailerValue?: string
  readonly headers?: HeaderInput
  /** The header is left out if this is undefined. */
  readonly decodedLength?: number | undefined
  /** Changes the frames before they are sent. */
  readonly damage?: (frames: Frames) => Frames
  /** Size of each TCP write; one write per frame otherwise. */
  readonly writeBytes?: number
}

export interface Frames {
  /** Each chunk with its head, the last one empty. */
  readonly chunks: readonly string[]
  /** Trailing header lines and the end of the body. */
  readonly trailer: string
}

const latin1 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("latin1")

function cut(body: Uint8Array, chunkBytes: number): Uint8Array[] {
  const chunks: Uint8Array[] = []
  for (let at = 0; at < body.length; at += chunkBytes) chunks.push(body.subarray(at, at + chunkBytes))
  return [...chunks, new Uint8Array(0)]
}

function framesOf(put: StreamedPut, seed: Signature | undefined): Frames {
  const signed = put.mode !== "unsigned-trailer" ? seed : undefined
  let previous = seed?.signature ?? ""
  const chunks = cut(put.body, put.chunkBytes ?? 65_536).map(chunk => {
    if (signed) previous = signChunk(signed, previous, chunk)
    const extension = signed ? `;chunk-signature=${previous}` : ""
    const end = chunk.length > 0 ? "\r\n" : put.mode === "signed" ? "\r\n" : ""
    return `${chunk.length.toString(16)}${extension}\r\n${latin1(chunk)}${end}`
  })
  if (put.mode === "signed") return { chunks, trailer: "" }
  if (put.trailer === undefined) return { chunks, trailer: "\r\n" }
  const value = put.trailerValue ?? checksumBase64(put.trailer, put.body)
  const name = checksumHeader(put.trailer)
  const signature = signed ? signTrailer(signed, previous, `${name}:${value}\n`) : undefined
  const signatureLine = signature === undefined ? "" : `x-amz-trailer-signature:${signature}\r\n`
  return { chunks, trailer: `${name}:${value}\r\n${signatureLine}\r\n` }
}

function pieces(bytes: Buffer, writeBytes: number | undefined): Buffer[] {
  if (writeBytes === undefined) return [bytes]
  const all: Buffer[] = []
  for (let at = 0; at < bytes.length; at += writeBytes) all.push(bytes.subarray(at, at + writeBytes))
  return all
}

/** Sends a streamed PUT. Frames are made for the true body; `damage` may then change them. */
export async function streamedPut(client: Client, put: StreamedPut): Promise<RawResponse> {
  const headers: Header[] = [...headerList(put.headers)]
  if (!headers.some(([name]) => name.toLowerCase() === "content-encoding"))
    headers.push(["Content-Encoding", "aws-chunked"])
  const decoded = "decodedLength" in put ? put.decodedLength : put.body.length
  if (decoded !== undefined) headers.push(["x-amz-decoded-content-length", String(decoded)])
  if (put.trailer !== undefined) headers.push(["x-amz-trailer", checksumHeader(put.trailer)])
  const { request, signature } = client.prepare("PUT", {
    bucket: put.bucket,
    key: put.key,
    ...(put.query === undefined ? {} : { query: put.query }),
    headers,
    noLength: true,
    sign: { payloadHash: PAYLOAD_HASH[put.mode] },
  })
  const whole = framesOf(put, signature)
  const { chunks, trailer } = put.damage?.(whole) ?? whole
  const bytes = Buffer.from(`${chunks.join("")}${trailer}`, "latin1")
  return exchange(client.endpoint, {
    ...request,
    headers: [...request.headers, ["Content-Length", String(bytes.length)]],
    body: pieces(bytes, put.writeBytes),
  })
}
