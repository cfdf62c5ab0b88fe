/** Leases of one process: what it gives up, and what it shows. Races between processes are in tests/steward. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { parseIncarnation } from "@hayloft/base/ids.js"
import type { LeaseRow } from "@hayloft/engine/coordination/index.js"
import { LEASE_LIMITS, LeaseTable } from "./leases-core.js"
import { LeasedJob } from "./leased-job.js"

const { leaseMs, marginMs, restMs, stuckMs } = LEASE_LIMITS
const [OWN, OTHER, LATER] = [parseIncarnation(5), parseIncarnation(6), parseIncarnation(7)]
const NEVER = () => false
const rowOf = (incarnation: LeaseRow["incarnation"], beat: number): LeaseRow => ({ name: "repair", incarnation, beat })

/** Returns the leases that the process may take, as they were seen. */
const free = (table: LeaseTable, nowMs: number, isOver: (incarnation: number) => boolean = NEVER) =>
  table.free(OWN, isOver, nowMs, nowMs).map(([, seen]) => seen?.beat)

test("a lease is free if it was released, was not renewed for long enough, or its process is over", () => {
  const table = new LeaseTable(["repair"])
  assert.deepEqual(free(table, 0), [undefined])
  table.observe([rowOf(OTHER, 3)], 1_000)
  assert.deepEqual(free(table, 1_000 + leaseMs - 1), [])
  assert.deepEqual(free(table, 1_000 + leaseMs), [3])
  assert.deepEqual(
    free(table, 1_000, incarnation => incarnation === OTHER),
    [3],
  )
  table.observe([rowOf(OTHER, 4)], 9_000)
  assert.deepEqual(free(table, 9_000 + leaseMs - 1), [])
  table.observe([rowOf(undefined, 5)], 10_000)
  assert.deepEqual(free(table, 10_000), [5])
})

test("a process uses a lease for less time than others wait", () => {
  const table = new LeaseTable(["repair"])
  table.taken("repair", OWN, 0)
  assert.ok(table.holds("repair", OWN, leaseMs - marginMs - 1))
  assert.ok(!table.holds("repair", OWN, leaseMs - marginMs))
  assert.ok(!table.holds("repair", LATER, 1), "a later incarnation takes it again")
  table.renewed(table.toRenew(OWN), ["repair"], OWN, 9_000)
  assert.ok(table.holds("repair", OWN, 9_000 + leaseMs - marginMs - 1))
  table.renewed(table.toRenew(OWN), [], OWN, 10_000)
  assert.ok(!table.holds("repair", OWN, 10_000))
})

test("a lease that was taken after the heartbeat began is not lost with its answer", () => {
  const table = new LeaseTable(["repair"])
  const asked = table.toRenew(OWN)
  table.taken("repair", OWN, 1)
  table.renewed(asked, [], OWN, 0)
  assert.ok(table.holds("repair", OWN, 2))
})

test("a lease whose taking was not answered is known again", () => {
  const table = new LeaseTable(["repair"])
  table.observe([rowOf(OWN, 1)], 0)
  assert.deepEqual(table.forgotten(OWN), ["repair"])
  assert.deepEqual(free(table, 10 * leaseMs), [])
  table.taken("repair", OWN, 0)
  assert.deepEqual(table.forgotten(OWN), [])
})

test("a job that only fails loses its lease, for others to take; one that is idle or works keeps it", () => {
  const table = new LeaseTable(["repair"])
  table.taken("repair", OWN, 0)
  assert.deepEqual(table.stuck(10 * stuckMs), [])
  table.stepBegan("repair", "repair", 0)
  table.stepSucceeded("repair", "repair")
  assert.deepEqual(table.stuck(10 * stuckMs), [])
  table.stepBegan("repair", "repair", 1_000)
  table.stepBegan("repair", "repair", stuckMs)
  table.stepBegan("repair", "orphans", stuckMs)
  table.stepSucceeded("repair", "orphans")
  assert.deepEqual(table.stuck(1_000 + stuckMs - 1), [])
  assert.deepEqual(table.stuck(1_000 + stuckMs), ["repair"])
  table.rest("repair", stuckMs)
  table.observe([rowOf(undefined, 9)], stuckMs)
  assert.ok(!table.holds("repair", OWN, stuckMs))
  assert.deepEqual(free(table, stuckMs + leaseMs), [])
  assert.deepEqual(free(table, stuckMs + 2 * leaseMs), [9], "no other process has taken it")
  table.observe([rowOf(undefined, 10)], stuckMs + restMs)
  assert.deepEqual(free(table, stuckMs + restMs), [10])
})

test("a job takes steps only with its lease, releases its work without it, and says otherwise who has it", async () => {
  const calls: string[] = []
  const job = {
    name: "repair",
    step: async () => {
      calls.push("step")
      if (calls.length > 4) throw new Error("failed")
      return "busy" as const
    },
    release: async () => void calls.push("release"),
    progress: () => "half done",
  }
  const leases = {
    isOwn: false,
    node: undefined as string | undefined,
    holds: () => leases.isOwn,
    holder: () => leases.node,
    term: 1,
    termOf: () => leases.term,
    stepBegan: (name: string) => void calls.push(`${name} tries`),
    stepSucceeded: (name: string) => void calls.push(`${name} succeeds`),
  }
  const helped: string[] = []
  const leased = new LeasedJob(job, job.name, leases, () => helped[0])
  const { signal } = new AbortController()
  assert.equal(leased.name, "repair")
  assert.equal(await leased.step(signal), "idle")
  assert.equal(leased.progress(), "no node does this yet")
  leases.node = "b"
  assert.equal(leased.progress(), "node b does this")
  helped.push("9 shards written for other nodes")
  assert.equal(leased.progress(), "node b does this; 9 shards written for other nodes")
  leases.isOwn = true
  assert.equal(leased.progress(), "half done")
  assert.equal(await leased.step(signal), "busy")
  assert.deepEqual(calls, ["repair tries", "step", "repair succeeds"])
  await assert.rejects(leased.step(signal))
  assert.deepEqual(calls.slice(3), ["repair tries", "step"])
  leases.isOwn = false
  for (let steps = 0; steps < 2; steps += 1) assert.equal(await leased.step(signal), "idle")
  assert.deepEqual(calls.slice(5), ["release"], "once, after the lease was lost")
  leases.isOwn = true
  leases.term = 2
  calls.length = 0
  await leased.step(signal)
  // The lease was lost and taken again between two steps.
  leases.term = 3
  calls.length = 0
  await leased.step(signal)
  assert.deepEqual(calls, ["release", "repair tries", "step", "repair succeeds"])
})
