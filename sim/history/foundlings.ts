/** The versions of a key that answers show, and who may have made them. Pure. */
import type { Operation } from "./operations.js"

/** The version that the operation certainly made. */
export const madeVersion = ({ action, outcome }: Operation): string | undefined =>
  outcome.kind === "done" && (action.kind === "write" || (action.kind === "remove" && action.versionId === undefined))
    ? outcome.versionId
    : undefined

/** A version that an answer showed, and that no confirmed operation made. */
export interface Foundling {
  readonly versionId: string
  /** The end of the first answer that showed it. */
  endMs: number
  readonly marker: boolean
  etag: string | undefined
}

export function foundlings(operations: readonly Operation[]): readonly Foundling[] {
  const made = new Set(operations.map(madeVersion))
  const found = new Map<string, Foundling>()
  for (const { outcome, endMs } of operations) {
    const entries =
      outcome.kind === "stack" ? outcome.entries : outcome.kind === "found" ? [{ ...outcome, marker: false }] : []
    for (const { versionId, marker, etag } of entries) {
      if (versionId === undefined || made.has(versionId)) continue
      const known = found.get(versionId) ?? { versionId, marker, etag, endMs }
      known.endMs = Math.min(known.endMs, endMs)
      known.etag ??= etag
      found.set(versionId, known)
    }
  }
  return [...found.values()]
}

/** Returns true if the operation can have made the version, provided that it took effect. */
export function mayHaveMade({ action, startMs }: Operation, { marker, etag, endMs }: Foundling): boolean {
  if (startMs > endMs) return false
  if (action.kind === "remove") return marker && action.versionId === undefined
  if (action.kind !== "write" || marker) return false
  return etag === undefined || action.value.etag === undefined || action.value.etag === etag
}
