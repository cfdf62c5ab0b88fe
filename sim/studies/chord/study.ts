/** The study of Chord against the full map: `docs/design/studies/chord.md`. */
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { highest, mean, percentile, pick } from "../draws.js"
import { bytesText, figure, percent, seconds, type Study, type StudyTable } from "../report.js"
import {
  agreement,
  balanceOfPlan,
  balanceOfRing,
  mapSizes,
  spreadOfChange,
  type Balance,
  type MapSizes,
} from "./full-map.js"
import type { Carried } from "./network.js"
import { Ring, type ClientLookup, type Rightness } from "./ring.js"

const PERIODS = {
  /** Lookups without changes, a second … */
  lookupsPerSecond: 25,
  steadyMs: 2 * 60_000,
  /** … and while a tenth of the nodes fail and as many join. */
  churnMs: 60_000,
  /** A ring that is not right after so long is reported as such. */
  rightMsMax: 30 * 60_000,
  checkedEveryMs: 5_000,
} as const
const CHURN_SHARE = 0.1
const PARTITIONS_COMPARED = 1_000
const BALANCED_NODES = 100

const sizes = (nodes: number): readonly number[] => [...new Set([10, 100, nodes])].filter(each => each <= nodes)

interface Steady {
  readonly ring: Ring
  readonly map: MapSizes
  /** Hops of the same kind of lookups without lists of successors. */
  readonly hopsByFingers: number
  readonly lookups: readonly ClientLookup[]
  readonly lookup: Carried
  readonly maintenance: Carried
}

function steady(nodes: number, seed: number): Steady {
  const ring = new Ring(nodes, seed)
  const lookups = ring.lookups(PERIODS.lookupsPerSecond, PERIODS.steadyMs)
  const { lookup, maintenance } = ring.network.carried
  const random = new SimRandom(seed).fork("fingers")
  const byFingers = lookups.map(() => ring.hopsByFingers(pick(random, ring.ids) ?? 0, random.below(2 ** 32)))
  const carried = { lookup: { ...lookup }, maintenance: { ...maintenance } }
  return { ring, map: mapSizes(ring), hopsByFingers: mean(byFingers), lookups, ...carried }
}

function lookupsTable(runs: readonly Steady[]): StudyTable {
  const row = ({ ring, lookups, lookup, hopsByFingers }: Steady): string[] => {
    const hops = lookups.map(each => each.hops)
    const log = Math.log2(ring.ids.length)
    return [
      ...[ring.ids.length, lookups.length].map(each => figure(each)),
      figure(hopsByFingers, 2),
      figure(log / 2, 2),
      figure(mean(hops), 2),
      figure(highest(hops)),
      figure(Math.ceil(log)),
      figure(lookup.messages / lookups.length, 1),
      bytesText(lookup.bytes / lookups.length),
      "0",
    ]
  }
  const head = ["nodes", "lookups", "hops, fingers alone", "½ log₂ N", "with 20 successors", "most", "⌈log₂ N⌉"]
  return { head: [...head, "messages each", "bytes each", "hops by the map"], rows: runs.map(row) }
}

function stateTable(runs: readonly Steady[]): StudyTable {
  const row = ({ ring, map, maintenance }: Steady): string[] => {
    const nodes = ring.ids.map(id => ring.node(id))
    const minutes = PERIODS.steadyMs / 60_000
    const each = (total: number): number => total / minutes / nodes.length
    const { recordBytes, tableBytes, readsPerMinute } = map
    return [
      figure(nodes.length),
      figure(mean(nodes.map(node => node.known.size)), 1),
      bytesText(mean(nodes.map(node => node.stateBytes))),
      figure(each(maintenance.messages), 1),
      bytesText(each(maintenance.bytes)),
      bytesText(tableBytes),
      bytesText(recordBytes),
      figure(readsPerMinute),
      bytesText(readsPerMinute * recordBytes),
    ]
  }
  const head = ["nodes", "Chord: entries of a node", "bytes", "upkeep: messages a minute", "bytes a minute"]
  const ofMap = ["map: table", "control record", "queries of a node a minute", "bytes a minute"]
  return { head: [...head, ...ofMap], rows: runs.map(row) }
}

function lookupCells(lookups: readonly ClientLookup[]): readonly string[] {
  const right = lookups.filter(each => each.isRight === true).length
  const wrong = lookups.filter(each => each.isRight === false).length
  return [
    ...[lookups.length, right, wrong, lookups.length - right - wrong].map(each => figure(each)),
    figure(mean(lookups.map(each => each.hops)), 2),
    figure(mean(lookups.map(each => each.timeouts)), 2),
    seconds(
      percentile(
        lookups.map(each => each.ms),
        0.99,
      ),
      2,
    ),
  ]
}

const KINDS = ["successors", "predecessors", "lists", "fingers"] as const

/** When each kind of entry became right, in milliseconds after the last change. */
type RightSince = Map<(typeof KINDS)[number], number>

function churned({ ring }: Steady): { readonly phases: StudyTable; readonly right: StudyTable } {
  const { lookupsPerSecond, churnMs, checkedEveryMs, rightMsMax } = PERIODS
  const rows: string[][] = []
  const note = (phase: string, lookups: readonly ClientLookup[]): void => {
    const { successors, fingers } = ring.rightness
    rows.push([phase, ...lookupCells(lookups), percent(successors), percent(fingers)])
  }
  note("before", ring.lookups(lookupsPerSecond, churnMs))
  ring.churn(Math.round(CHURN_SHARE * ring.ids.length), churnMs)
  note("the minute of changes", ring.lookups(lookupsPerSecond, churnMs))
  const rightSince: RightSince = new Map()
  for (let afterMs = 0; afterMs < rightMsMax && rightSince.size < 4;) {
    const ofMinute: ClientLookup[] = []
    for (let passed = 0; passed < 60_000; passed += checkedEveryMs) {
      ofMinute.push(...ring.lookups(lookupsPerSecond, checkedEveryMs))
      afterMs += checkedEveryMs
      noteRight(rightSince, ring.rightness, afterMs)
    }
    note(`minute ${afterMs / 60_000} after`, ofMinute)
  }
  const head = ["", "lookups", "right", "wrong", "failed", "hops", "timeouts of a lookup", "99 % end within"]
  const shown = KINDS.map(kind => [NAMES[kind], seconds(rightSince.get(kind) ?? Infinity, 0)])
  return {
    phases: { head: [...head, "right successors", "right fingers"], rows },
    right: { head: ["every node has its right", "after the last change"], rows: shown },
  }
}

const NAMES = {
  successors: "successor",
  predecessors: "predecessor",
  lists: "list of 20 successors",
  fingers: "fingers",
} as const

function noteRight(since: RightSince, rightness: Rightness, afterMs: number): void {
  for (const kind of KINDS) {
    if (rightness[kind] < 1) since.delete(kind)
    else if (!since.has(kind)) since.set(kind, afterMs)
  }
}

function spreadTable(runs: readonly Steady[], seed: number): StudyTable {
  const row = ({ ring, map: { recordBytes, tableBytes } }: Steady): string[] => {
    const nodes = ring.ids.length
    const { meanMs, mostMs, drainedMs } = spreadOfChange(nodes, seed)
    return [
      figure(nodes),
      bytesText(tableBytes + recordBytes),
      bytesText(nodes * (tableBytes + recordBytes)),
      seconds(meanMs),
      seconds(mostMs),
      seconds(drainedMs),
    ]
  }
  const head = ["nodes", "bytes for each node", "bytes for all", "a node learns it after, mean", "the last node"]
  return { head: [...head, "shards begin to move"], rows: runs.map(row) }
}

function balanceTable(seed: number): StudyTable {
  const row = (name: string, { most, fewest, moved }: Balance): string[] => [
    name,
    figure(most, 2),
    figure(fewest, 2),
    percent(moved, 2),
  ]
  return {
    head: [`${BALANCED_NODES} nodes`, "most slots of a node, of the mean", "fewest", "slots that move if one leaves"],
    rows: [
      row("ring, one place a node", balanceOfRing(new Ring(BALANCED_NODES, seed))),
      row("Hayloft's layout", balanceOfPlan(BALANCED_NODES)),
    ],
  }
}

export const chordStudy: Study = {
  nodes: 1_000,
  run({ nodes, seed }) {
    const runs = sizes(nodes).map(each => steady(each, seed))
    const largest = runs.at(-1) ?? steady(nodes, seed)
    const compared = (when: string): string[] => {
      const { lookups, agreed } = agreement(largest.ring, PARTITIONS_COMPARED, seed)
      return [when, figure(largest.ring.ids.length), figure(lookups), figure(agreed)]
    }
    const [lookups, state, spread] = [lookupsTable(runs), stateTable(runs), spreadTable(runs, seed)]
    const before = compared("before the changes")
    const { phases, right } = churned(largest)
    const rows = [before, compared("after them, once the ring is right")]
    return {
      chordLookups: lookups,
      chordState: state,
      chordChurn: phases,
      chordRight: right,
      chordSpread: spread,
      chordCrossCheck: { head: ["", "nodes", "partitions looked up", "owner as in the table"], rows },
      chordBalance: balanceTable(seed),
    }
  },
}
