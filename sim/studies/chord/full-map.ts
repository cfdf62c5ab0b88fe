/**
 * Hayloft's full map beside a ring: sizes by the real encoders, how soon every node has a new layout, and the same
 * partitions located by both.
 */
import { PARTITIONS } from "@hayloft/base/limits.js"
import { parsePartitionId, type DeviceId } from "@hayloft/base/ids.js"
import { encodeControlRecord } from "@hayloft/engine/format/device/control-record.js"
import { encodeControlRow, encodeLayoutRow } from "@hayloft/engine/format/nodes/cluster-rows.js"
import { MEMBERSHIP_LIMITS } from "@hayloft/node/cluster/membership.js"
import { SHARED_RECORD_LIMITS } from "@hayloft/node/cluster/shared-record.js"
import {
  decodeLayout,
  encodeLayout,
  planLayout,
  planNext,
  slotsOf,
  slotsPerDevice,
  type Layout,
} from "@hayloft/engine/placement/index.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { between, highest, mean } from "../draws.js"
import { deviceIdOf, recordOf } from "../records.js"
import type { ChordId } from "./ids.js"
import type { Ring } from "./ring.js"

/** Slots of a partition: those of 4 data shards and 2 of parity. */
const WIDTH = 6
/** A query of the database, from a node and back. */
const QUERY_MS = 5
const HASH_BITS_BELOW = 16

/** The partition of a hash is its top 16 bits: where its range begins is its place on the circle. */
const placeOfPartition = (partition: number): ChordId => partition * 2 ** HASH_BITS_BELOW

/** The owners of all partitions by the ring, as the table that every node of Hayloft would have. */
export function tableOfRing(ring: Ring): Layout {
  const devices = ring.ids.map((_, place) => deviceIdOf(place))
  const width = Math.min(WIDTH, devices.length)
  const table = new Uint16Array(PARTITIONS * width)
  for (let partition = 0; partition < PARTITIONS; partition += 1) {
    const owner = ring.ownerOf(placeOfPartition(partition))
    for (let slot = 0; slot < width; slot += 1) table[partition * width + slot] = (owner + slot) % devices.length
  }
  return decodeLayout(encodeLayout({ version: 1, width, table, devices }), 1, devices)
}

/** By how many of so many partitions a lookup in the ring, from a random node, agrees with the table of all owners. */
export function agreement(ring: Ring, partitions: number, seed: number): { lookups: number; agreed: number } {
  const layout = tableOfRing(ring)
  const ids = [...ring.ids]
  const deviceOf = new Map(ids.map((id, place) => [id, deviceIdOf(place)] as const))
  const random = new SimRandom(seed).fork("partitions")
  let [lookups, agreed] = [0, 0]
  for (let looked = 0; looked < partitions; looked += 1) {
    const partition = random.below(PARTITIONS)
    const [owner] = slotsOf(layout, parsePartitionId(partition))
    ring.lookup(ids[random.below(ids.length)] ?? 0, placeOfPartition(partition), end => {
      lookups += 1
      if (end.owner !== undefined && deviceOf.get(end.owner) === owner) agreed += 1
    })
  }
  ring.events.runUntil(ring.events.nowMs + 60_000)
  return { lookups, agreed }
}

export interface MapSizes {
  /** The row of the control record, which every node reads at intervals. */
  readonly recordBytes: number
  /** The row of a layout's table, which every node reads once. */
  readonly tableBytes: number
  readonly readsPerMinute: number
}

export function mapSizes(ring: Ring): MapSizes {
  const record = encodeControlRecord(recordOf(ring.ids.length))
  return {
    recordBytes: encodeControlRow({ generation: 1, record }).length,
    tableBytes: encodeLayoutRow(encodeLayout(tableOfRing(ring))).length,
    readsPerMinute: 60_000 / SHARED_RECORD_LIMITS.readEveryMs,
  }
}

export interface Spread {
  readonly meanMs: number
  readonly mostMs: number
  /** Until the node that repairs has seen that every node writes by the new layout. */
  readonly drainedMs: number
}

/** Nodes read the record at intervals, each at its own moment; then they tell, in their rows, that they write by it. */
export function spreadOfChange(nodes: number, seed: number): Spread {
  const random = new SimRandom(seed).fork("spread")
  const { readEveryMs: rowsEveryMs } = MEMBERSHIP_LIMITS
  // The record, then the table.
  const learned = Array.from(
    { length: nodes },
    () => between(random, 0, SHARED_RECORD_LIMITS.readEveryMs) + 2 * QUERY_MS,
  )
  const told = learned.map(ms => ms + between(random, 0, rowsEveryMs) + QUERY_MS)
  const seen = highest(told) + between(random, 0, rowsEveryMs) + QUERY_MS
  return { meanMs: mean(learned), mostMs: highest(learned), drainedMs: seen }
}

export interface Balance {
  /** Slots of the device with the most, relative to the mean. */
  readonly most: number
  /** Slots of the device with the fewest. */
  readonly fewest: number
  /** The share of all slots that have another device once one device has left. */
  readonly moved: number
}

function balanceOf(layout: Layout, after: Layout): Balance {
  const held = slotsPerDevice(layout)
  const average = mean(held)
  let movedSlots = 0
  for (const [at, index] of layout.table.entries()) {
    if (layout.devices[index] !== after.devices[after.table[at] ?? 0]) movedSlots += 1
  }
  const most = highest(held) / average
  return { most, fewest: Math.min(...held) / average, moved: movedSlots / layout.table.length }
}

const equal = (ids: readonly DeviceId[]) => ids.map(id => ({ id, weight: 1 }))

export function balanceOfPlan(devices: number): Balance {
  const ids = Array.from({ length: devices }, (_, number) => deviceIdOf(number))
  const layout = planLayout(equal(ids), WIDTH)
  return balanceOf(layout, planNext(layout, equal(ids.slice(1)), WIDTH, 2))
}

/** The first node leaves; the places of the others among the ids, and so their devices, stay. */
export function balanceOfRing(ring: Ring): Balance {
  const layout = tableOfRing(ring)
  const { width, devices } = layout
  const [left] = devices
  const table = layout.table.slice()
  for (let at = 0; at < table.length; at += width) {
    const own = table.subarray(at, at + width)
    const gone = own.findIndex(index => devices[index] === left)
    if (gone < 0) continue
    const next = ((own[width - 1] ?? 0) + 1) % devices.length
    own.set([...own.subarray(gone + 1), next], gone)
  }
  return balanceOf(layout, { ...layout, version: 2, table })
}
