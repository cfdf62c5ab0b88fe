/**
 * Comparison of replicas, decided: which of them is wrong about a row. Pure.
 *
 * All replicas have the same rows, byte for byte. If they differ, the majority is right; if two differ, the right one
 * is unknown, unless a row fails its own checksum.
 */
import { FAMILIES, type Family } from "@hayloft/base/rows/families.js"
import type { DeviceId, RowKey } from "@hayloft/base/ids.js"
import { xxh64 } from "@hayloft/base/simd/xxh64.js"
import type { DeviceRow } from "../device/index.js"

/** Rows of a replica in a range, by key: the digest of each row. */
interface RowDigests {
  readonly id: DeviceId
  readonly rows: ReadonlyMap<RowKey, bigint>
}

export interface ReplicaDifference {
  readonly family: Family
  /** For a corrupt or unreadable row: the beginning of its range. */
  readonly key: RowKey
  /** The wrong device; undefined if replicas differ without a majority. */
  readonly id: DeviceId | undefined
  readonly what: "missing" | "extra" | "different" | "corrupt" | "unreadable"
}

/**
 * Digest of everything that replicas share: family, key, value, and the length of the payload (0 bytes differ from
 * none).
 */
export function digestOfRow(family: Family, key: RowKey, { value, payload }: DeviceRow): bigint {
  const bytes = Buffer.allocUnsafe(7 + key.length + value.length)
  bytes.writeUInt8(FAMILIES[family], 0)
  bytes.writeUInt16LE(key.length, 1)
  bytes.writeInt32LE(payload ? payload.lengthBytes : -1, 3)
  bytes.write(key, 7, "latin1")
  bytes.set(value, 7 + key.length)
  return xxh64(bytes)
}

/** The digest of a set of rows from those of its parts, in any order. */
export const combineDigests = (a: bigint, b: bigint): bigint => BigInt.asUintN(64, a + b)

/** Returns where the replicas differ. */
export function* differences(family: Family, replicas: readonly RowDigests[]): Generator<ReplicaDifference> {
  const keys = new Set(replicas.flatMap(({ rows }) => [...rows.keys()]))
  for (const key of keys) {
    const found = replicas.map(({ rows }) => rows.get(key))
    if (found.every(digest => digest === found[0])) continue
    const right = majorityOf(found)
    if (!right) yield { family, key, id: undefined, what: "different" }
    else {
      for (const [i, { id }] of replicas.entries()) {
        const digest = found[i]
        if (digest !== right.value) yield { family, key, id, what: wrongness(digest, right.value) }
      }
    }
  }
}

function wrongness(found: bigint | undefined, right: bigint | undefined): ReplicaDifference["what"] {
  if (found === undefined) return "missing"
  return right === undefined ? "extra" : "different"
}

/** The value that more than half have. */
function majorityOf<T>(values: readonly T[]): { readonly value: T } | undefined {
  const counts = new Map<T, number>()
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1)
  const best = [...counts].find(([, count]) => count > values.length / 2)
  return best && { value: best[0] }
}
