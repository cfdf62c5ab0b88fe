/** Uncompresses what programs have compressed, as it arrives. */
import { Readable } from "node:stream"
import { createGunzip } from "node:zlib"
import { fail, isFailure } from "../../failures.js"

export type Decompress = (pieces: AsyncIterable<Uint8Array>) => AsyncIterable<Uint8Array>

export const damaged = (program: string) =>
  fail("invalidRequest", { message: `the body is not compressed by ${program}, or is damaged` })

/** Throws `invalidRequest` for what is not compressed so, or damaged; failures of the source as they are. */
export async function* gunzipped(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const gunzip = createGunzip()
  const source = Readable.from(pieces)
  source.on("error", error => gunzip.destroy(error))
  source.pipe(gunzip)
  try {
    for await (const bytes of gunzip) {
      if (bytes instanceof Uint8Array) yield bytes
    }
  } catch (error) {
    if (isFailure(error)) throw error
    throw damaged("gzip")
  } finally {
    source.destroy()
    gunzip.destroy()
  }
}
