/** Bodies whose bytes are in memory already: lent pieces, or bytes that do not change. */
import type { LentBytes } from "@hayloft/base/memory/pieces.js"
import type { RpcBodySource } from "./contract.js"

/** A body of lent pieces, each given back as soon as it is sent. */
export function lentBody(pieces: readonly LentBytes[]): RpcBodySource {
  let drawn = 0
  function* draw(): Generator<LentBytes> {
    for (const piece of pieces) {
      drawn += 1
      yield piece
    }
  }
  return {
    lengthBytes: pieces.reduce((sum, { bytes }) => sum + bytes.length, 0),
    pieces: draw(),
    close: () => {
      for (; drawn < pieces.length; drawn += 1) pieces[drawn]?.giveBack()
    },
  }
}

/** A body of bytes that stay as they are. */
export const bytesBody = (bytes: Uint8Array): RpcBodySource => lentBody([{ bytes, giveBack: () => undefined }])
