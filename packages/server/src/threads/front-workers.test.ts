/** Front threads that cannot be started. Those that run are tested with real processes, in tests/threads. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { LiveRequests, Traffic } from "@hayloft/admin/observe/index.js"
import { Denials } from "@hayloft/access/index.js"
import { transformBudgets } from "@hayloft/features/transforms/index.js"
import { fail } from "@hayloft/base/failures.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import type { StartThread } from "@hayloft/base/seams/threads/real.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import type { Fronts } from "@hayloft/node/front/fronts.js"
import type { FrontStart } from "@hayloft/node/front/methods.js"
import { config } from "@hayloft/node/open/testing-start.js"
import { NO_REALMS } from "@hayloft/protocols/swift/index.js"
import { FrontThreads } from "./front-workers.js"

const parseStart = (start: unknown): FrontStart => start as FrontStart

/** Threads whose starts fail as this one does. */
function openThreads(begin: Fronts["begin"], startOne?: StartThread) {
  const clock = new SimClock()
  const { log } = new SimTelemetry()
  const requests = new LiveRequests(clock, new Traffic(clock))
  const threads = new FrontThreads({
    clock,
    log,
    events: { note: () => undefined },
    requests,
    accessLog: undefined,
    startOne,
  })
  const ofStore = {
    denials: new Denials(),
    adminUrl: "",
    realms: NO_REALMS,
    remoteStores: undefined,
    nodeName: "",
    attempts: { countElsewhere: () => undefined },
    rates: { enter: () => undefined },
    budgets: transformBudgets(1),
    copies: undefined,
    onAudited: () => undefined,
    devices: () => [],
    minioMetrics: () => "",
    minioAdmin: { handle: () => Promise.reject(new Error("nobody asks")) },
  }
  assert.equal(threads.unhealthy, undefined)
  threads.resume({ config: { ...config, threads: 2 }, fronts: { begin }, ...ofStore }, [])
  return { clock, threads }
}

test("a process that has used up the threads of its start is not alive any more", async () => {
  const { clock, threads } = openThreads(async () => {
    throw fail("limitExceeded", { message: "front threads have ended too often" })
  })
  await clock.advance(1)
  assert.match(threads.unhealthy ?? "", /front threads have ended too often/)
  await clock.runUntil(threads.hold())
})

test("threads that cannot begin while the database does not answer are started again, less and less often", async () => {
  const MINUTE_MS = 60_000
  let tried = 0
  const { clock, threads } = openThreads(async () => {
    tried += 1
    throw fail("databaseUnreachable")
  })
  await clock.advance(1)
  assert.equal(tried, 2)
  await clock.advance(MINUTE_MS)
  assert.ok(tried > 4 && tried <= 16, `${tried} starts`)
  assert.equal(threads.unhealthy, undefined)
  await clock.runUntil(threads.hold())
})

test("while the system starts no thread, the fronts that have begun end, and others are started later", async () => {
  let begun = 0
  let open = 0
  const { clock, threads } = openThreads(
    async link => {
      begun += 1
      open += 1
      void link.closed.then(() => (open -= 1))
      return parseStart({})
    },
    () => {
      throw fail("tooManyInFlight", { message: "the system starts no further thread" })
    },
  )
  await clock.advance(60_000)
  assert.ok(begun > 4 && begun <= 16, `${begun} starts`)
  assert.equal(open, 0)
  assert.equal(threads.unhealthy, undefined)
  await clock.runUntil(threads.hold())
})
