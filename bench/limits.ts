/**
 * The machine's own cost of a large object, measured in the same round: one core hashes its bytes, and the disk
 * writes as many bytes as the store has to write, each piece durable before the next one of its file (O_DSYNC).
 */
import { createHash } from "node:crypto"
import { constants } from "node:fs"
import { mkdir, open, rm } from "node:fs/promises"
import { join } from "node:path"
import { MIB } from "@hayloft/base/limits.js"
import { noiseOf } from "@hayloft/client/load/work-mix.js"
import { timed, type Bench } from "./bench.js"

const noise = noiseOf(4 * MIB)

function hashed(algorithm: "md5" | "sha256", bytes: number): string {
  const hash = createHash(algorithm)
  for (let at = 0; at < bytes; at += MIB) {
    const from = at % noise.length
    hash.update(noise.subarray(from, from + Math.min(MIB, bytes - at)))
  }
  return hash.digest("hex")
}

export const hashSeconds = async (bench: Bench, algorithm: "md5" | "sha256", bytes: number): Promise<number> =>
  (await timed(bench.clock, async () => hashed(algorithm, bytes))).seconds

/** Writes this many bytes into each of this many files concurrently, in pieces. */
export async function writeSeconds(
  bench: Bench,
  { files, bytes, pieceBytes }: { readonly files: number; readonly bytes: number; readonly pieceBytes: number },
): Promise<number> {
  const folder = join(bench.workFolder, "plain-writes")
  await mkdir(folder)
  const piece = noise.subarray(0, pieceBytes)
  const write = async (_: unknown, index: number): Promise<void> => {
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_DSYNC
    const file = await open(join(folder, String(index)), flags)
    try {
      for (let at = 0; at < bytes; at += pieceBytes) await file.write(piece, 0, Math.min(pieceBytes, bytes - at), at)
    } finally {
      await file.close()
    }
  }
  try {
    return (await timed(bench.clock, () => Promise.all(Array.from({ length: files }, write)))).seconds
  } finally {
    await rm(folder, { recursive: true })
  }
}
