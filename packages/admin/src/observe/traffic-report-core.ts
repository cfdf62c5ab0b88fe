/**
 * Traffic as it is shown: what the nodes of a store have counted, together. Pure.
 *
 * Promises  Quantiles are those of all requests together, as exact as those of one node. Steps of the history are matched
 *           by their distance from now: clocks of nodes may differ.
 */
import type { NamedCounts, NodeTraffic, TrafficWindow } from "@hayloft/engine/format/nodes/live-report.js"
import { figuresOf, sumOfTraffic, type TrafficFigures } from "./traffic-core.js"

type NamedFigures = TrafficFigures & { readonly name: string }

/** A node whose figures are missing, and why. */
export interface UnshownNode {
  readonly node: string
  readonly reason: string
}

export interface TrafficReport {
  readonly atMs: number
  readonly window: TrafficWindow
  /** How much time the figures cover. */
  readonly seconds: number
  readonly total: TrafficFigures
  /** Those with requests, the busiest first. */
  readonly buckets: readonly NamedFigures[]
  readonly accounts: readonly NamedFigures[]
  readonly operations: readonly NamedFigures[]
  /** Errors that were answered, by their code. */
  readonly codes: readonly NamedFigures[]
  /** In the order of their names; absent, like the next, on one machine. */
  readonly nodes?: readonly NamedFigures[]
  readonly unshown?: readonly UnshownNode[]
  /** All requests of each step, the oldest first: a minute of the last hour, 15 minutes of the last day, 2 hours of the last week. */
  readonly history: readonly (TrafficFigures & { readonly sinceMs: number })[]
}

/** The traffic of a node; its name is undefined on one machine. */
export interface TrafficPart {
  readonly node: string | undefined
  readonly traffic: NodeTraffic
}

function byName(all: readonly NamedCounts[]): readonly NamedFigures[] {
  const ofName = new Map<string, NamedCounts[]>()
  for (const counts of all) ofName.set(counts.name, [...(ofName.get(counts.name) ?? []), counts])
  return [...ofName]
    .map(([name, counts]) => ({ name, ...figuresOf(sumOfTraffic(counts)) }))
    .sort((a, b) => b.requests - a.requests)
}

export function trafficReport(
  atMs: number,
  window: TrafficWindow,
  parts: readonly TrafficPart[],
  unshown: readonly UnshownNode[],
): TrafficReport {
  const all = parts.map(({ traffic }) => traffic)
  const steps = Math.max(0, ...all.map(({ history }) => history.length))
  const nodes = parts.flatMap(({ node, traffic }) =>
    node === undefined ? [] : [{ name: node, ...figuresOf(traffic.total) }],
  )
  const isOfNodes = nodes.length + unshown.length > 0
  return {
    atMs,
    window,
    seconds: Math.max(1, ...all.map(({ seconds }) => seconds)),
    total: figuresOf(sumOfTraffic(all.map(({ total }) => total))),
    buckets: byName(all.flatMap(({ buckets }) => buckets)),
    accounts: byName(all.flatMap(({ accounts }) => accounts)),
    operations: byName(all.flatMap(({ operations = [] }) => operations)),
    codes: byName(all.flatMap(({ codes = [] }) => codes)),
    ...(isOfNodes && { nodes: nodes.sort((a, b) => (a.name < b.name ? -1 : 1)), unshown }),
    history: Array.from({ length: steps }, (_, i) => {
      const step = all.flatMap(({ history }) => history.at(i - steps) ?? [])
      return { sinceMs: step[0]?.sinceMs ?? atMs, ...figuresOf(sumOfTraffic(step)) }
    }),
  }
}
