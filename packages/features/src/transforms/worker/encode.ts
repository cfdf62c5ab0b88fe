/**
 * Codings of one piece of a stream. Pieces do not depend on each other, so that processes can encode several at once.
 *
 *   gzip  raw deflate blocks that end at a byte, none of them the last; the frame is that of gzip-core.ts
 *   zstd  one frame; decoders read several frames in a row as one stream (RFC 8878, 3.1)
 */
import { versions } from "node:process"
import { constants, deflateRawSync } from "node:zlib"
import { Zstd } from "@hpcc-js/wasm-zstd"
import { assert } from "@hayloft/base/assert.js"
import type { Coding } from "../contract.js"

const GZIP_LEVEL = 6
const ZSTD_LEVEL = 3
const ZSTD_MAGIC = [0x28, 0xb5, 0x2f, 0xfd]

export async function encode(coding: Coding, bytes: Uint8Array): Promise<Uint8Array> {
  switch (coding) {
    case "gzip":
      return deflateRawSync(bytes, { level: GZIP_LEVEL, finishFlush: constants.Z_SYNC_FLUSH })
    case "zstd": {
      const frame = (await Zstd.load()).compress(bytes, ZSTD_LEVEL)
      // The package reports an error only by printing it.
      assert(
        ZSTD_MAGIC.every((byte, i) => frame[i] === byte),
        "zstd makes a frame",
      )
      return frame
    }
  }
}

export async function codingVersions(): Promise<Readonly<Record<Coding, string>>> {
  const zstd = await Zstd.load()
  return { gzip: `zlib ${versions.zlib} level ${GZIP_LEVEL}`, zstd: `zstd ${zstd.version()} level ${ZSTD_LEVEL}` }
}
