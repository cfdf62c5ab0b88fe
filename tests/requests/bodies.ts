/**
 * Bodies on the wire: plain, chunked by HTTP, and in aws-chunked framing; each correct, or broken in one way.
 *
 * Promises  The damage is a function of the body and its description.
 */
import { checksumBase64, checksumHeader, type Algorithm } from "../../conformance/checksums.js"
import { PAYLOAD_HASH, type Mode } from "../../conformance/streaming.js"
import { signChunk, signTrailer, type Signature } from "../../conformance/sign-v4.js"

export const CHUNK_DAMAGE = [
  "signature", // of one chunk
  "lastSignature",
  "noSignature",
  "data", // one byte of a chunk, if there is one
  "sizeTooLong",
  "sizeNoHex",
  "sizeHuge",
  "upperSize",
  "leadingZeros",
  "noLineEnd",
  "lineFeedOnly",
  "noLastChunk",
  "twoLastChunks",
  "extension",
  "garbageBehind",
  "longLine",
] as const
export const TRAILER_DAMAGE = [
  "trailerValue",
  "trailerName",
  "trailerMissing",
  "trailerTwice",
  "trailerSignature",
  "trailerBlank",
  "trailerNoColon",
  "trailerUnpromised",
] as const
export type ChunkDamage = (typeof CHUNK_DAMAGE)[number] | (typeof TRAILER_DAMAGE)[number]

export interface AwsChunked {
  readonly kind: "aws"
  readonly mode: Mode
  readonly chunkBytes: number
  readonly trailer: Algorithm | undefined
  readonly damage: ChunkDamage | undefined
  /** Added to the true length in x-amz-decoded-content-length; undefined leaves the header out. */
  readonly lengthOff: number | undefined
}

export type Framing =
  | { readonly kind: "none" }
  /** `lengthOff`: added to the true Content-Length. */
  | { readonly kind: "plain"; readonly lengthOff: number }
  /** `Transfer-Encoding: chunked`. */
  | { readonly kind: "http"; readonly chunkBytes: number; readonly damage?: "size" | "lineEnd" }
  | AwsChunked

export const payloadHashOf = ({ mode }: AwsChunked): string => PAYLOAD_HASH[mode]

const cut = (body: Buffer, chunkBytes: number): Buffer[] => {
  const chunks: Buffer[] = []
  for (let at = 0; at < body.length; at += chunkBytes) chunks.push(body.subarray(at, at + chunkBytes))
  return chunks
}

interface Frame {
  size: string
  /** `;chunk-signature=…` */
  extension: string
  data: Buffer
  end: string
}

const flipped = (text: string): string => text.slice(0, -1) + (text.endsWith("0") ? "1" : "0")

function damageFrames(frames: Frame[], damage: ChunkDamage | undefined): void {
  const [first] = frames
  const last = frames.at(-1)
  if (first === undefined || last === undefined) return
  const acts: Partial<Record<ChunkDamage, () => unknown>> = {
    signature: () => (first.extension = flipped(first.extension)),
    lastSignature: () => (last.extension = flipped(last.extension)),
    noSignature: () => (first.extension = ""),
    data: () => {
      const copy = Buffer.from(first.data)
      if (copy.length > 0) copy[0] = (copy[0] ?? 0) ^ 1
      first.data = copy
    },
    sizeTooLong: () => (first.size = (parseInt(first.size, 16) + 1).toString(16)),
    sizeNoHex: () => (first.size = `g${first.size}`),
    sizeHuge: () => (first.size = "ffffffffffffffff"),
    upperSize: () => (first.size = first.size.toUpperCase()),
    leadingZeros: () => (first.size = `000${first.size}`),
    noLineEnd: () => (first.end = ""),
    lineFeedOnly: () => (first.end = "\n"),
    noLastChunk: () => frames.pop(),
    twoLastChunks: () => frames.push({ ...last }),
    extension: () => (first.extension += ";more=1"),
    longLine: () => (first.extension += `;${"x".repeat(9_000)}`),
  }
  if (damage !== undefined) acts[damage]?.()
}

function trailerOf(framing: AwsChunked, body: Buffer, seed: Signature | undefined, previous: string): string {
  const { mode, trailer, damage } = framing
  if (mode === "signed") return ""
  if (trailer === undefined || damage === "trailerMissing") return "\r\n"
  const right = checksumBase64(trailer, body)
  const value = damage === "trailerValue" ? checksumBase64(trailer, Buffer.concat([body, Buffer.of(1)])) : right
  const name = damage === "trailerName" ? "x-amz-checksum-nothing" : checksumHeader(trailer)
  const line = `${name}:${value}`
  const text =
    damage === "trailerNoColon" ? `${name}${value}` : damage === "trailerBlank" ? `${name} :  ${value} ` : line
  const more = damage === "trailerTwice" ? `${line}\r\n` : damage === "trailerUnpromised" ? "x-amz-meta-x:1\r\n" : ""
  const signature = seed && mode === "signed-trailer" ? signTrailer(seed, previous, `${line}\n`) : undefined
  const shown = damage === "trailerSignature" && signature !== undefined ? flipped(signature) : signature
  return `${text}\r\n${more}${shown === undefined ? "" : `x-amz-trailer-signature:${shown}\r\n`}\r\n`
}

export function encodeAws(framing: AwsChunked, body: Buffer, seed: Signature | undefined): Buffer {
  const { mode, chunkBytes, damage } = framing
  const signed = mode === "unsigned-trailer" ? undefined : seed
  let previous = seed?.signature ?? ""
  const frames = [...cut(body, chunkBytes), Buffer.alloc(0)].map((data): Frame => {
    if (signed) previous = signChunk(signed, previous, data)
    const end = data.length > 0 || mode === "signed" ? "\r\n" : ""
    return { size: data.length.toString(16), extension: signed ? `;chunk-signature=${previous}` : "", data, end }
  })
  damageFrames(frames, damage)
  const parts = frames.flatMap(({ size, extension, data, end }) => [
    Buffer.from(`${size}${extension}\r\n`, "latin1"),
    data,
    Buffer.from(end),
  ])
  const behind = damage === "garbageBehind" ? "garbage" : ""
  return Buffer.concat([...parts, Buffer.from(trailerOf(framing, body, seed, previous) + behind, "latin1")])
}

export function encodeHttpChunks(body: Buffer, chunkBytes: number, damage?: "size" | "lineEnd"): Buffer {
  const parts = cut(body, chunkBytes).flatMap((data, i) => [
    Buffer.from(`${damage === "size" && i === 0 ? "x" : ""}${data.length.toString(16)}\r\n`),
    data,
    Buffer.from(damage === "lineEnd" && i === 0 ? "\n\n" : "\r\n"),
  ])
  return Buffer.concat([...parts, Buffer.from("0\r\n\r\n")])
}
