/** A request whose body is one chunk without a signature and a trailer with its CRC32, as SDKs send puts over TLS. */
import { STREAMING_UNSIGNED_TRAILER } from "@hayloft/access/sigv4.js"
import { Crc } from "@hayloft/base/simd/crc.js"
import type { RawRequest } from "@hayloft/client/load/raw-connection.js"
import { wireOf, type RequestForge } from "@hayloft/client/load/request-forge.js"
import type { OutgoingRequest } from "@hayloft/client/signed-call.js"

export const CHECKSUM_HEADER = "x-amz-checksum-crc32"

/** The value of `CHECKSUM_HEADER` for a body. */
export function crc32Text(body: Uint8Array): string {
  const crc = new Crc("CRC32")
  crc.update(body)
  return Buffer.from(crc.digest()).toString("base64")
}

export function unsignedChunkWithTrailer(forge: RequestForge, request: OutgoingRequest, body: Buffer): RawRequest {
  const wire = Buffer.concat([
    Buffer.from(`${body.length.toString(16)}\r\n`),
    body,
    Buffer.from(`\r\n0\r\n${CHECKSUM_HEADER}:${crc32Text(body)}\r\n\r\n`),
  ])
  const headers = [
    ...(request.headers ?? []),
    ["content-encoding", "aws-chunked"],
    ["content-length", String(wire.length)],
    ["x-amz-decoded-content-length", String(body.length)],
    ["x-amz-trailer", CHECKSUM_HEADER],
  ] as const
  return { bytes: wireOf(forge.sign({ ...request, headers }, STREAMING_UNSIGNED_TRAILER)), body: wire, isHead: false }
}
