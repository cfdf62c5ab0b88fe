/** Collects a small body in memory, up to a limit that the caller sets. */
import { concatBytes } from "@hayloft/base/bytes.js"
import { fail } from "@hayloft/base/failures.js"
import type { Exchange } from "./contract.js"

/** Throws `entityTooLarge`, and the failures of reading a body. */
export async function readBody(exchange: Exchange, bytesMax: number): Promise<Uint8Array> {
  if ((exchange.contentLength ?? 0) > bytesMax) throw fail("entityTooLarge", { bytesMax })
  const pieces: Uint8Array[] = []
  let lengthBytes = 0
  for await (const piece of exchange.body()) {
    lengthBytes += piece.length
    if (lengthBytes > bytesMax) throw fail("entityTooLarge", { bytesMax })
    pieces.push(piece)
  }
  return concatBytes(pieces)
}
