/** The study of gossip against heartbeats in a database: `docs/design/studies/gossip.md`. */
import { bytesText, figure, percent, seconds, type Study, type StudyTable } from "../report.js"
import { heartbeatCosts } from "./costs.js"
import {
  heartbeatDetection,
  heartbeatsUnder,
  meanNoticed,
  swimCosts,
  swimDetection,
  swimUnder,
  type Fault,
  type HeartbeatConclusions,
} from "./experiments.js"

const MINUTE_MS = 60_000
/** Runs of a detection with seeds of their own; a single one with many nodes, whose averages are the same. */
const RUNS = 3
const FEW_NODES = 100
/** Nodes of the experiments in which every node calls every other one. */
const ALL_PAIRS_NODES = 20
const LOSSES = [0, 0.01, 0.05, 0.2]
const LOSS_MS = 5 * MINUTE_MS
/** The node that is paused or cut off. */
const ODD = 3

const sizes = (nodes: number): readonly number[] => [...new Set([10, 100, nodes])].filter(each => each <= nodes)
const seedsOf = (seed: number, nodes: number): readonly number[] =>
  Array.from({ length: nodes > FEW_NODES ? 1 : RUNS }, (_, run) => RUNS * seed + run)
const time = (ms: number): string =>
  ms === Infinity ? "never" : ms >= MINUTE_MS ? `${figure(ms / MINUTE_MS, 1)} min` : seconds(ms)

function detectionTable(nodes: number, seed: number): StudyTable {
  const row = (count: number): string[] => {
    const swim = seedsOf(seed, count).map(each => swimDetection(count, each))
    const [suspected, dead] = [meanNoticed(swim.map(each => each.suspected)), meanNoticed(swim.map(each => each.dead))]
    const { unwritten, shown, endedMs, offlineMs } = heartbeatDetection(count, seed)
    const times = [suspected.firstMs, dead.firstMs, dead.allMs]
    return [figure(count), ...[...times, unwritten.firstMs, unwritten.allMs, shown.allMs, endedMs, offlineMs].map(time)]
  }
  const head = ["nodes", "SWIM: first suspects", "first knows", "all know", "Hayloft: first writes around it", "all do"]
  return {
    head: [...head, "`status` shows it on every node", "its process is ended", "its devices go offline"],
    rows: sizes(nodes).map(row),
  }
}

function lossTable(seed: number): StudyTable {
  const row = (loss: number): string[] => {
    const fault = { loss, durationMs: LOSS_MS }
    const swim = swimUnder(ALL_PAIRS_NODES, seed, fault)
    const hayloft = heartbeatsUnder(ALL_PAIRS_NODES, seed, fault)
    return [
      percent(loss, 0),
      figure(swim.suspicions),
      figure(swim.dead),
      figure(swim.deadAtEnd),
      figure(hayloft.interruptions),
      percent(hayloft.unwrittenShare, 3),
      seconds(hayloft.silentMsMost),
      ...[hayloft.silent, hayloft.cutOff, hayloft.ended, hayloft.offline].map(each => figure(each)),
    ]
  }
  const head = ["packets lost", "SWIM: suspicions", "nodes declared dead", "pairs that end so"]
  const ofHayloft = ["Hayloft: interruptions of pairs", "of the time", "longest silence", "nodes shown as silent"]
  return { head: [...head, ...ofHayloft, "cut off", "ended", "offline"], rows: LOSSES.map(row) }
}

/** Faults in which every node runs, or runs again. */
const FAULTS: readonly (readonly [name: string, fault: Fault, settleMs: number])[] = [
  ["a process is paused for 5 s", { durationMs: 30_000, begin: hosts => hosts.pause(ODD, 5_000) }, 2 * MINUTE_MS],
  ["a process is paused for 60 s", { durationMs: 2 * MINUTE_MS, begin: hosts => hosts.pause(ODD, 60_000) }, MINUTE_MS],
  [
    "a process is paused for 10 min",
    { durationMs: 11 * MINUTE_MS, begin: hosts => hosts.pause(ODD, 10 * MINUTE_MS) },
    MINUTE_MS,
  ],
  [
    "packets from B to A are lost, for 17 min",
    { durationMs: 17 * MINUTE_MS, begin: hosts => hosts.cut((from, to) => from === ODD && to === 4) },
    MINUTE_MS,
  ],
  [
    "a node receives and cannot send to the others, for 17 min",
    { durationMs: 17 * MINUTE_MS, begin: hosts => hosts.cut(from => from === ODD) },
    MINUTE_MS,
  ],
  [
    "half of the nodes cannot reach the other half, for 17 min",
    { durationMs: 17 * MINUTE_MS, begin: hosts => hosts.cut((from, to) => from % 2 !== to % 2) },
    MINUTE_MS,
  ],
  ["the database is away for 17 min", { durationMs: 17 * MINUTE_MS + 2_500, databaseAway: true }, MINUTE_MS],
]

const decided = ({ silent, cutOff, ended, offline, heldBack }: HeartbeatConclusions): string[] =>
  [silent, cutOff, ended, offline, heldBack].map(each => figure(each))

function faultsTable(seed: number): StudyTable {
  const rows = FAULTS.map(([name, fault, settleMs]) => {
    const swim = swimUnder(ALL_PAIRS_NODES, seed, fault, settleMs)
    const hayloft = heartbeatsUnder(ALL_PAIRS_NODES, seed, fault, settleMs)
    return [
      name,
      figure(swim.dead),
      figure(swim.observersMost),
      figure(swim.deadAtEnd),
      figure(hayloft.unwrittenPairs),
      figure(hayloft.unwrittenAtEnd),
      ...decided(hayloft),
    ]
  })
  const head = [
    "fault",
    "SWIM: nodes declared dead",
    "by so many others",
    "pairs that stay so",
    "Hayloft: pairs not written",
  ]
  const ofHayloft = [
    "after it",
    "shown as silent",
    "cut off",
    "process ended",
    "devices offline",
    "left to the operator",
  ]
  return { head: [...head, ...ofHayloft], rows }
}

function costsTable(nodes: number, seed: number): StudyTable {
  const row = (count: number): string[] => {
    const swim = swimCosts(count, seed)
    const { messages, bytes, queries, rows, databaseBytes } = heartbeatCosts(count)
    return [
      figure(count),
      figure(swim.messages, 1),
      bytesText(swim.bytes),
      figure(messages, 1),
      bytesText(bytes),
      figure(queries, 1),
      figure(rows),
      bytesText(databaseBytes),
    ]
  }
  const head = ["nodes", "SWIM: messages of a node a second", "bytes", "Hayloft: messages of a node a second", "bytes"]
  return {
    head: [...head, "queries of the database a second", "rows of nodes that it returns", "bytes that it returns"],
    rows: sizes(nodes).map(row),
  }
}

export const gossipStudy: Study = {
  nodes: 1_000,
  run: ({ nodes, seed }) => ({
    gossipDetection: detectionTable(nodes, seed),
    gossipLoss: lossTable(seed),
    gossipFaults: faultsTable(seed),
    gossipCosts: costsTable(nodes, seed),
  }),
}
