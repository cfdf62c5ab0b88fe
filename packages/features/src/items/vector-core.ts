/**
 * Dotted version vector sets: the concurrent values of an item, and what a client has seen of them. Pure.
 *
 * A store decides the writes of an item one after another, so all of them are of one node; the rules are those for any
 * number of nodes, which an item has that another store once wrote.
 *
 * Promises  A write replaces exactly what its token names: a value that its client has not seen stays. Nothing in a token
 *           makes an item larger, or makes a later write obsolete: nodes that have not written the item, and times that it
 *           has not had, mean nothing. Equal concurrent values of a node are kept once.
 * Source    "Scalable and Accurate Causality Tracking for Eventually Consistent Data Stores" (Almeida and others).
 */
import { equalBytes } from "@hayloft/base/bytes.js"
import type { K2vDot, K2vItem, K2vNodeState, K2vValue } from "@hayloft/engine/format/k2v/k2v-rows.js"
import type { CausalContext, VectorNode } from "@hayloft/engine/format/k2v/k2v-token.js"

const latestOf = ({ discard, values }: K2vNodeState): number => values.at(-1)?.time ?? discard

/** Everything that a reader of the item sees. */
export const contextOfVector = (item: K2vItem): CausalContext =>
  new Map(item.map(state => [state.node, latestOf(state)]))

/** The time of the latest write. */
export const changedAtOf = (item: K2vItem): number => Math.max(0, ...item.map(latestOf))

/** Returns true if the item has something that a client with this token has not seen. */
export const isNewer = (item: K2vItem, seen: CausalContext): boolean =>
  item.some(state => latestOf(state) > (seen.get(state.node) ?? 0))

/** All values, of all nodes. */
export const valuesOf = (item: K2vItem): readonly K2vValue[] =>
  item.flatMap(({ values }) => values.map(dot => dot.value))

/** Returns true if nothing but tombstones is left of it, and its last change is not later than this. */
export function isOver(item: K2vItem, atMs: number): boolean {
  const values = valuesOf(item)
  return values.length > 0 && values.every(({ kind }) => kind === "tombstone") && changedAtOf(item) <= atMs
}

function isEqual(a: K2vValue, b: K2vValue): boolean {
  if (a.kind === "inline" && b.kind === "inline") return equalBytes(a.bytes, b.bytes)
  if (a.kind === "row" && b.kind === "row") return equalBytes(a.sha256, b.sha256)
  return a.kind === "tombstone" && b.kind === "tombstone"
}

interface Write {
  readonly node: VectorNode
  /** Later than all times of the node in the item. */
  readonly time: number
  readonly value: K2vValue
  readonly seen: CausalContext
}

interface Written {
  readonly item: K2vItem
  /** Values that the item does not have any more. */
  readonly obsolete: readonly (K2vDot & { readonly node: VectorNode })[]
}

export function writeValue(before: K2vItem, { node, time, value, seen }: Write): Written {
  const obsolete: (K2vDot & { readonly node: VectorNode })[] = []
  const known = before.some(state => state.node === node) ? before : [...before, { node, discard: 0, values: [] }]
  const item = known.map((state): K2vNodeState => {
    const isOwn = state.node === node
    const discard = Math.max(state.discard, Math.min(seen.get(state.node) ?? 0, latestOf(state)))
    const isKept = (dot: K2vDot): boolean => dot.time > discard && !(isOwn && isEqual(dot.value, value))
    obsolete.push(...state.values.filter(dot => !isKept(dot)).map(dot => ({ ...dot, node: state.node })))
    const kept = state.values.filter(isKept)
    return { node: state.node, discard, values: isOwn ? [...kept, { time, value }] : kept }
  })
  return { item: item.sort((a, b) => (a.node < b.node ? -1 : 1)), obsolete }
}

/**
 * Returns what two copies of an item have together. A value goes only because a token of either copy covers it, or
 * because a later equal one is there: nothing else removes one from a copy, so a value that only one of them has was
 * not seen by the other.
 */
export function mergeItems(one: K2vItem, other: K2vItem): K2vItem {
  const nodes = new Map(one.map(state => [state.node, state]))
  for (const state of other) {
    const known = nodes.get(state.node)
    nodes.set(state.node, known === undefined ? state : mergeStates(known, state))
  }
  return [...nodes.values()].sort((a, b) => (a.node < b.node ? -1 : 1))
}

function mergeStates(one: K2vNodeState, other: K2vNodeState): K2vNodeState {
  const discard = Math.max(one.discard, other.discard)
  const dots = new Map([...other.values, ...one.values].map(dot => [dot.time, dot]))
  const known = [...dots.values()].filter(({ time }) => time > discard).sort((a, b) => a.time - b.time)
  const values = known.filter(({ value }, at) => !known.slice(at + 1).some(later => isEqual(later.value, value)))
  return { node: one.node, discard, values }
}

/** Returns what an item adds to the counts of its partition. */
export function countsOf(item: K2vItem): {
  readonly entries: number
  readonly conflicts: number
  readonly values: number
  readonly bytes: number
} {
  const values = valuesOf(item)
  const present = values.filter(({ kind }) => kind !== "tombstone")
  return {
    entries: present.length > 0 ? 1 : 0,
    conflicts: values.length > 1 ? 1 : 0,
    values: present.length,
    bytes: present.reduce((sum, value) => sum + bytesOfValue(value), 0),
  }
}

function bytesOfValue(value: K2vValue): number {
  if (value.kind === "inline") return value.bytes.length
  return value.kind === "row" ? value.lengthBytes : 0
}
