/** A request whose body is signed chunk by chunk, built as one buffer before it is sent. */
import { STREAMING_SIGNED } from "@hayloft/access/sigv4.js"
import { sha256Hex } from "@hayloft/access/sigv4.js"
import type { RawRequest } from "@hayloft/client/load/raw-connection.js"
import { wireOf, type RequestForge } from "@hayloft/client/load/request-forge.js"
import type { OutgoingRequest } from "@hayloft/client/signed-call.js"

const SIGNATURE_CHARACTERS = 64
const EMPTY = Buffer.alloc(0)

const chunkHead = (lengthBytes: number, signature: string): string =>
  `${lengthBytes.toString(16)};chunk-signature=${signature}\r\n`

/** Chunks have equal lengths; the last may be shorter, and an empty one ends the body. */
export function signedChunks(
  forge: RequestForge,
  request: OutgoingRequest,
  body: Buffer,
  chunkBytes: number,
): RawRequest {
  const chunks: Buffer[] = []
  for (let at = 0; at < body.length; at += chunkBytes) chunks.push(body.subarray(at, at + chunkBytes))
  chunks.push(EMPTY)
  const placeholder = "0".repeat(SIGNATURE_CHARACTERS)
  const lengthBytes = chunks.reduce(
    (sum, chunk) => sum + chunkHead(chunk.length, placeholder).length + chunk.length + 2,
    0,
  )
  const headers = [
    ...(request.headers ?? []),
    ["content-encoding", "aws-chunked"],
    ["content-length", String(lengthBytes)],
    ["x-amz-decoded-content-length", String(body.length)],
  ] as const
  const signed = forge.sign({ ...request, headers }, STREAMING_SIGNED)
  const signatures = signed.chunkSignatures()
  const wire = Buffer.allocUnsafeSlow(lengthBytes)
  let at = 0
  for (const chunk of chunks) {
    at += wire.write(chunkHead(chunk.length, signatures.chunk(sha256Hex(chunk))), at, "latin1")
    at += chunk.copy(wire, at)
    at += wire.write("\r\n", at, "latin1")
  }
  return { bytes: wireOf(signed), body: wire, isHead: false }
}
