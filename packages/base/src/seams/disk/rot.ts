/**
 * Rot: the ways in which stored bytes decay, as changes in place.
 *
 * Patterns as drives show them (Bairavasundaram et al., FAST '08): a flipped bit, a sector of zeros, two
 * swapped sectors, a sector that a lost write left unchanged, a misdirected write.
 */
import type { Random } from "../random/contract.js"
import type { Intercept } from "./calls.js"
import { SECTOR_BYTES } from "./medium.js"

export const ROT_KINDS = ["flip", "zero", "swap", "stale", "misdirected"] as const
type RotKind = (typeof ROT_KINDS)[number]

/** Old content of the same file, the source of stale sectors; shorter if there was none. */
type Older = Uint8Array

const sectorAt = (bytes: Uint8Array, sector: number): Uint8Array =>
  bytes.subarray(sector * SECTOR_BYTES, (sector + 1) * SECTOR_BYTES)

/**
 * Damages one place between the offsets, in place. Returns a description; undefined if nothing
 * changed (zeros over zeros, a file of one sector).
 */
export function rotOnce(
  bytes: Uint8Array,
  kind: RotKind,
  random: Random,
  older: Older = new Uint8Array(0),
  fromBytes = 0,
  toBytes = bytes.length,
): string | undefined {
  if (toBytes <= fromBytes) return undefined
  const at = fromBytes + random.below(toBytes - fromBytes)
  if (kind === "flip") {
    const bit = random.below(8)
    bytes[at] = (bytes[at] ?? 0) ^ (1 << bit)
    return `bit ${bit} of byte ${at} flipped`
  }
  // Not `slice`: of a Buffer that is no copy.
  const before = Uint8Array.from(bytes)
  const sector = Math.floor(at / SECTOR_BYTES)
  const place = sectorAt(bytes, sector)
  const other = Math.floor((fromBytes + random.below(toBytes - fromBytes)) / SECTOR_BYTES)
  if (kind === "zero") place.fill(0)
  else if (kind === "stale") place.fill(0).set(sectorAt(older, sector).subarray(0, place.length))
  else {
    const [from, to] = [sectorAt(before, other), sectorAt(bytes, other)]
    place.set(from.subarray(0, place.length))
    if (kind === "swap") to.set(sectorAt(before, sector).subarray(0, to.length))
  }
  if (Buffer.compare(before, bytes) === 0) return undefined
  const partner = kind === "swap" || kind === "misdirected" ? ` and ${other}` : ""
  return `${kind}: sector ${sector}${partner}`
}

/** An effect for reads: damages the bytes of each read, differently each time. */
export const rotsByChance = (kinds: readonly RotKind[], random: Random): Intercept => {
  return () => ({
    rot: bytes => void rotOnce(bytes, kinds[random.below(kinds.length)] ?? "flip", random),
  })
}
