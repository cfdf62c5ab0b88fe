/** Traces and traffic of several nodes: each row has its node, and a node that does not answer is named once. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fail, isFailure } from "@hayloft/base/failures.js"
import { parseDeviceId } from "@hayloft/base/ids.js"
import type { LiveRequest, TracedRequests, TraceQuestion } from "@hayloft/engine/format/nodes/live-report.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { STORE_LIVE_LIMITS, StoreLive, type TraceLine } from "./store-live.js"
import { Traffic } from "./traffic.js"

const REQUEST: LiveRequest = {
  atMs: 1,
  server: "s3",
  requestId: "00000000000000AA",
  method: "GET",
  operation: "GetObject",
  path: "/a/b",
  status: 200,
  totalMs: 1,
  receivedBytes: 0,
  sentBytes: 0,
  remoteAddress: "192.0.2.1",
}

/** Node n1 of three: n2 answers as told, n3 does not run. */
function world() {
  const clock = new SimClock()
  const it: { answer: () => TracedRequests; own: (request: LiveRequest) => void; questions: TraceQuestion[] } = {
    answer: () => ({ requests: [], dropped: 0 }),
    own: () => undefined,
    questions: [],
  }
  const watch = (_: unknown, push: (request: LiveRequest) => void) => {
    it.own = push
    return () => void (it.own = () => undefined)
  }
  const traffic = new Traffic(clock)
  const disks = { read: async () => [{ device: parseDeviceId("00000000000000a1"), atMs: 1, failedCalls: 0 }] }
  const counted = {
    receivedBytes: 0,
    sentBytes: 0,
    subject: undefined,
    notes: {},
    status: 200,
    polledMs: 0,
    timing: { totalMs: 1 },
  }
  traffic.count(counted)
  const off = fail("peerUnreachable", { message: "it does not run" })
  const nodes = {
    own: "n1",
    others: ["n2", "n3"],
    async traffic(node: string) {
      if (node === "n3") throw off
      return traffic.counts("minute")
    },
    async disks(node: string) {
      if (node === "n3") throw off
      return [{ device: parseDeviceId("00000000000000b2"), atMs: 2, failedCalls: 3 }]
    },
    async trace(node: string, question: TraceQuestion) {
      if (node === "n3") throw off
      it.questions.push(question)
      return it.answer()
    },
  }
  const live = new StoreLive(clock, { requests: { watch }, traffic, disks }, nodes)
  const lines: TraceLine[] = []
  let lost = 0
  const begin = (node?: string) =>
    live.trace({ bucket: "a" }, node)({ push: line => void lines.push(line), lost: n => void (lost += n) })
  const poll = () => clock.advance(STORE_LIVE_LIMITS.pollMs)
  return { live, begin, poll, lines, lost: () => lost, it }
}

const shown = (lines: readonly TraceLine[]) =>
  lines.map(line => (line.type === "request" ? line.node : `${line.node} ${line.isShown} ${line.reason ?? ""}`.trim()))

test("requests of all nodes are shown with their nodes; one that does not run is named once", async () => {
  const { begin, poll, lines, lost, it } = world()
  const end = begin()
  await poll()
  it.own(REQUEST)
  it.answer = () => ({ requests: [REQUEST, REQUEST], dropped: 3 })
  await poll()
  it.answer = () => ({ requests: [], dropped: 0 })
  await poll()
  assert.deepEqual(shown(lines), ["n3 false it does not run", "n1", "n2", "n2"])
  assert.equal(lost(), 3)
  assert.deepEqual(
    [it.questions[0]?.filter, new Set(it.questions.map(({ trace }) => trace)).size],
    [{ bucket: "a" }, 1],
  )
  const asked = it.questions.length
  end()
  it.own(REQUEST)
  await poll()
  await poll()
  assert.deepEqual([it.questions.length, lines.length], [asked, 4])
})

test("a node that stops answering is named, and said to be shown again when it does", async () => {
  const { begin, poll, lines, it } = world()
  const end = begin("n2")
  it.answer = () => {
    throw fail("peerUnreachable", { message: "the connection was lost" })
  }
  await poll()
  await poll()
  it.answer = () => ({ requests: [REQUEST], dropped: 0 })
  it.own(REQUEST)
  await poll()
  end()
  assert.deepEqual(shown(lines), ["n2 false the connection was lost", "n2 true", "n2"])
})

test("a node that does not exist is refused; two traces are told apart", async () => {
  const { live, begin, poll, it } = world()
  assert.throws(
    () => live.trace({}, "n9"),
    error => isFailure(error, "invalidArgument"),
  )
  await assert.rejects(live.traffic("minute", "n9"), error => isFailure(error, "invalidArgument"))
  const ends = [begin(), begin()]
  await poll()
  ends.forEach(end => end())
  assert.equal(new Set(it.questions.map(({ trace }) => trace)).size, 2)
})

test("traffic is that of all nodes, or of one", async () => {
  const { live } = world()
  const { total, nodes, unshown } = await live.traffic("minute", undefined)
  assert.deepEqual([total.requests, nodes?.map(({ name }) => name)], [2, ["n1", "n2"]])
  assert.deepEqual(unshown, [{ node: "n3", reason: "it does not run" }])
  const one = await live.traffic("minute", "n2")
  assert.deepEqual([one.total.requests, one.nodes?.map(({ name }) => name), one.unshown], [1, ["n2"], []])
})

test("disks are those of all nodes, and a node that does not answer is named with its reason", async () => {
  const { disks, unshown } = await world().live.disks()
  assert.deepEqual(
    disks.map(({ failedCalls }) => failedCalls),
    [0, 3],
  )
  assert.deepEqual(unshown, [{ node: "n3", reason: "it does not run" }])
})
