/**
 * Rows that the nodes of a store share (family `cluster`), version 1: packed arrays with a format number.
 *
 * Keys are text: `control`, `conversion`, `layout` and a number, `node` and a name, `lease` and a name, `epochs`, `epoch`
 * and a number. Numbers have 16 digits, so that rows are in their order.
 * Refuses   Anything malformed with `corruptRecord` or `invalidArgument`; names of leases that are empty or longer than
 *           CLUSTER_NAME_BYTES_MAX with `invalidArgument`.
 */
import { fail } from "../base/failures.js"
import { parseIncarnation, parseNodeFingerprint, parseNodeName, parsePosition, rowKeyOf } from "../base/ids.js"
import type { Incarnation, NodeFingerprint, NodeName, Position, RowKey } from "../base/ids.js"
import type { KeyRange } from "../base/key-range.js"
import { packRecord, RecordReader } from "./pack.js"
import { suffixRange } from "./row-key.js"

/** In UTF-8. */
const CLUSTER_NAME_BYTES_MAX = 255

/** The control record of the store, without its layout tables. */
export interface ControlRow {
  /** The generation of the record; it grows with each change. */
  readonly generation: number
  /** As `format/control-record.ts` encodes it. */
  readonly record: Uint8Array
}

/**
 * Where the metadata of a store is that was converted, or is being converted: from devices to this database, or back.
 * `copying`: rows are missing here, so it is on the devices. `copied` and `leaving`: the control record on the devices
 * decides. `left`: it is on the devices, and never comes back to this database.
 */
export type ConversionState = "copying" | "copied" | "active" | "leaving" | "left"

/** There is none for a store that began in its database. */
export interface ConversionRow {
  readonly state: ConversionState
  /**
   * The generation of the control record on the devices when the conversion began: copies up to it are from before that
   * time.
   */
  readonly generation: number
  /** The node whose devices get the metadata back; absent in other states than `leaving` and `left`. */
  readonly node?: NodeName
}

export interface NodeRow {
  readonly name: NodeName
  /** The incarnation of the process that runs as this node. */
  readonly incarnation: Incarnation
  /** Where other nodes reach it. */
  readonly address: string
  readonly fingerprint: NodeFingerprint
  /** The HMAC of the node's admission under the master key. */
  readonly proof: Uint8Array
  readonly zone: string
  readonly machine: string
  /** The version of its program. */
  readonly program: string
  /** Grows with each heartbeat. */
  readonly beat: number
  /** Nothing that the node decides from now on has this position or a lower one. */
  readonly position: Position
  /** The lowest layout under which a write of the node may still be under way. */
  readonly layoutVersion: number
  /** Names of nodes that it cannot reach. */
  readonly unreachable: readonly NodeName[]
}

export interface LeaseRow {
  readonly name: string
  /** Who has it; undefined: it was released. */
  readonly incarnation: Incarnation | undefined
  /** Grows with each renewal, and each time that it is taken or released. */
  readonly beat: number
}

/** The numbers of the epochs that have rows. */
interface EpochsRow {
  readonly newest: number
  readonly oldest: number
}

/** The decisions that were made before a moment. */
export interface EpochRow {
  readonly number: number
  /** The highest incarnation that had begun. */
  readonly highest: Incarnation
  /** Incarnations that had not ended; all decisions of each up to its position were made. */
  readonly positions: readonly (readonly [Incarnation, Position])[]
}

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

export const encodeControlRow = ({ generation, record }: ControlRow): Uint8Array => packRecord(1, [generation, record])

export function decodeControlRow(bytes: Uint8Array): ControlRow {
  const row = RecordReader.open("control row", bytes, 1)
  return { generation: wholeIn(row, "generation", 1), record: row.bytes() }
}

/** Numbers are in rows: append only. */
const CONVERSION_STATES: readonly ConversionState[] = ["copying", "active", "leaving", "copied", "left"]

export const encodeConversionRow = ({ state, generation, node }: ConversionRow): Uint8Array =>
  packRecord(1, [CONVERSION_STATES.indexOf(state), generation, ...(node === undefined ? [] : [node])])

export function decodeConversionRow(bytes: Uint8Array): ConversionRow {
  const row = RecordReader.open("conversion row", bytes, 1)
  const state = CONVERSION_STATES[wholeIn(row, "state", 0)]
  if (state === undefined) throw fail("corruptRecord", { what: "conversion row", field: "state" })
  const generation = wholeIn(row, "generation", 1)
  const node = row.optional(() => parseNodeName(row.text()))
  return { state, generation, ...(node === undefined ? {} : { node }) }
}

/** The partition table of a layout. */
export const encodeLayoutRow = (table: Uint8Array): Uint8Array => packRecord(1, [table])
export const decodeLayoutRow = (bytes: Uint8Array): Uint8Array => RecordReader.open("layout row", bytes, 1).bytes()

export const encodeNodeRow = (node: NodeRow): Uint8Array =>
  packRecord(1, [
    ...[node.name, node.incarnation, node.address, node.fingerprint, node.proof, node.zone, node.machine, node.program],
    ...[node.beat, node.position, node.layoutVersion, node.unreachable],
  ])

export function decodeNodeRow(bytes: Uint8Array): NodeRow {
  const row = RecordReader.open("node row", bytes, 1)
  return {
    name: parseNodeName(row.text()),
    incarnation: parseIncarnation(row.number()),
    address: row.text(),
    fingerprint: parseNodeFingerprint(row.text()),
    proof: row.bytes(),
    zone: row.text(),
    machine: row.text(),
    program: row.text(),
    beat: wholeIn(row, "beat", 1),
    position: parsePosition(row.number()),
    layoutVersion: wholeIn(row, "layoutVersion", 0),
    unreachable: row.texts().map(parseNodeName),
  }
}

export const encodeLeaseRow = ({ name, incarnation, beat }: LeaseRow): Uint8Array =>
  packRecord(1, [name, incarnation ?? null, beat])

export function decodeLeaseRow(bytes: Uint8Array): LeaseRow {
  const row = RecordReader.open("lease row", bytes, 1)
  const name = row.text()
  const incarnation = row.optional(() => parseIncarnation(row.number()))
  return { name, incarnation, beat: wholeIn(row, "beat", 1) }
}

export const encodeEpochsRow = ({ newest, oldest }: EpochsRow): Uint8Array => packRecord(1, [newest, oldest])

export function decodeEpochsRow(bytes: Uint8Array): EpochsRow {
  const row = RecordReader.open("epochs row", bytes, 1)
  return { newest: wholeIn(row, "newest", 1), oldest: wholeIn(row, "oldest", 1) }
}

export const encodeEpochRow = ({ number, highest, positions }: EpochRow): Uint8Array =>
  packRecord(1, [number, highest, positions])

export function decodeEpochRow(bytes: Uint8Array): EpochRow {
  const row = RecordReader.open("epoch row", bytes, 1)
  return {
    number: wholeIn(row, "number", 1),
    highest: parseIncarnation(row.number()),
    positions: row.rows(pair => [parseIncarnation(pair.number()), parsePosition(pair.number())] as const),
  }
}

function wholeIn(row: RecordReader, field: string, min: number): number {
  const value = row.number()
  if (!Number.isSafeInteger(value) || value < min) throw fail("corruptRecord", { what: "cluster row", field })
  return value
}
