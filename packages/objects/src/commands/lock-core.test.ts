/** Object lock: nothing removes what is locked, and no lock becomes weaker before its time. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure } from "@hayloft/base/failures.js"
import type { Retention, VersionLock } from "@hayloft/engine/format/objects/object-lock.js"
import { lockOfNew, requireRemovable, strictestOf, withRetention } from "./lock-core.js"

const DAY_MS = 86_400_000
const NOW_MS = Date.UTC(2024, 1, 28, 12)
const clocks = { clockMs: NOW_MS, nowMs: NOW_MS }
const retained = (mode: Retention["mode"], untilMs: number): VersionLock => ({
  retention: { mode, untilMs },
  legalHold: undefined,
})

const isRefused = (kind: "objectLocked" | "retentionIsOver" | "noObjectLock") => (error: unknown) => {
  assert.ok(isFailure(error, kind), String(error))
  return true
}

test("a retention protects until its moment, and only governance can be bypassed", () => {
  const removing = (clockMs: number, bypassGovernance = false) => ({ clockMs, bypassGovernance })
  for (const mode of ["GOVERNANCE", "COMPLIANCE"] as const) {
    const lock = retained(mode, NOW_MS)
    assert.throws(() => requireRemovable(lock, removing(NOW_MS - 1)), isRefused("objectLocked"))
    assert.doesNotThrow(() => requireRemovable(lock, removing(NOW_MS)))
  }
  assert.doesNotThrow(() => requireRemovable(retained("GOVERNANCE", NOW_MS), removing(0, true)))
  assert.throws(() => requireRemovable(retained("COMPLIANCE", NOW_MS), removing(0, true)), isRefused("objectLocked"))
})

test("a legal hold protects whatever the time and the permission", () => {
  for (const legalHold of [true, false, undefined]) {
    const lock = { retention: { mode: "GOVERNANCE", untilMs: 1 }, legalHold } as const
    const remove = () => requireRemovable(lock, { clockMs: NOW_MS, bypassGovernance: true })
    if (legalHold === true) assert.throws(remove, isRefused("objectLocked"))
    else assert.doesNotThrow(remove)
  }
})

test("a new version gets what its request states, or the default of its bucket", () => {
  const bucket = { defaultRetention: { mode: "GOVERNANCE", unit: "days", count: 2 } } as const
  const later = { mode: "COMPLIANCE", untilMs: NOW_MS + 1 } as const
  const lock = (stated?: VersionLock) => lockOfNew(bucket, stated, clocks)
  assert.deepEqual(lock(), retained("GOVERNANCE", NOW_MS + 2 * DAY_MS))
  assert.deepEqual(lock({ retention: later, legalHold: undefined }), { retention: later, legalHold: undefined })
  const held = { retention: undefined, legalHold: true }
  assert.deepEqual(lock(held), { ...retained("GOVERNANCE", NOW_MS + 2 * DAY_MS), legalHold: true })
  assert.equal(lockOfNew({ defaultRetention: undefined }, undefined, clocks), undefined)
  assert.equal(lockOfNew(undefined, undefined, clocks), undefined)
  assert.throws(() => lockOfNew(undefined, held, clocks), isRefused("noObjectLock"))
  const over = { retention: { mode: "GOVERNANCE", untilMs: NOW_MS }, legalHold: undefined } as const
  assert.throws(() => lock(over), isRefused("retentionIsOver"))
})

test("default retentions count calendar years, from the later of both clocks", () => {
  const bucket = { defaultRetention: { mode: "COMPLIANCE", unit: "years", count: 7 } } as const
  const until = (clockMs: number, nowMs: number) => lockOfNew(bucket, undefined, { clockMs, nowMs })?.retention?.untilMs
  assert.equal(until(NOW_MS, NOW_MS), Date.UTC(2031, 1, 28, 12))
  assert.equal(until(NOW_MS, 0), Date.UTC(2031, 1, 28, 12), "a wall clock that was set back shortens nothing")
  assert.equal(until(0, NOW_MS), Date.UTC(2031, 1, 28, 12), "nor does a store's clock that lags")
})

test("a retention that has begun can be prolonged, and nothing else", () => {
  const [before, longer, shorter] = [5, 6, 4].map(days => NOW_MS + days * DAY_MS)
  assert.ok(before !== undefined && longer !== undefined && shorter !== undefined)
  for (const mode of ["GOVERNANCE", "COMPLIANCE"] as const) {
    const other = mode === "GOVERNANCE" ? "COMPLIANCE" : "GOVERNANCE"
    const change = (to: Retention | undefined, bypassGovernance = false, clockMs = NOW_MS): VersionLock =>
      withRetention(retained(mode, before), to, { clockMs, nowMs: clockMs, bypassGovernance })
    assert.deepEqual(change({ mode, untilMs: longer }), retained(mode, longer))
    assert.deepEqual(change({ mode, untilMs: before }), retained(mode, before))
    const weaker: readonly (Retention | undefined)[] = [
      undefined,
      { mode, untilMs: shorter },
      { mode: other, untilMs: longer },
    ]
    for (const to of weaker) {
      assert.throws(() => change(to), isRefused("objectLocked"), `${mode} to ${JSON.stringify(to)}`)
      const bypass = () => change(to, true)
      if (mode === "COMPLIANCE") assert.throws(bypass, isRefused("objectLocked"))
      else assert.deepEqual(bypass().retention, to)
      assert.deepEqual(
        change(to && { ...to, untilMs: longer }, false, before).retention,
        to && { ...to, untilMs: longer },
      )
    }
    assert.throws(() => change({ mode, untilMs: before }, true, before), isRefused("retentionIsOver"))
  }
})

test("a legal hold stays when the retention changes", () => {
  const lock = { retention: undefined, legalHold: true }
  const to = { mode: "GOVERNANCE", untilMs: NOW_MS + 1 } as const
  assert.deepEqual(withRetention(lock, to, { ...clocks, bypassGovernance: false }), { retention: to, legalHold: true })
})

test("of what shards tell of a lock, the latest time, compliance and a hold count", () => {
  const [early, late] = [retained("COMPLIANCE", NOW_MS), retained("GOVERNANCE", NOW_MS + DAY_MS)]
  const held = (legalHold: boolean): VersionLock => ({ retention: undefined, legalHold })
  const both = { retention: { mode: "COMPLIANCE", untilMs: NOW_MS + DAY_MS }, legalHold: undefined } as const
  assert.deepEqual(strictestOf([early, late]), both)
  assert.deepEqual(strictestOf([late, undefined, early]), both)
  assert.deepEqual(strictestOf([held(false), late, held(true), held(false)]), { ...late, legalHold: true })
  assert.deepEqual(strictestOf([late, held(false)]), { ...late, legalHold: false })
  assert.equal(strictestOf([undefined]), undefined)
  assert.deepEqual(strictestOf([undefined, retained("GOVERNANCE", 1)]), retained("GOVERNANCE", 1))
})
