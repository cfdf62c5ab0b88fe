/** A small body, taken in whole. */
import { concatBytes } from "../base/bytes.js"
import { fail } from "../base/failures.js"
import type { Exchange } from "./contract.js"

/** Throws `entityTooLarge`, and what a body that is read does. */
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
