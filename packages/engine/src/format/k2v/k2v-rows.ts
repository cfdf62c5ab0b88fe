/**
 * Rows of K2V items: the item with its vector and small values, larger values, the counts of a partition, and the order
 * in which its items changed. See decision 73.
 *
 * Row keys begin as those of objects do, with the partition key as the name: bucket id (8), partition key, 0x00. Then
 * follow the sort key in the same form and, for a value, node (8) and time (8); or, for a change, its time (8).
 *
 * Refuses  Anything malformed with `corruptRecord`.
 */
import { bytesOfByteString, rowKeyOf } from "@hayloft/base/ids.js"
import type { ItemKey, RowKey } from "@hayloft/base/ids.js"
import { bytesOfHex, hexOf } from "@hayloft/base/bytes.js"
import { must } from "@hayloft/base/assert.js"
import { fail } from "@hayloft/base/failures.js"
import {
  APPENDED_NUMBER,
  BYTES,
  bytesOfLength,
  mapped,
  NUMBER,
  parsed,
  record,
  recordOf,
  rowsOf,
} from "../encoding/fields.js"
import type { RecordField, ValueOf } from "../encoding/fields.js"
import { BYTE_STRING } from "../encoding/id-fields.js"
import type { VectorNode } from "./k2v-token.js"
import { objectRowKeyOf, parseObjectRowKey, shiftKey, u64TextOf } from "../row-key.js"

/** One of the concurrent values of an item. */
export type K2vValue =
  | { readonly kind: "tombstone" }
  /** A small one. */
  | { readonly kind: "inline"; readonly bytes: Uint8Array }
  /** In a row of its own. */
  | { readonly kind: "row"; readonly lengthBytes: number; readonly sha256: Uint8Array }

const [NODE_BYTES, SHA256_BYTES] = [8, 32]

/** Nothing, the bytes, or null, length and hash. */
const VALUE: RecordField<K2vValue> = {
  write: (members, value) => {
    if (value.kind === "inline") members.push(value.bytes)
    else if (value.kind === "row") members.push(null, value.lengthBytes, value.sha256)
  },
  read: reader => {
    if (!reader.skipsAbsent()) return { kind: "inline", bytes: reader.bytes() }
    if (reader.skipsAbsent()) return { kind: "tombstone" }
    return { kind: "row", lengthBytes: reader.number(), sha256: SHA256.read(reader) }
  },
}
const SHA256 = bytesOfLength(SHA256_BYTES)

const DOTS = rowsOf({ time: NUMBER, value: VALUE })
export type K2vDot = ValueOf<typeof DOTS>[number]

/** The states that nodes have written of an item; nodes ascending. */
const NODE_STATES = rowsOf({
  node: mapped(bytesOfLength(NODE_BYTES), hexOf, (hex): Uint8Array => must(bytesOfHex(hex), "nodes are hex")),
  /** Values of the node up to this time are obsolete. */
  discard: NUMBER,
  /** By ascending time. */
  values: DOTS,
})
export type K2vItem = ValueOf<typeof NODE_STATES>
export type K2vNodeState = K2vItem[number]

const ITEM = recordOf("k2v item", NODE_STATES, {
  check: nodes => {
    if (nodes.length === 0) throw fail("corruptRecord", { what: "k2v item", field: "nodes" })
  },
})
export const { encode: encodeK2vItem, decode: decodeK2vItem } = ITEM

export const { encode: encodeK2vValue, decode: decodeK2vValue } = recordOf("k2v value", BYTES)

/** The contents of a partition. */
const PARTITION = record("k2v partition", {
  /** Items with at least one value that is no tombstone. */
  entries: NUMBER,
  /** Items with several concurrent values, tombstones included. */
  conflicts: NUMBER,
  values: NUMBER,
  bytes: NUMBER,
  /** The time of its last change, which no other change of it has. */
  changedAt: NUMBER,
  /** The latest change of an item that was removed with its tombstones; 0: none was. */
  collectedTo: APPENDED_NUMBER,
})
export type K2vPartition = ValueOf<typeof PARTITION>
export const { encode: encodeK2vPartition, decode: decodeK2vPartition } = PARTITION

/** Rows have only keys that were checked before they were stored. */
const parseStoredItemKey = (text: string): ItemKey => text as ItemKey
export const ITEM_KEY = parsed(BYTE_STRING, parseStoredItemKey)

/** The item that a change was of. */
export const { encode: encodeK2vChange, decode: decodeK2vChange } = recordOf("k2v change", ITEM_KEY)

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
