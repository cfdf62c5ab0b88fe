/** Identifiers of Chord: a circle of 2^32, on which keys and nodes are placed by their SHA-1. */
import { createHash } from "node:crypto"

/** The paper has 160; the fingers that differ, about log2 of the nodes, are the same. */
export const ID_BITS = 32
const CIRCLE = 2 ** ID_BITS

export type ChordId = number

export const chordIdOf = (text: string): ChordId => createHash("sha1").update(text).digest().readUInt32BE(0)

/** Clockwise. */
export const distance = (from: ChordId, to: ChordId): number => (to - from + CIRCLE) % CIRCLE

/**
 * Returns true if the id is behind `from` and before `to`; if they are equal, the range is the whole circle without
 * `from`.
 */
export function isBetween(id: ChordId, from: ChordId, to: ChordId): boolean {
  const away = distance(from, id)
  return away > 0 && (from === to || away < distance(from, to))
}

/** The same with `to`. */
export const isUpTo = (id: ChordId, from: ChordId, to: ChordId): boolean => id === to || isBetween(id, from, to)

export const fingerStart = (id: ChordId, finger: number): ChordId => (id + 2 ** finger) % CIRCLE

/** The first of the sorted ids at or behind the key: its owner. */
export function successorOf(sorted: readonly ChordId[], key: ChordId): ChordId | undefined {
  return sorted[placeOf(sorted, key)]
}

/** The place of the key's owner among the sorted ids. */
export function placeOf(sorted: readonly ChordId[], key: ChordId): number {
  let [low, high] = [0, sorted.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if ((sorted[middle] ?? 0) < key) low = middle + 1
    else high = middle
  }
  return low === sorted.length ? 0 : low
}
