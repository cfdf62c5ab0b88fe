/**
 * The ranges that a bulk job walks through: all keys with a prefix, or what was selected, one part after the other.
 * Places in them are texts in the rows of jobs. Pure.
 */
import { fail } from "@hayloft/base/failures.js"
import { objectKeyOfText, parseVersionId, type VersionId } from "@hayloft/base/ids.js"
import type { BulkRequest } from "./bulk-request.js"

export interface ObjectKeyRange {
  /** A byte string, like keys. */
  readonly prefix: string
  /** The range covers only this one of all keys with the prefix. */
  readonly isOneKey: boolean
  /** It is undefined for all versions. */
  readonly versionIds: ReadonlySet<VersionId> | undefined
}

const bytesOf = (prefix: string): string => (prefix === "" ? "" : objectKeyOfText(prefix))

/** In the order of keys, each object once. Throws `invalidArgument`. */
export function keyRangesOf({ kind, prefix, selected }: BulkRequest): readonly ObjectKeyRange[] {
  const all = { prefix: bytesOf(prefix), isOneKey: false, versionIds: undefined }
  if (selected === undefined) return [all]
  const parts = selected.map(part => {
    const versionId = "key" in part ? part.versionId : undefined
    if (versionId !== undefined && kind !== "delete-versions")
      throw fail("invalidArgument", { message: `selected: ${kind} takes keys without versionId` })
    const text = bytesOf("key" in part ? part.key : part.prefix)
    if (text.startsWith(all.prefix)) return { text, isOneKey: "key" in part, versionId }
    throw fail("invalidArgument", {
      message: `selected: ${"key" in part ? part.key : part.prefix} is not below ${prefix}`,
    })
  })
  // Parts that cover others are before them: a prefix before its keys, and a key before its versions.
  parts.sort(
    (a, b) =>
      compared(a.text, b.text) ||
      Number(a.isOneKey) - Number(b.isOneKey) ||
      compared(a.versionId ?? "", b.versionId ?? ""),
  )
  const ranges: ObjectKeyRange[] = []
  for (const { text, isOneKey, versionId } of parts) {
    const last = ranges.at(-1)
    const isSame = last !== undefined && last.prefix === text
    if (last !== undefined && !last.isOneKey && text.startsWith(last.prefix)) continue
    if (isSame && (versionId === undefined || last.versionIds === undefined)) continue
    const versionIds =
      versionId === undefined
        ? undefined
        : new Set([...(isSame ? (last.versionIds ?? []) : []), parseVersionId(versionId)])
    if (isSame) ranges.pop()
    ranges.push({ prefix: text, isOneKey, versionIds })
  }
  return ranges
}

const compared = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

interface RangePlace {
  /** Which one of the ranges. */
  readonly range: number
  /** A place within it; "": its beginning. */
  readonly within: string
}

/** Jobs by prefix have one range, whose places are theirs. */
export const textInRanges = (isSelection: boolean, { range, within }: RangePlace): string =>
  isSelection ? `${range} ${within}` : within

/** The beginning for "". */
export function placeInRanges(isSelection: boolean, text: string): RangePlace {
  if (!isSelection || text === "") return { range: 0, within: text }
  const space = text.indexOf(" ")
  return { range: Number(text.slice(0, space)), within: text.slice(space + 1) }
}
