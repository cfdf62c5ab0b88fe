/**
 * Rows of K2V items: the item with its vector and small values, larger values, the counts of a partition, and the order
 * in which its items changed. See decision 73.
 *
 * Row keys begin as those of objects do, with the partition key as the name: bucket id (8), partition key, 0x00. Then
 * follow the sort key in the same form and, for a value, node (8) and time (8); or, for a change, its time (8).
 *
 * Refuses  Anything malformed with `corruptRecord`.
 */
import { bytesOfByteString, rowKeyOf } from "../base/ids.js"
import type { ItemKey, RowKey } from "../base/ids.js"
import { bytesOfHex, hexOf } from "../base/bytes.js"
import { must } from "../base/assert.js"
import { fail } from "../base/failures.js"
import type { VectorNode } from "./k2v-token.js"
import { packRecord, RecordReader } from "./pack.js"
import { objectRowKeyOf, parseObjectRowKey, shiftKey, u64TextOf } from "./row-key.js"

/** One of the concurrent values of an item. */
export type K2vValue =
  | { readonly kind: "tombstone" }
  /** A small one. */
  | { readonly kind: "inline"; readonly bytes: Uint8Array }
  /** In a row of its own. */
  | { readonly kind: "row"; readonly lengthBytes: number; readonly sha256: Uint8Array }

export interface K2vDot {
  readonly time: number
  readonly value: K2vValue
}

/** The state that one node has written of an item. */
export interface K2vNodeState {
  readonly node: VectorNode
  /** Values of the node up to this time are obsolete. */
  readonly discard: number
  /** By ascending time. */
  readonly values: readonly K2vDot[]
}

/** Nodes ascending. */
export type K2vItem = readonly K2vNodeState[]

const NODE_BYTES = 8
const SHA256_BYTES = 32

function packDot({ time, value }: K2vDot): readonly unknown[] {
  if (value.kind === "tombstone") return [time]
  return value.kind === "inline" ? [time, value.bytes] : [time, null, value.lengthBytes, value.sha256]
}

export const encodeK2vItem = (item: K2vItem): Uint8Array =>
  packRecord(1, [
    item.map(({ node, discard, values }) => [must(bytesOfHex(node), "nodes are hex"), discard, values.map(packDot)]),
  ])

function ofLength(bytes: Uint8Array, length: number): Uint8Array {
  if (bytes.length === length) return bytes
  throw fail("corruptRecord", { what: "k2v item", field: "length" })
}

function readDot(row: RecordReader): K2vDot {
  const time = row.number()
  const bytes = row.optional(() => row.bytes())
  if (bytes !== undefined) return { time, value: { kind: "inline", bytes } }
  const lengthBytes = row.optional(() => row.number())
  if (lengthBytes === undefined) return { time, value: { kind: "tombstone" } }
  return { time, value: { kind: "row", lengthBytes, sha256: ofLength(row.bytes(), SHA256_BYTES) } }
}

export function decodeK2vItem(value: Uint8Array): K2vItem {
  const nodes = RecordReader.open("k2v item", value, 1).rows(row => ({
    node: hexOf(ofLength(row.bytes(), NODE_BYTES)),
    discard: row.number(),
    values: row.rows(readDot),
  }))
  if (nodes.length === 0) throw fail("corruptRecord", { what: "k2v item", field: "nodes" })
  return nodes
}

export const encodeK2vValue = (value: Uint8Array): Uint8Array => packRecord(1, [value])
export const decodeK2vValue = (value: Uint8Array): Uint8Array => RecordReader.open("k2v value", value, 1).bytes()

/** The contents of a partition. */
export interface K2vPartition {
  /** Items with at least one value that is no tombstone. */
  readonly entries: number
  /** Items with several concurrent values, tombstones included. */
  readonly conflicts: number
  readonly values: number
  readonly bytes: number
  /** The time of its last change, which no other change of it has. */
  readonly changedAt: number
  /** The latest change of an item that was removed with its tombstones; 0: none was. */
  readonly collectedTo: number
}

export const encodeK2vPartition = (partition: K2vPartition): Uint8Array => {
  const { entries, conflicts, values, bytes, changedAt, collectedTo } = partition
  return packRecord(1, [entries, conflicts, values, bytes, changedAt, ...(collectedTo > 0 ? [collectedTo] : [])])
}

export function decodeK2vPartition(value: Uint8Array): K2vPartition {
  const row = RecordReader.open("k2v partition", value, 1)
  const [entries, conflicts, values] = [row.number(), row.number(), row.number()]
  const [bytes, changedAt] = [row.number(), row.number()]
  return { entries, conflicts, values, bytes, changedAt, collectedTo: row.optional(() => row.number()) ?? 0 }
}

/** The item that a change was of. */
export const encodeK2vChange = (sortKey: ItemKey): Uint8Array => packRecord(1, [Buffer.from(sortKey, "latin1")])

export const decodeK2vChange = (value: Uint8Array): ItemKey =>
  parseStoredItemKey(Buffer.from(RecordReader.open("k2v change", value, 1).bytes()).toString("latin1"))

const TERMINATOR = "\x00"

/** `partition`: the row key of the partition, which is `objectRowKey` of its key. */
export const itemRowKey = (partition: RowKey, sortKey: ItemKey): RowKey =>
  rowKeyOf(partition + shiftKey(sortKey) + TERMINATOR)

/** The row key of an item, from that of one of its values, or of the item itself. */
export function itemRowKeyOf(row: RowKey): RowKey {
  const partition = objectRowKeyOf(row).length
  return rowKeyOf(row.slice(0, row.indexOf(TERMINATOR, partition) + 1))
}

export const valueRowKey = (item: RowKey, node: VectorNode, time: number): RowKey =>
  rowKeyOf(item + u64TextOf(BigInt(`0x${node}`)) + u64TextOf(BigInt(time)))

export const changeRowKey = (partition: RowKey, time: number): RowKey => rowKeyOf(partition + u64TextOf(BigInt(time)))

/** The time in the row key of a change. */
export const timeOfChange = (row: RowKey): number =>
  Number(Buffer.from(bytesOfByteString(parseObjectRowKey(row).suffix)).readBigUInt64BE(0))

/** The partition key in a row key. */
export const partitionKeyOf = (row: RowKey): ItemKey => parseStoredItemKey(parseObjectRowKey(row).key)

/** The sort key in the row key of an item. */
export function sortKeyOf(row: RowKey): ItemKey {
  const bytes = Buffer.from(parseObjectRowKey(row).suffix.slice(0, -TERMINATOR.length), "latin1")
  for (let i = 0; i < bytes.length; i += 1) bytes[i] = (bytes[i] ?? 0) - 1
  return parseStoredItemKey(bytes.toString("latin1"))
}

/** Rows have only keys that were checked before they were stored. */
export const parseStoredItemKey = (text: string): ItemKey => text as ItemKey
