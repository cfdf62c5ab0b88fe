/** The real web, over `fetch`; it follows no redirection, so that only the address that was given is asked. */
import { concatBytes } from "../../base/bytes.js"
import { fail, isFailure, type Failure } from "../../base/failures.js"
import type { Web } from "./contract.js"

export class RealWeb implements Web {
  async get(url: string, { bytesMax, timeoutMs }: { bytesMax: number; timeoutMs: number }): Promise<Uint8Array> {
    try {
      const signal = AbortSignal.timeout(timeoutMs)
      const response = await fetch(url, { signal, redirect: "error", headers: { accept: "application/json" } })
      const { status, body } = response
      if (status !== 200 || body === null) throw unreachable(url, `status ${status}`)
      const pieces: Uint8Array[] = []
      let lengthBytes = 0
      const arriving: AsyncIterable<Uint8Array> = body
      for await (const piece of arriving) {
        lengthBytes += piece.length
        if (lengthBytes > bytesMax) throw unreachable(url, `more than ${bytesMax} bytes`)
        pieces.push(piece)
      }
      return concatBytes(pieces)
    } catch (error) {
      throw isFailure(error) ? error : unreachable(url, String(error))
    }
  }
}

const unreachable = (url: string, reason: string): Failure => fail("providerUnreachable", { url, reason })
