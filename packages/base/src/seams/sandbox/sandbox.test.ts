import assert from "node:assert/strict"
import { setTimeout as later } from "node:timers/promises"
import { test } from "node:test"
import { MIB } from "../../limits.js"
import { isFailure } from "../../failures.js"
import { RealClock } from "../clock/real.js"
import { until } from "../clock/testing-until.js"
import { InlineSandbox, ProcessSandbox, type SandboxOutcome } from "./index.js"
import type { TestAnswer, TestTask } from "./testing-worker.js"
import type { SandboxSizes } from "./processes.js"

const ENTRY = new URL("./testing-worker.js", import.meta.url)
/** Only a hang takes this long, even on a busy machine. */
const LIMITED = { timeout: 5 * 60_000 }
const SIZES: SandboxSizes = { processes: 1, taskMs: 60_000, idleMs: 60_000, heapMib: 64, waitingMax: 4 }
const never = new AbortController().signal

type Outcome = SandboxOutcome<TestAnswer>
type TestSandbox = ProcessSandbox<TestTask, TestAnswer>

async function withSandbox(sizes: Partial<SandboxSizes>, work: (sandbox: TestSandbox) => Promise<void>) {
  const sandbox: TestSandbox = new ProcessSandbox(ENTRY, { ...SIZES, ...sizes }, new RealClock())
  try {
    await work(sandbox)
  } finally {
    await sandbox.close()
  }
}

const answer = (value = 1): TestTask => ({ kind: "answer", value })
const run = (sandbox: TestSandbox, task: TestTask, signal = never): Promise<Outcome> => sandbox.run(task, signal)
function answerOf(outcome: Outcome): TestAnswer {
  assert.ok(outcome.kind === "answered", outcome.kind)
  return outcome.answer
}

test("tasks share a process, which sees neither environment nor arguments", LIMITED, () =>
  withSandbox({}, async sandbox => {
    const first = answerOf(await run(sandbox, answer(7)))
    assert.equal(first.value, 7)
    assert.equal(answerOf(await run(sandbox, answer())).process, first.process)
    assert.equal(answerOf(await run(sandbox, { kind: "environment" })).value, 2, "node and the entry")
    assert.deepEqual([sandbox.processes, sandbox.running, sandbox.waiting], [1, 0, 0])
  }),
)

test("bytes go to the process and back, also many of them", LIMITED, () =>
  withSandbox({}, async sandbox => {
    for (const bytes of [Uint8Array.of(1, 2, 3), new Uint8Array(0), new Uint8Array(32 * MIB).fill(7)]) {
      const outcome = await run(sandbox, { kind: "answer", value: 1, bytes })
      assert.ok(Buffer.from(bytes).equals(answerOf(outcome).bytes ?? new Uint8Array(1)))
    }
  }),
)

for (const [kind, fault, sizes] of [
  ["spin", "time", { taskMs: 1_500 }],
  ["wait", "time", { taskMs: 1_500 }],
  ["texts", "memory", {}],
  ["arrays", "memory", {}],
  ["map", "memory", {}],
  ["objects", "memory", {}],
  ["fail", "died", {}],
] as const) {
  test(`a task that does ${kind} faults by ${fault}, and the next one has another process`, LIMITED, () =>
    withSandbox(sizes, async sandbox => {
      assert.deepEqual(await run(sandbox, { kind }), { kind: "faulted", fault })
      // Starting a process may take long on a busy machine.
      for (let tries = 0; ; tries += 1) {
        const outcome = await run(sandbox, answer(3))
        if (outcome.kind === "faulted" && tries < 20) continue
        assert.equal(answerOf(outcome).value, 3)
        return
      }
    }),
  )
}

test("tasks wait in order, and only as many as may", LIMITED, () =>
  withSandbox({ waitingMax: 2 }, async sandbox => {
    const order: number[] = []
    const noted = (value: number): Promise<unknown> => run(sandbox, answer(value)).then(() => order.push(value))
    const all = [noted(1), noted(2), noted(3)]
    assert.deepEqual([sandbox.running, sandbox.waiting], [1, 2])
    await assert.rejects(run(sandbox, answer(4)), error => isFailure(error, "tooManyInFlight"))
    await Promise.all(all)
    assert.deepEqual(order, [1, 2, 3])
  }),
)

test("there are never more processes than allowed, and all of them work", LIMITED, () =>
  withSandbox({ processes: 2 }, async sandbox => {
    const outcomes = await Promise.all([1, 2, 3, 4, 5].map(value => run(sandbox, answer(value))))
    assert.deepEqual(
      outcomes.map(outcome => answerOf(outcome).value),
      [1, 2, 3, 4, 5],
    )
    assert.equal(new Set(outcomes.map(outcome => answerOf(outcome).process)).size, 2)
  }),
)

test("an aborted task rejects with the reason, whether it runs or waits", LIMITED, () =>
  withSandbox({}, async sandbox => {
    const [one, two] = [new AbortController(), new AbortController()]
    const running = run(sandbox, { kind: "spin" }, one.signal)
    const waiting = run(sandbox, answer(), two.signal)
    const last = run(sandbox, answer(9))
    two.abort("second")
    await assert.rejects(waiting, error => error === "second")
    one.abort("first")
    await assert.rejects(running, error => error === "first")
    assert.equal(answerOf(await last).value, 9)
    await assert.rejects(run(sandbox, answer(), AbortSignal.abort("before")), error => error === "before")
  }),
)

test("a task that cannot be cloned rejects, and the process goes on", LIMITED, () =>
  withSandbox({}, async sandbox => {
    const strange = { kind: "answer", value: (() => 1) as unknown as number } as const
    await assert.rejects(run(sandbox, strange), /could not be cloned/)
    assert.equal(answerOf(await run(sandbox, answer(2))).value, 2)
  }),
)

test("a process without a task ends after a while", LIMITED, () =>
  withSandbox({ idleMs: 20 }, async sandbox => {
    const { process } = answerOf(await run(sandbox, answer()))
    await later(400)
    assert.notEqual(answerOf(await run(sandbox, answer())).process, process)
  }),
)

test("a process that computes for ever ends with the one that has started it, though that was killed", LIMITED, () =>
  withSandbox({}, async sandbox => {
    const { process: inner } = answerOf(await run(sandbox, { kind: "spinInside" }))
    const isThere = (): boolean => {
      try {
        return process.kill(inner, 0)
      } catch {
        return false
      }
    }
    assert.equal(isThere(), true)
    await sandbox.close()
    await until("the inner process has ended", () => !isThere(), 20)
  }),
)

test("closing ends what runs and refuses what waits", LIMITED, () =>
  withSandbox({}, async sandbox => {
    const running = run(sandbox, { kind: "spin" })
    const waiting = run(sandbox, answer())
    const refused = assert.rejects(waiting, error => isFailure(error, "stopping"))
    await sandbox.close()
    assert.deepEqual(await running, { kind: "faulted", fault: "died" })
    await refused
    await assert.rejects(run(sandbox, answer()), error => isFailure(error, "stopping"))
    assert.deepEqual([sandbox.running, sandbox.waiting], [0, 0])
  }),
)

test("inline: the same outcomes, on the calling thread", async () => {
  const sandbox = new InlineSandbox<number, number>(async task => {
    if (task < 0) throw new Error("as told")
    return await Promise.resolve(task + 1)
  })
  const pending = sandbox.run(1, never)
  assert.equal(sandbox.running, 1)
  assert.deepEqual(await pending, { kind: "answered", answer: 2 })
  assert.deepEqual(await sandbox.run(-1, never), { kind: "faulted", fault: "died" })
  await assert.rejects(sandbox.run(1, AbortSignal.abort("before")), error => error === "before")
  const controller = new AbortController()
  const aborted = sandbox.run(1, controller.signal)
  controller.abort("during")
  await assert.rejects(aborted, error => error === "during")
  assert.equal(sandbox.running, 0)
})
