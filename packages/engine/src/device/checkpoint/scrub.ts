/**
 * Scrub of a device's own metadata: the rows of its metadata store, the payloads that they point at, and its log,
 * verified in bounded steps.
 *
 * The steps only read, through readers of their own, on the checkpoint thread, where a page that is not in memory
 * delays no request. Damage is reported, never repaired here.
 */
import { FAMILIES, FAMILY_NAMES, type Family } from "@hayloft/base/rows/families.js"
import { isFailure, type Failure } from "@hayloft/base/failures.js"
import { parseLogSequence, rowKeyOf, type LogSequence, type RowKey } from "@hayloft/base/ids.js"
import { MIB } from "@hayloft/base/limits.js"
import { decodeStoredRow, type VolumePlace } from "../../format/tables/stored-row.js"
import type { StoreReader } from "@hayloft/base/seams/store/contract.js"
import type { LogReader } from "../log/log-reader.js"
import { ALL_ROWS } from "@hayloft/base/rows/key-range.js"

export const SCRUB_LIMITS = {
  /** One step of the metadata store, payloads included. */
  rowsMax: 4_000,
  payloadBytesMax: 8 * MIB,
  /** One step of the log. */
  logBytesMax: 16 * MIB,
} as const

/** The place where the next step begins: at this key or the first behind it. */
export interface RowScrubCursor {
  readonly family: Family
  readonly key: RowKey
}

/** A row that differs from what was written, or whose payload does. */
export interface RowFinding {
  readonly family: Family
  /** With its store prefix. */
  readonly key: RowKey
  /** "range": some rows from this key on could not be read. */
  readonly what: "row" | "payload" | "range"
  readonly reason: string
}

export interface RowsScrubbed {
  /** The cursor is undefined if all rows have been verified. */
  readonly next: RowScrubCursor | undefined
  readonly rows: number
  readonly payloads: number
  readonly findings: readonly RowFinding[]
}

/** Reads a payload verified; throws `corruptNeedle` or `deviceFailed`. */
type VerifyPayload = (family: Family, key: RowKey, place: VolumePlace) => Promise<unknown>

const firstOf = (family: Family): RowScrubCursor => ({ family, key: rowKeyOf("") })
const keyAfter = (key: RowKey): RowKey => rowKeyOf(`${key}\0`)

function familyAfter(family: Family): RowScrubCursor | undefined {
  const next = FAMILY_NAMES[FAMILY_NAMES.indexOf(family) + 1]
  return next && firstOf(next)
}

interface Found {
  readonly key: RowKey
  readonly place: VolumePlace
}

/** One step through the metadata store: rows of one family, from the cursor on. */
export async function scrubRowsStep(
  store: StoreReader,
  from: RowScrubCursor = firstOf("marks"),
  verifyPayload: VerifyPayload,
  limits: { readonly [Name in keyof typeof SCRUB_LIMITS]: number } = SCRUB_LIMITS,
): Promise<RowsScrubbed> {
  const { family } = from
  const findings: RowFinding[] = []
  const found: Found[] = []
  let [rows, payloadBytes, at] = [0, 0, from.key]
  let next: RowScrubCursor | undefined = familyAfter(family)
  try {
    for (const [key, bytes] of store.range(family, { start: from.key, end: ALL_ROWS.end })) {
      if (rows >= limits.rowsMax || payloadBytes >= limits.payloadBytesMax) {
        next = { family, key }
        break
      }
      rows += 1
      at = keyAfter(key)
      try {
        const { place } = decodeStoredRow(family, key, bytes)
        if (place) found.push({ key, place })
        payloadBytes += place?.lengthBytes ?? 0
      } catch (error) {
        findings.push(findingOf(error, family, key, "row"))
      }
    }
  } catch (error) {
    findings.push(findingOf(error, family, at, "range"))
    next = behindDamage(error, family, at) ?? next
  }
  for (const { key, place } of found) {
    try {
      await verifyPayload(family, key, place)
    } catch (error) {
      findings.push(findingOf(error, family, key, "payload"))
    }
  }
  return { next, rows, payloads: found.length, findings }
}

/** Returns where a walk continues after damage; undefined if the end of the damage is unknown, or in another family. */
export function behindDamage(error: unknown, family: Family, at: RowKey): RowScrubCursor | undefined {
  const toKey = isFailure(error, "corruptRow") ? error.details["toKey"] : undefined
  const bytes = Buffer.from(typeof toKey === "string" ? toKey : "", "hex")
  const key = keyAfter(rowKeyOf(bytes.toString("latin1", 1)))
  return bytes[0] === FAMILIES[family] && key > at ? { family, key } : undefined
}

/** Throws failures that prove nothing about the row: a slow device has not lost it. */
function findingOf(error: unknown, family: Family, key: RowKey, what: RowFinding["what"]): RowFinding {
  const isSlow = isFailure(error, "deviceFailed") && error.details["code"] === "ETIMEDOUT"
  if (isSlow || !isFailure(error, "corruptRow", "corruptNeedle", "deviceFailed")) throw error
  return { family, key, what, reason: error.message }
}

export interface LogScrubbed {
  /** Everything up to here has been verified. */
  readonly seen: LogSequence
  readonly bytes: number
  /** The next batch differs from what was written; it may have been cut meanwhile, which the caller checks. */
  readonly damage: Failure | undefined
}

/** One step through the log: batches above `after`, at most up to `upTo`, which is durable. */
export async function scrubLogStep(
  log: LogReader,
  after: LogSequence,
  upTo: LogSequence,
  limits: { readonly [Name in keyof typeof SCRUB_LIMITS]: number } = SCRUB_LIMITS,
): Promise<LogScrubbed> {
  let [bytes, sequence] = [0, parseLogSequence(after)]
  try {
    for await (const record of log.records(after, upTo)) {
      if (record.sequence > sequence && bytes >= limits.logBytesMax) {
        return { seen: parseLogSequence(record.sequence - 1), bytes, damage: undefined }
      }
      sequence = record.sequence
      bytes += record.bytes.length
    }
  } catch (error) {
    if (!isFailure(error, "corruptLog")) throw error
    return { seen: sequence, bytes, damage: error }
  }
  return { seen: upTo, bytes, damage: undefined }
}
