/** The screen of `hayloft top`: it fits its terminal, sorts by the key that was pressed, and invents no figure. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { metricIn, topLines, topText, type TopSnapshot } from "./top-core.js"

const figures = (requests: number, more: Partial<TopSnapshot["traffic"]["total"]> = {}) => ({
  requests,
  clientErrors: 0,
  serverErrors: 0,
  receivedBytes: 0,
  sentBytes: 0,
  p50Ms: 1,
  p99Ms: 2,
  ...more,
})

const buckets = Array.from({ length: 40 }, (_, n) => ({
  name: `bucket-${n}-${"x".repeat(50)}`,
  ...figures(n, { sentBytes: 1000 * (40 - n), p99Ms: n === 7 ? 900 : 2, serverErrors: n === 9 ? 5 : 0 }),
}))

/** Returns what the screen shows of a status, and of traffic. */
const snapshotOf = (traffic: object = {}, status: object = {}) =>
  ({
    traffic: {
      atMs: 0,
      window: "minute",
      seconds: 60,
      total: figures(600),
      history: [],
      buckets,
      accounts: [{ name: "team\x1b[2J", ...figures(3) }],
      ...traffic,
    },
    status: {
      uptimeSeconds: 90,
      safety: { sentence: "ec:4+2 in 6 folders: any 2 may fail without loss" },
      devices: [
        { path: "/mnt/disk1", state: "offline", queues: [{ name: "calls", depth: 3, limit: 64 }], freeBytes: 7 },
      ],
      jobs: [{ name: "repair", state: "busy" }],
      ...status,
    },
    memoryBytes: undefined,
    loopDelayMs: 4,
  }) as unknown as TopSnapshot
const snapshot = snapshotOf()

const plain = (_: string, text: string): string => text

for (const [columns, rows] of [
  [80, 24],
  [40, 10],
  [200, 60],
] as const) {
  test(`in ${columns} columns and ${rows} rows every line fits`, () => {
    const lines = topLines(snapshot, "requests", { columns, rows }, plain)
    assert.ok(lines.length <= rows, `${lines.length} lines`)
    for (const line of lines) assert.ok(line.length <= columns, line)
  })
}

test("rows are sorted by requests, errors, latency or bytes", () => {
  const first = (sort: Parameters<typeof topLines>[1]) =>
    topLines(snapshot, sort, { columns: 80, rows: 30 }, plain).find(line => line.startsWith("bucket-"))
  assert.match(first("requests") ?? "", /^bucket-39-/)
  assert.match(first("errors") ?? "", /^bucket-9-/)
  assert.match(first("latency") ?? "", /^bucket-7-.* 900 ms/)
  assert.match(first("bytes") ?? "", /^bucket-0-/)
})

test("once, as lines: what is not known is unknown, and names cannot control the terminal", () => {
  const text = topText(snapshot, "requests")
  assert.match(text, /^10\.0 requests\/s, 0 errors, p50 1\.0 ms, p99 2\.0 ms/m)
  assert.match(text, /memory unknown, event loop late by 4\.0 ms/)
  assert.match(text, /\/mnt\/disk1 +offline +3 /)
  assert.match(text, /job repair: busy/)
  assert.ok(!text.includes("\x1b"))
})

test("the nodes of a store are shown, and those that do not answer are named", () => {
  const nodes = [
    { name: "n1", ...figures(400) },
    { name: "n2", ...figures(200) },
  ]
  const unshown = [{ node: "n3", reason: "it does not run\n" }]
  const status = { nodes: { own: "n1" } }
  const text = topText(snapshotOf({ nodes, unshown }, status), "requests")
  assert.match(text, /^hayloft, up/)
  assert.match(text, /^memory of node n1 unknown/m)
  assert.match(text, /^node n3 is not shown: it does not run\S*$/m)
  assert.match(text, /^NODE +REQ.*\nn1 +6\.7 .*\nn2 +3\.3 /m)
  const one = snapshotOf({ nodes: nodes.slice(0, 1), unshown: [] }, status)
  assert.match(topText(one, "requests"), /^node n1, up/)
})

test("a metric is found by its series", () => {
  const scrape = 'a{q="0.99"} 0.5\na_other 1\nb NaN\n'
  assert.deepEqual(
    ['a{q="0.99"}', "a_other", "b", "a"].map(series => metricIn(scrape, series)),
    [0.5, 1, undefined, undefined],
  )
})
