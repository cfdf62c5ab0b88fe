/**
 * Silence of nodes, as one process observes it: how long a node has not written a heartbeat, and how long most of the
 * others have not reached it. Pure: time comes in as time in which the database answered (`answered-time-core.ts`), never
 * as a timestamp.
 *
 * Promises  A node is silent only as long as its row had the same incarnation and heartbeat in every reading. It is cut
 *           off only as long as, in every reading, more than half of the other nodes that write heartbeats could not
 *           reach it. A process that begins to observe, or observes again after a pause, begins with neither.
 */
import type { Incarnation, NodeName } from "@hayloft/base/ids.js"
import { markOffline, placeWithout, silentNodes } from "@hayloft/engine/cluster/index.js"
import type { ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import type { NodeRow } from "@hayloft/engine/coordination/index.js"
import type { LiveIncarnations } from "@hayloft/engine/metadata/index.js"

interface Seen {
  readonly incarnation: Incarnation
  /** The beat is undefined if the process has no row yet. */
  readonly beat: number | undefined
  readonly sinceMs: number
}

type SeenNode = Pick<NodeRow, "name" | "incarnation" | "beat" | "unreachable">

/** A node's report counts while its last heartbeat is at most this old. */
const REPORTS_COUNT_MS = 30_000

/**
 * The nodes that more than half of the others cannot reach: their shards can be neither read nor written, although they
 * write heartbeats. Of two sides of a cut network these are the nodes of the smaller one, or all if none is smaller.
 */
export function cutOffNodes(rows: readonly Pick<NodeRow, "name" | "unreachable">[]): ReadonlySet<NodeName> {
  const reports = new Map<NodeName, number>()
  for (const { name, unreachable } of rows) {
    for (const other of new Set(unreachable)) if (other !== name) reports.set(other, 1 + (reports.get(other) ?? 0))
  }
  const others = rows.length - 1
  return new Set(rows.flatMap(({ name }) => (2 * (reports.get(name) ?? 0) > others ? [name] : [])))
}

export class Silences {
  /** By node. */
  private nodes = new Map<NodeName, Seen>()
  /** By live incarnation. */
  private processes = new Map<Incarnation, Seen>()
  /** The highest live incarnation of each node, which may not have announced itself yet. */
  private newest = new Map<string, Incarnation>()
  /** Since when each node has been cut off. */
  private cutOff = new Map<NodeName, number>()
  private nowMs = 0

  /** Rows of nodes and live incarnations as they were at `answeredMs`. */
  observe(rows: readonly SeenNode[], live: LiveIncarnations, answeredMs: number): void {
    this.nowMs = answeredMs
    const byIncarnation = new Map(rows.map(row => [row.incarnation, row]))
    this.nodes = new Map(
      rows.map(({ name, incarnation, beat }) => [name, this.seen(this.nodes.get(name), incarnation, beat)]),
    )
    this.newest = new Map()
    for (const { node, incarnation } of live.nodes) {
      if (incarnation > (this.newest.get(node) ?? 0)) this.newest.set(node, incarnation)
    }
    this.processes = new Map(
      live.nodes.map(({ incarnation }) => {
        const beat = byIncarnation.get(incarnation)?.beat
        return [incarnation, this.seen(this.processes.get(incarnation), incarnation, beat)]
      }),
    )
    const isBeating = ({ name, incarnation }: SeenNode): boolean =>
      this.processes.has(incarnation) && answeredMs - (this.nodes.get(name)?.sinceMs ?? 0) < REPORTS_COUNT_MS
    const now = cutOffNodes(rows.filter(isBeating))
    this.cutOff = new Map(Array.from(now, name => [name, this.cutOff.get(name) ?? answeredMs]))
  }

  isCutOff(name: NodeName): boolean {
    return this.cutOff.has(name)
  }

  private seen(before: Seen | undefined, incarnation: Incarnation, beat: number | undefined): Seen {
    const isSame = before?.incarnation === incarnation && before.beat === beat
    return isSame ? before : { incarnation, beat, sinceMs: this.nowMs }
  }

  /** How long each node of the store has been silent. */
  ofNodes(): ReadonlyMap<NodeName, number> {
    return new Map([...this.nodes].map(([name, seen]) => [name, this.nowMs - this.sinceMs(name, seen)]))
  }

  /** How long each node of the store has been silent, or cut off. */
  ofNodesOutOfReach(): ReadonlyMap<NodeName, number> {
    return new Map(
      [...this.ofNodes()].map(([name, silentMs]) => {
        return [name, Math.max(silentMs, this.nowMs - (this.cutOff.get(name) ?? this.nowMs))]
      }),
    )
  }

  /** A node that has started again is not silent although its row is that of its earlier process. */
  private sinceMs(name: NodeName, { incarnation, sinceMs }: Seen): number {
    const newest = this.newest.get(name)
    const begun = newest === undefined || newest <= incarnation ? undefined : this.processes.get(newest)
    return begun?.sinceMs ?? sinceMs
  }

  /** Live incarnations other than this one that have been silent for so long; those that are still starting, longer. */
  processesSilentFor(silentMs: number, startingMs: number, own: Incarnation): readonly Incarnation[] {
    return [...this.processes]
      .filter(([, { beat, sinceMs }]) => this.nowMs - sinceMs >= (beat === undefined ? startingMs : silentMs))
      .map(([incarnation]) => incarnation)
      .filter(incarnation => incarnation !== own)
  }
}

/**
 * The record after nodes were silent or cut off for so long: their devices are offline, unless an operator has to decide
 * about them, and their places go to others. `nowMs` of the wall clock is only shown.
 */
export function withoutSilentDevices(
  record: ControlRecord,
  silentMs: ReadonlyMap<NodeName, number>,
  nowMs: number,
): ControlRecord {
  const { offline } = silentNodes(record, silentMs)
  return offline.length === 0 ? record : placeWithout(markOffline(record, offline, nowMs), offline)
}
