/** A re-encoding that is under way, or was given up. */
import { parseIncarnation, type Incarnation } from "../base/ids.js"
import { packExtent, readExtent, type Extent } from "./extent.js"
import { packRecord, pick, RecordReader } from "./pack.js"
import { packRuns, readRuns, type Runs } from "./records.js"

/** A re-encoding is under way, or given up: then its needles are no longer wanted. Numbers are on disk: append only. */
const INTENT_STATES = ["underWay", "givenUp"] as const

/**
 * A re-encoding of an upload's blocks (family `intents`). Its row exists before its first needle, so that no other
 * process writes needles of this generation, or removes them before a row references them.
 */
export interface IntentRecord {
  /** The process that re-encodes. */
  readonly incarnation: Incarnation
  /** The generation of one that was given up is never used again: a device that is away may have needles of it. */
  readonly state: (typeof INTENT_STATES)[number]
  /** The extent as it will be, without exceptions: its policy and generation are those of the new needles. */
  readonly extent: Extent
  /** The blocks that get new needles. */
  readonly runs: Runs
}

export function encodeIntent({ incarnation, state, extent, runs }: IntentRecord): Uint8Array {
  return packRecord(1, [incarnation, INTENT_STATES.indexOf(state), packExtent(extent), packRuns(runs)])
}

export function decodeIntent(bytes: Uint8Array): IntentRecord {
  const row = RecordReader.open("intent", bytes, 1)
  const incarnation = parseIncarnation(row.number())
  const state = pick(INTENT_STATES, row.number(), "intent")
  return { incarnation, state, extent: readExtent(row.row()), runs: readRuns(row) }
}
