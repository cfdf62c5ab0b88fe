/** A re-encoding that is under way, or was given up. */
import { EXTENT } from "../needles/extent.js"
import { oneOf, record, type ValueOf } from "../encoding/fields.js"
import { INCARNATION } from "../encoding/id-fields.js"
import { RUNS } from "../records.js"

/** A re-encoding is under way, or given up: then its needles are no longer wanted. Numbers are on disk: append only. */
const INTENT_STATES = ["underWay", "givenUp"] as const

/**
 * A re-encoding of an upload's blocks (family `intents`). Its row exists before its first needle, so that no other
 * process writes needles of this generation, or removes them before a row references them.
 */
const INTENT = record("intent", {
  /** The process that re-encodes. */
  incarnation: INCARNATION,
  /** The generation of one that was given up is never used again: a device that is away may have needles of it. */
  state: oneOf(INTENT_STATES),
  /** The extent as it will be, without exceptions: its policy and generation are those of the new needles. */
  extent: EXTENT,
  /** The blocks that get new needles. */
  runs: RUNS,
})
export type IntentRecord = ValueOf<typeof INTENT>
export const { encode: encodeIntent, decode: decodeIntent } = INTENT
