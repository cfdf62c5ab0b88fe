/** When a halted store is opened again, and when its process is not alive. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { answersOf, RecoveryCore, type Observed } from "./recovering-core.js"

const HALTED = { trouble: "the metadata log failed", isLogFailed: true, answers: "all" } as const
const WELL = { trouble: undefined, isLogFailed: false, answers: "all" } as const

/** Observes the same every second, and returns the seconds in which the store is opened again. */
function opened(core: RecoveryCore, fromSeconds: number, seconds: number, seen: Omit<Observed, "nowMs">): number[] {
  const all = Array.from({ length: seconds }, (_, i) => fromSeconds + i)
  return all.filter(second => core.see({ ...seen, nowMs: second * 1_000 }))
}

test("a log that failed is opened again at once if all devices answer, then after growing waits", () => {
  const core = new RecoveryCore()
  assert.deepEqual(opened(core, 0, 80, HALTED), [0, 5, 15, 35, 75])
  assert.deepEqual(opened(core, 80, 10, WELL), [])
  assert.deepEqual(opened(core, 90, 200, HALTED), [155], "it was well for a moment")
  opened(core, 290, 901, WELL)
  assert.deepEqual(opened(core, 1_191, 10, HALTED), [1_191, 1_196])
})

test("with fewer devices it waits for the others, without a limit if a start needs them", () => {
  assert.deepEqual(opened(new RecoveryCore(), 0, 36, { ...HALTED, answers: "enough" }), [30, 35])
  assert.deepEqual(opened(new RecoveryCore(), 0, 1_000, { ...HALTED, answers: "too few" }), [])
})

test("devices that are away do not make a store open again whose log works", () => {
  assert.deepEqual(opened(new RecoveryCore(), 0, 1_000, { ...HALTED, isLogFailed: false }), [])
})

test("a process is not alive if writes stay halted for a minute while every device answers", () => {
  const core = new RecoveryCore()
  opened(core, 0, 60, HALTED)
  assert.equal(core.unhealthy(59_999), undefined)
  assert.match(core.unhealthy(60_000) ?? "", /halted/)
  opened(core, 60, 1, { ...HALTED, answers: "enough" })
  assert.equal(core.unhealthy(200_000), undefined, "a device does not answer")
  opened(core, 61, 1, HALTED)
  assert.equal(core.unhealthy(120_999), undefined)
  assert.match(core.unhealthy(121_000) ?? "", /halted/)
  opened(core, 122, 1, WELL)
  assert.equal(core.unhealthy(1_000_000), undefined)
})

test("a start needs more than half of the voting devices, and one with metadata", () => {
  const answers = (voting: string, withMetadata: string, answering: string) =>
    answersOf([...voting], [...withMetadata], new Set(answering))
  assert.equal(answers("abc", "abc", "abcd"), "all")
  assert.equal(answers("abc", "abc", "ab"), "enough")
  assert.equal(answers("abc", "c", "ab"), "too few")
  assert.equal(answers("abcd", "abcd", "ab"), "too few")
  assert.equal(answers("a", "a", ""), "too few")
})
