import assert from "node:assert/strict"
import { setTimeout as later } from "node:timers/promises"
import { test } from "node:test"
import { isFailure } from "../../failures.js"
import { RealClock } from "../clock/real.js"
import { InlineSandbox, ThreadSandbox, type SandboxOutcome } from "./index.js"
import type { TestAnswer, TestTask } from "./testing-worker.js"
import type { SandboxSizes } from "./threads.js"

const ENTRY = new URL("./testing-worker.js", import.meta.url)
/** Only a hang takes this long, even on a busy machine. */
const LIMITED = { timeout: 5 * 60_000 }
const SIZES: SandboxSizes = { threads: 1, taskMs: 60_000, idleMs: 60_000, heapMib: 64, waitingMax: 4 }
const never = new AbortController().signal

type Outcome = SandboxOutcome<TestAnswer>
type TestSandbox = ThreadSandbox<TestTask, TestAnswer>

async function withSandbox(sizes: Partial<SandboxSizes>, work: (sandbox: TestSandbox) => Promise<void>) {
  const sandbox: TestSandbox = new ThreadSandbox(ENTRY, { ...SIZES, ...sizes }, new RealClock())
  try {
    await work(sandbox)
  } finally {
    await sandbox.close()
  }
}

const answer = (value = 1): TestTask => ({ kind: "answer", value })
const run = (sandbox: TestSandbox, task: TestTask, signal = never): Promise<Outcome> => sandbox.run(task, [], signal)
function answerOf(outcome: Outcome): TestAnswer {
  assert.ok(outcome.kind === "answered", JSON.stringify(outcome))
  return outcome.answer
}

test("tasks share a thread, which sees neither environment nor arguments", LIMITED, () =>
  withSandbox({}, async sandbox => {
    const first = answerOf(await run(sandbox, answer(7)))
    assert.equal(first.value, 7)
    assert.equal(answerOf(await run(sandbox, answer())).thread, first.thread)
    assert.equal(answerOf(await run(sandbox, { kind: "environment" })).value, 2, "node and the entry")
    assert.deepEqual([sandbox.threads, sandbox.running, sandbox.waiting], [1, 0, 0])
  }),
)

test("bytes move to the thread and back", LIMITED, () =>
  withSandbox({}, async sandbox => {
    const bytes = Uint8Array.of(1, 2, 3)
    const outcome = await sandbox.run({ kind: "answer", value: 1, bytes }, [bytes.buffer], never)
    assert.equal(bytes.length, 0)
    assert.deepEqual(answerOf(outcome).bytes, Uint8Array.of(1, 2, 3))
  }),
)

for (const [kind, fault, sizes] of [
  ["spin", "time", { taskMs: 1_500 }],
  ["wait", "time", { taskMs: 1_500 }],
  ["fill", "memory", {}],
  ["fail", "died", {}],
] as const) {
  test(`a task that does ${kind} faults by ${fault}, and the next one has another thread`, LIMITED, () =>
    withSandbox(sizes, async sandbox => {
      assert.deepEqual(await run(sandbox, { kind }), { kind: "faulted", fault })
      // Starting a thread may take long on a busy machine.
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

test("there are never more threads than allowed, and all of them work", LIMITED, () =>
  withSandbox({ threads: 2 }, async sandbox => {
    const outcomes = await Promise.all([1, 2, 3, 4, 5].map(value => run(sandbox, answer(value))))
    assert.deepEqual(
      outcomes.map(outcome => answerOf(outcome).value),
      [1, 2, 3, 4, 5],
    )
    assert.equal(new Set(outcomes.map(outcome => answerOf(outcome).thread)).size, 2)
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

test("a task that cannot be cloned rejects, and the thread goes on", LIMITED, () =>
  withSandbox({}, async sandbox => {
    const strange = { kind: "answer", value: (() => 1) as unknown as number } as const
    await assert.rejects(run(sandbox, strange), /could not be cloned/)
    assert.equal(answerOf(await run(sandbox, answer(2))).value, 2)
  }),
)

test("a thread without a task ends after a while", LIMITED, () =>
  withSandbox({ idleMs: 20 }, async sandbox => {
    const { thread } = answerOf(await run(sandbox, answer()))
    await later(400)
    assert.notEqual(answerOf(await run(sandbox, answer())).thread, thread)
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
  const pending = sandbox.run(1, [], never)
  assert.equal(sandbox.running, 1)
  assert.deepEqual(await pending, { kind: "answered", answer: 2 })
  assert.deepEqual(await sandbox.run(-1, [], never), { kind: "faulted", fault: "died" })
  await assert.rejects(sandbox.run(1, [], AbortSignal.abort("before")), error => error === "before")
  const controller = new AbortController()
  const aborted = sandbox.run(1, [], controller.signal)
  controller.abort("during")
  await assert.rejects(aborted, error => error === "during")
  assert.equal(sandbox.running, 0)
})
