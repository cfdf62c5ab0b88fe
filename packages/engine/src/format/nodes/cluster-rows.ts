/**
 * Rows that the nodes of a store share (family `cluster`), version 1: packed arrays with a format number.
 *
 * Keys are text: `control`, `conversion`, `layout` and a number, `node` and a name, `lease` and a name, `epochs`, `epoch`
 * and a number. Numbers have 16 digits, so that rows are in their order.
 * Refuses   Anything malformed with `corruptRecord`; names of leases that are empty or longer than
 *           CLUSTER_NAME_BYTES_MAX with `invalidArgument`.
 */
import { fail } from "@hayloft/base/failures.js"
import { parseNodeFingerprint, rowKeyOf, type NodeName, type RowKey } from "@hayloft/base/ids.js"
import type { KeyRange } from "@hayloft/base/rows/key-range.js"
import {
  appended,
  BYTES,
  listOf,
  oneOf,
  optional,
  pairOf,
  parsed,
  record,
  recordOf,
  TEXT,
  whole,
} from "../encoding/fields.js"
import type { ValueOf } from "../encoding/fields.js"
import { INCARNATION, NODE_NAME, POSITION } from "../encoding/id-fields.js"
import { suffixRange } from "../row-key.js"

/** In UTF-8. */
const CLUSTER_NAME_BYTES_MAX = 255

const DIGITS = 16
const digitsOf = (number: number): string => String(number).padStart(DIGITS, "0")

function nameBytes(name: string): string {
  const bytes = Buffer.from(name, "utf8")
  if (bytes.length === 0 || bytes.length > CLUSTER_NAME_BYTES_MAX)
    throw fail("invalidArgument", { message: `a name has 1 to ${CLUSTER_NAME_BYTES_MAX} bytes`, name })
  return bytes.toString("latin1")
}

export const CONTROL_ROW_KEY = rowKeyOf("control")
export const CONVERSION_ROW_KEY = rowKeyOf("conversion")
export const EPOCHS_ROW_KEY = rowKeyOf("epochs")
export const layoutRowKey = (version: number): RowKey => rowKeyOf(`layout ${digitsOf(version)}`)
export const nodeRowKey = (name: NodeName): RowKey => rowKeyOf(`node ${nameBytes(name)}`)
export const leaseRowKey = (name: string): RowKey => rowKeyOf(`lease ${nameBytes(name)}`)
export const epochRowKey = (number: number): RowKey => rowKeyOf(`epoch ${digitsOf(number)}`)
/** Most stores have no more of each. */
const EXPECTED_ROWS = 200
const rowsOf = (kind: string): KeyRange => ({ ...suffixRange(rowKeyOf(`${kind} `)), expectedRows: EXPECTED_ROWS })
export const NODE_ROWS = rowsOf("node")
export const LEASE_ROWS = rowsOf("lease")
export const EPOCH_ROWS = rowsOf("epoch")

/** The control record of the store, without its layout tables. */
const CONTROL_ROW = record("control row", {
  /** The generation of the record; it grows with each change. */
  generation: whole(1),
  /** The control record, as `control-record.ts` encodes it. */
  record: BYTES,
})
export type ControlRow = ValueOf<typeof CONTROL_ROW>
export const { encode: encodeControlRow, decode: decodeControlRow } = CONTROL_ROW

/** Numbers are in rows: append only. */
const CONVERSION_STATES = ["copying", "active", "leaving", "copied", "left"] as const

/**
 * The place where the metadata of a store is that was converted, or is being converted: from devices to this database, or back.
 * `copying`: rows are missing here, so it is on the devices. `copied` and `leaving`: the control record on the devices
 * decides. `left`: it is on the devices, and never comes back to this database.
 */
export type ConversionState = (typeof CONVERSION_STATES)[number]

/** A store that began in its database has no such row. */
const CONVERSION_ROW = record("conversion row", {
  state: oneOf(CONVERSION_STATES),
  /**
   * The generation of the control record on the devices when the conversion began: copies up to it are from before that
   * time.
   */
  generation: whole(1),
  /** The node whose devices get the metadata back; absent in other states than `leaving` and `left`. */
  node: appended(NODE_NAME),
})
export type ConversionRow = ValueOf<typeof CONVERSION_ROW>
export const { encode: encodeConversionRow, decode: decodeConversionRow } = CONVERSION_ROW

/** The partition table of a layout. */
export const { encode: encodeLayoutRow, decode: decodeLayoutRow } = recordOf("layout row", BYTES)

const NODE_ROW = record("node row", {
  name: NODE_NAME,
  /** The incarnation of the process that runs as this node. */
  incarnation: INCARNATION,
  /** The address at which other nodes reach it. */
  address: TEXT,
  fingerprint: parsed(TEXT, parseNodeFingerprint),
  /** The HMAC of the node's admission under the master key. */
  proof: BYTES,
  zone: TEXT,
  machine: TEXT,
  /** The version of its program. */
  program: TEXT,
  /** Grows with each heartbeat. */
  beat: whole(1),
  /** Nothing that the node decides from now on has this position or a lower one. */
  position: POSITION,
  /** The lowest layout under which a write of the node may still be under way. */
  layoutVersion: whole(),
  /** Names of nodes that it cannot reach. */
  unreachable: listOf(NODE_NAME),
})
export type NodeRow = ValueOf<typeof NODE_ROW>
export const { encode: encodeNodeRow, decode: decodeNodeRow } = NODE_ROW

const LEASE_ROW = record("lease row", {
  name: TEXT,
  /** The process that has it; undefined: it was released. */
  incarnation: optional(INCARNATION),
  /** Grows with each renewal, and each time that it is taken or released. */
  beat: whole(1),
})
export type LeaseRow = ValueOf<typeof LEASE_ROW>
export const { encode: encodeLeaseRow, decode: decodeLeaseRow } = LEASE_ROW

/** The numbers of the epochs that have rows. */
const EPOCHS_ROW = record("epochs row", { newest: whole(1), oldest: whole(1) })
export const { encode: encodeEpochsRow, decode: decodeEpochsRow } = EPOCHS_ROW

/** The decisions that were made before a moment. */
const EPOCH_ROW = record("epoch row", {
  number: whole(1),
  /** The highest incarnation that had begun. */
  highest: INCARNATION,
  /** Incarnations that had not ended; all decisions of each up to its position were made. */
  positions: listOf(pairOf(INCARNATION, POSITION)),
})
export type EpochRow = ValueOf<typeof EPOCH_ROW>
export const { encode: encodeEpochRow, decode: decodeEpochRow } = EPOCH_ROW
