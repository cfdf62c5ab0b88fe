/** Checks a needle at its place, with no more of it in memory than a window. */
import { isFailure } from "@hayloft/base/failures.js"
import type { RowKey } from "@hayloft/base/ids.js"
import type { NeedlePlace } from "../format/needles/needle.js"
import { needleKeyOf } from "../format/needles/needle.js"
import { isAbsent, isUnreadable } from "./files.js"
import type { FileWindow, ScannedNeedle } from "./group-reader.js"
import { isBodyGood } from "./group-reader.js"
import { decodeHeader } from "./needle-read-core.js"

/**
 * Returns true if the needle of this key is at the place, whole. Bytes that cannot be read are bad ones. Throws
 * `deviceFailed` if the bytes are not at fault.
 */
export async function isWholeAt(window: FileWindow, key: RowKey, place: NeedlePlace): Promise<boolean> {
  try {
    const header = decodeHeader(place, await window.bytes(place.offsetBytes, place.headerBytes))
    const isIt = header.kind === "shard" && needleKeyOf(header.id) === key && header.bodyBytes === place.bodyBytes
    return isIt && (await isBodyGood(window, { header, place }))
  } catch (error) {
    if (isFailure(error, "corruptNeedle") || isUnreadable(error) || isAbsent(error)) return false
    throw error
  }
}

/** Returns true if the body of a needle with a good header can be read and is good. Throws as above. */
export async function isBodyWhole(window: FileWindow, needle: ScannedNeedle): Promise<boolean> {
  try {
    return await isBodyGood(window, needle)
  } catch (error) {
    if (isUnreadable(error)) return false
    throw error
  }
}
