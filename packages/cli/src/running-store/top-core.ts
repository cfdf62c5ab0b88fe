/** The screen of `hayloft top`: what the store serves and does now, in any size of terminal. Pure. */
import type { z } from "zod"
import type { Status, TRAFFIC } from "@hayloft/admin/index.js"
import type { Paint } from "../terminal-text.js"
import { durationText, latencyText, printable, rowsText, sizeText } from "../text.js"

type Traffic = z.output<typeof TRAFFIC>
type Named = Traffic["buckets"][number]

/** The contents of the screen. */
export interface TopSnapshot {
  readonly traffic: Traffic
  readonly status: Status
  /** The memory of the process; undefined if its metrics do not state it. */
  readonly memoryBytes: number | undefined
  readonly loopDelayMs: number | undefined
}

export const SORTS = { r: "requests", e: "errors", l: "latency", b: "bytes" } as const
export type Sort = (typeof SORTS)[keyof typeof SORTS]

const errorsOf = ({ clientErrors, serverErrors }: Traffic["total"]): number => clientErrors + serverErrors
const bytesOf = ({ receivedBytes, sentBytes }: Traffic["total"]): number => receivedBytes + sentBytes

const VALUE: Readonly<Record<Sort, (row: Named) => number>> = {
  requests: ({ requests }) => requests,
  errors: errorsOf,
  latency: ({ p99Ms = 0 }) => p99Ms,
  bytes: bytesOf,
}

const NAME_CELLS = 30
const DEVICES_SHOWN = 6
const JOBS_SHOWN = 4
const NODES_SHOWN = 6

const short = (text: string): string => {
  const shown = printable(text)
  return shown.length <= NAME_CELLS ? shown : `${shown.slice(0, NAME_CELLS - 1)}…`
}

const rate = (count: number, seconds: number): string => (count / seconds).toFixed(1)

const cellsOf = (row: Traffic["total"], seconds: number): readonly string[] => [
  rate(row.requests, seconds),
  String(errorsOf(row)),
  row.p50Ms === undefined ? "-" : latencyText(row.p50Ms),
  row.p99Ms === undefined ? "-" : latencyText(row.p99Ms),
  `${sizeText(Math.round(bytesOf(row) / seconds))}/s`,
]

const FIGURES = ["REQ/S", "ERRORS", "P50", "P99", "BYTES"] as const

function table(head: string, rows: readonly Named[], { seconds }: Traffic, sort: Sort, max: number): readonly string[] {
  const value = VALUE[sort]
  const shown = [...rows].sort((a, b) => value(b) - value(a)).slice(0, Math.max(0, max))
  const cells = shown.map(row => [short(row.name), ...cellsOf(row, seconds)])
  return rowsText([[head, ...FIGURES], ...cells], [NAME_CELLS])
    .trimEnd()
    .split("\n")
}

function totalLines({ traffic, status, memoryBytes, loopDelayMs }: TopSnapshot): readonly string[] {
  const { total, seconds, nodes, unshown = [] } = traffic
  const own = status.nodes === undefined ? "" : ` of node ${printable(status.nodes.own)}`
  const [requests, errors, p50, p99, bytes] = cellsOf(total, seconds)
  return [
    `${nodes?.length === 1 && nodes[0] ? `node ${printable(nodes[0].name)}` : "hayloft"}, up ${durationText(status.uptimeSeconds)}: ${status.safety.sentence}`,
    `${requests} requests/s, ${errors} errors, p50 ${p50}, p99 ${p99}, ${bytes}, over ${Math.round(seconds)} s`,
    [
      `memory${own} ${memoryBytes === undefined ? "unknown" : sizeText(memoryBytes)}`,
      `event loop ${loopDelayMs === undefined ? "unknown" : `late by ${latencyText(loopDelayMs)} (p99)`}`,
    ].join(", "),
    ...unshown.map(({ node, reason }) => `node ${printable(node)} is not shown: ${printable(reason)}`),
  ]
}

/** None on one machine. */
const nodeLines = ({ traffic }: TopSnapshot, sort: Sort, max: number): readonly string[] =>
  traffic.nodes === undefined ? [] : table("NODE", traffic.nodes, traffic, sort, max)

/** The devices with the longest queues, those that are not well first. */
function deviceLines({ status }: TopSnapshot): readonly string[] {
  const queued = (device: Status["devices"][number]): number => device.queues.reduce((sum, { depth }) => sum + depth, 0)
  const trouble = ({ state }: Status["devices"][number]): number => (state === "active" ? 0 : 1)
  const devices = [...status.devices].sort((a, b) => trouble(b) - trouble(a) || queued(b) - queued(a))
  const rows = devices
    .slice(0, DEVICES_SHOWN)
    .map(device => [short(device.path), device.state, String(queued(device)), sizeText(device.freeBytes)])
  return rowsText([["DEVICE", "STATE", "QUEUED", "FREE"], ...rows], [NAME_CELLS])
    .trimEnd()
    .split("\n")
}

/** Jobs that run or fail. */
function jobLines({ status }: TopSnapshot): readonly string[] {
  return status.jobs
    .filter(({ state, lastError }) => state === "busy" || lastError !== undefined)
    .slice(0, JOBS_SHOWN)
    .map(
      ({ name, state, lastError }) =>
        `job ${printable(name)}: ${lastError === undefined ? state : printable(lastError)}`,
    )
}

interface Screen {
  readonly columns: number
  readonly rows: number
}

/** Returns the lines that fit on the screen, each cut to its width. */
export function topLines(
  snapshot: TopSnapshot,
  sort: Sort,
  { columns, rows }: Screen,
  paint: Paint,
): readonly string[] {
  const { traffic } = snapshot
  const devices = deviceLines(snapshot)
  const jobs = jobLines(snapshot)
  const nodes = nodeLines(snapshot, sort, NODES_SHOWN)
  const head = totalLines(snapshot)
  const left = rows - head.length - nodes.length - devices.length - jobs.length - 6
  const each = Math.max(1, Math.floor(left / 2))
  const lines = [
    ...head,
    "",
    ...table("BUCKET", traffic.buckets, traffic, sort, each),
    "",
    ...table("ACCOUNT", traffic.accounts, traffic, sort, each),
    "",
    ...nodes,
    ...devices,
    ...jobs,
  ]
  const keys = `sorted by ${sort}; r requests, e errors, l latency, b bytes, q quit`
  const isHead = (line: string): boolean => /^(BUCKET|ACCOUNT|NODE|DEVICE) /.test(line)
  return [
    ...lines.slice(0, Math.max(0, rows - 1)).map(line => [line, isHead(line)] as const),
    [keys, true] as const,
  ].map(([line, isMarked]) =>
    isMarked ? paint("inverse", line.slice(0, columns).padEnd(columns)) : line.slice(0, columns),
  )
}

/** One moment as plain lines, for scripts and logs. */
export function topText(snapshot: TopSnapshot, sort: Sort): string {
  const { traffic } = snapshot
  const lines = [
    ...totalLines(snapshot),
    ...table("BUCKET", traffic.buckets, traffic, sort, Infinity),
    ...table("ACCOUNT", traffic.accounts, traffic, sort, Infinity),
    ...nodeLines(snapshot, sort, Infinity),
    ...deviceLines(snapshot),
    ...jobLines(snapshot),
  ]
  return `${lines.join("\n")}\n`
}

/** The value of a metric in a scrape; undefined if it is not there. */
export function metricIn(text: string, series: string): number | undefined {
  const line = text.split("\n").find(each => each.startsWith(`${series} `))
  const value = Number(line?.slice(series.length + 1))
  return line === undefined || !Number.isFinite(value) ? undefined : value
}
