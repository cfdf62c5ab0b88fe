/**
 * Rot: flips bits of a data folder's volumes in place, while a server has them open. A seed determines volume and
 * place; `tests/faults/rot.ts` damages the folder's other files.
 */
import { open, readdir } from "node:fs/promises"
import { join } from "node:path"
import type { SeededRandom } from "../kill/seeded-random.js"

const PLACES = 12
const SHARE_UNITS = 100_000

/** Returns the places of the flipped bits. */
export async function rot(folder: string, random: SeededRandom): Promise<readonly string[]> {
  // Chosen before any file is read, so that later random choices are the same in every run.
  const places = Array.from({ length: PLACES }, () => ({
    fileShare: random.below(SHARE_UNITS) / SHARE_UNITS,
    atShare: random.below(SHARE_UNITS) / SHARE_UNITS,
    bit: 1 << random.below(8),
  }))
  const names = (await readdir(join(folder, "volumes"))).sort()
  const flipped: string[] = []
  for (const { fileShare, atShare, bit } of places) {
    const name = names[Math.floor(fileShare * names.length)]
    const at = name && (await flip(join(folder, "volumes", name), atShare, bit))
    if (at !== undefined) flipped.push(`${name}:${at}`)
  }
  return flipped
}

async function flip(path: string, atShare: number, bit: number): Promise<number | undefined> {
  const file = await open(path, "r+").catch(() => undefined)
  if (file === undefined) return undefined
  try {
    const at = Math.floor(atShare * (await file.stat()).size)
    const byte = new Uint8Array(1)
    if ((await file.read(byte, 0, 1, at)).bytesRead === 0) return undefined
    byte[0] = (byte[0] ?? 0) ^ bit
    await file.write(byte, 0, 1, at)
    return at
  } finally {
    await file.close()
  }
}
