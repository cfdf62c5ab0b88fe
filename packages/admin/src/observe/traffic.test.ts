/** Tests of what is counted in which window, how exact quantiles are, and how many names are kept. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import type { TrafficWindow } from "@hayloft/engine/format/nodes/live-report.js"
import { Ring } from "./traffic-core.js"
import { trafficReport } from "./traffic-report-core.js"
import { Traffic, TRAFFIC_LIMITS } from "./traffic.js"

interface Given {
  readonly bucket?: string
  readonly account?: string
  readonly status?: number
  readonly ms?: number
  readonly received?: number
  readonly sent?: number
  readonly operation?: string
  readonly code?: string
}

function world() {
  const clock = new SimClock()
  const traffic = new Traffic(clock)
  const count = (given: Given): void => {
    const { bucket, account, status = 200, ms = 1, received = 0, sent = 0, operation, code } = given
    traffic.count({
      notes: { ...(operation !== undefined && { operation }), ...(code !== undefined && { failure: code }) },
      status,
      receivedBytes: received,
      sentBytes: sent,
      polledMs: 0,
      timing: { totalMs: ms },
      subject: { admittedTo: bucket, accountId: account },
    })
  }
  const report = (window: TrafficWindow) =>
    trafficReport(clock.wallMs(), window, [{ node: undefined, traffic: traffic.counts(window) }], [])
  return { clock, traffic, count, report }
}

const namesOf = (named: readonly { readonly name: string; readonly requests: number }[]) =>
  named.map(({ name, requests }) => [name, requests])

test("requests are counted by bucket and account, with errors by side and bytes by direction", () => {
  const { report, count } = world()
  count({ bucket: "a", account: "x", received: 10 })
  count({ bucket: "a", account: "x", status: 404 })
  count({ bucket: "b", account: "y", status: 503, sent: 5 })
  count({ account: "y", status: 0 })
  count({ bucket: "b" })
  count({ status: 403 })
  const { total, buckets, accounts } = report("minute")
  assert.deepEqual([total.requests, total.clientErrors, total.serverErrors], [6, 3, 1])
  assert.deepEqual([total.receivedBytes, total.sentBytes], [10, 5])
  assert.deepEqual(namesOf(buckets), [
    ["a", 2],
    ["b", 2],
  ])
  assert.deepEqual(namesOf(accounts), [
    ["x", 2],
    ["y", 2],
    ["(anonymous)", 1],
  ])
  assert.deepEqual([buckets[0]?.clientErrors, buckets[0]?.receivedBytes, buckets[1]?.serverErrors], [1, 10, 1])
})

test("requests are counted by operation, and those that failed by code", () => {
  const { report, count } = world()
  count({ bucket: "a", operation: "GetObject", sent: 7 })
  count({ bucket: "a", operation: "GetObject", status: 404, code: "NoSuchKey" })
  count({ bucket: "a", operation: "PutObject", received: 3 })
  count({ status: 403, code: "AccessDenied" })
  const { operations, codes } = report("hour")
  assert.deepEqual(namesOf(operations), [
    ["GetObject", 2],
    ["PutObject", 1],
  ])
  assert.deepEqual([operations[0]?.clientErrors, operations[0]?.sentBytes, operations[1]?.receivedBytes], [1, 7, 3])
  assert.deepEqual(namesOf(codes), [
    ["NoSuchKey", 1],
    ["AccessDenied", 1],
  ])
})

test("a request leaves the minute after a minute, the hour after an hour, and stays in its minute of the history", async () => {
  const { clock, report, count } = world()
  count({ bucket: "a", ms: 3 })
  assert.equal(report("minute").buckets.length, 1)
  await clock.advance(60_000)
  assert.equal(report("minute").buckets.length, 0)
  assert.equal(report("hour").buckets.length, 1)
  const { history } = report("hour")
  assert.equal(history.length, 60)
  assert.deepEqual(
    history.slice(-2).map(({ requests }) => requests),
    [1, 0],
  )
  assert.equal((history[59]?.sinceMs ?? 0) - (history[58]?.sinceMs ?? 0), 60_000)
  await clock.advance(3_600_000)
  const later = report("hour")
  assert.deepEqual([later.total.requests, later.buckets.length], [0, 0])
  assert.equal(later.total.p99Ms, undefined)
})

test("the day and the week keep what the hour forgets, with the steps of their histories", async () => {
  const { clock, report, count } = world()
  count({ bucket: "a", ms: 3, sent: 7 })
  await clock.advance(5 * 3_600_000)
  count({ bucket: "b" })
  assert.deepEqual(namesOf(report("hour").buckets), [["b", 1]])
  assert.equal(report("day").total.requests, 2)
  const { history, seconds } = report("day")
  assert.equal(seconds, 5 * 3_600)
  assert.deepEqual([history.length, history[0]?.requests, history.at(-1)?.requests], [96, 0, 1])
  assert.equal(
    history.reduce((sum, { sentBytes }) => sum + sentBytes, 0),
    7,
  )
  for (const { sinceMs } of history) assert.equal(sinceMs % 900_000, 0, "steps begin at quarters of hours")
  await clock.advance(48 * 3_600_000)
  assert.equal(report("day").total.requests, 0)
  const week = report("week")
  assert.deepEqual([week.total.requests, week.total.sentBytes, week.history.length], [2, 7, 84])
  assert.equal(
    week.history.reduce((sum, { requests }) => sum + requests, 0),
    2,
  )
  await clock.advance(8 * 86_400_000)
  assert.equal(report("week").total.requests, 0)
})

test("a window covers only the time since the start", async () => {
  const { clock, report } = world()
  await clock.advance(10_000)
  assert.equal(report("minute").seconds, 10)
  assert.equal(report("hour").seconds, 10)
  await clock.advance(600_000)
  const { seconds } = report("minute")
  assert.ok(seconds >= 55 && seconds <= 60, `${seconds}`)
})

test("quantiles are within a bin of the truth", () => {
  for (const [low, high] of [
    [0.5, 20],
    [5, 5],
    [100, 3_000],
  ] as const) {
    const { report, count } = world()
    const all = Array.from({ length: 999 }, (_, i) => low + ((high - low) * i) / 998)
    for (const ms of all) count({ ms })
    const { p50Ms = 0, p99Ms = 0 } = report("minute").total
    for (const [found, share] of [
      [p50Ms, 0.5],
      [p99Ms, 0.99],
    ] as const) {
      const truth = all[Math.floor(share * 998)] ?? 0
      assert.ok(found / truth < 1.5 && truth / found < 1.5, `${low}..${high}: ${found} is far from ${truth}`)
    }
  }
})

test("durations of any length are counted", () => {
  const { report, count } = world()
  for (const ms of [0, 1e-9, 1e9]) count({ ms })
  assert.equal(report("minute").total.requests, 3)
  assert.ok((report("minute").total.p99Ms ?? 0) > 60_000)
})

test("names beyond the limit are counted together, until idle ones make room", async () => {
  const { clock, report, count } = world()
  for (let n = 0; n < TRAFFIC_LIMITS.namesMax + 20; n += 1) count({ bucket: `bucket-${n}` })
  const { buckets } = report("minute")
  assert.equal(buckets.length, TRAFFIC_LIMITS.namesMax + 1)
  assert.deepEqual(namesOf(buckets)[0], ["(other)", 20])
  await clock.advance(3_600_001)
  count({ bucket: "a-new-one" })
  assert.deepEqual(namesOf(report("minute").buckets), [["a-new-one", 1]])
  assert.deepEqual(namesOf(report("day").buckets), [
    ["(other)", TRAFFIC_LIMITS.namesMax + 20],
    ["a-new-one", 1],
  ])
})

test("a ring forgets what it held a round ago, also after a long pause", () => {
  const ring = new Ring({ slots: 3, slotMs: 10 })
  ring.add(5, 200, 0, 1, 1)
  ring.add(29, 200, 0, 1, 1)
  assert.equal(ring.sum(29).requests, 2)
  assert.equal(ring.sum(30).requests, 1)
  ring.add(1_000_005, 200, 0, 1, 1)
  assert.deepEqual([ring.sum(1_000_005).requests, ring.sum(1_000_005).sentBytes], [1, 1])
})

test("traffic of several nodes is added up, with quantiles of all requests together", () => {
  const [one, two] = [world(), world()]
  for (let n = 0; n < 90; n += 1) one.count({ bucket: "a", account: "x", ms: 1, sent: 1 })
  for (let n = 0; n < 10; n += 1) two.count({ bucket: "a", account: "y", ms: 1_000, status: 503, received: 2 })
  two.count({ bucket: "b", account: "y", ms: 1_000 })
  const parts = [
    { node: "n2", traffic: two.traffic.counts("minute") },
    { node: "n1", traffic: one.traffic.counts("minute") },
  ]
  const unshown = [{ node: "n3", reason: "it does not run" }]
  const { total, buckets, accounts, nodes, history, ...rest } = trafficReport(5, "minute", parts, unshown)
  assert.deepEqual([total.requests, total.serverErrors, total.sentBytes, total.receivedBytes], [101, 10, 90, 20])
  assert.ok((total.p50Ms ?? 0) < 2 && (total.p99Ms ?? 0) > 500, JSON.stringify(total))
  assert.deepEqual(namesOf(buckets), [
    ["a", 100],
    ["b", 1],
  ])
  assert.deepEqual(namesOf(accounts), [
    ["x", 90],
    ["y", 11],
  ])
  assert.deepEqual(namesOf(nodes ?? []), [
    ["n1", 90],
    ["n2", 11],
  ])
  assert.deepEqual([history.length, history.at(-1)?.requests], [60, 101])
  assert.deepEqual(rest.unshown, unshown)
})
