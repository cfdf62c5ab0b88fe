import assert from "node:assert/strict"
import { readdirSync, readFileSync } from "node:fs"
import { test } from "node:test"
import { inspect } from "node:util"
import { until } from "@hayloft/base/seams/clock/testing-until.js"
import { MIB } from "@hayloft/base/limits.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { ProcessSandbox, type SandboxOutcome } from "@hayloft/base/seams/sandbox/index.js"
import type { TaskStep, TransformAnswer, TransformTask } from "@hayloft/features/transforms/contract.js"
import { BODIES, testModule } from "@hayloft/features/transforms/worker/testing-modules.js"

const ENTRY = new URL("./transform-worker.js", import.meta.url)
/** Only a hang takes this long, even on a busy machine. */
const LIMITED = { timeout: 5 * 60_000 }
const SIZES = { processes: 1, taskMs: 60_000, idleMs: 60_000, heapMib: 64, waitingMax: 4 }
const SVG = `<svg xmlns="http://www.w3.org/2000/svg"><!-- nothing --><path d="M 0 0"/></svg>`
const never = new AbortController().signal

type TransformSandbox = ProcessSandbox<TransformTask, TransformAnswer>

async function withSandbox(work: (sandbox: TransformSandbox) => Promise<void>, clock: Clock = new RealClock()) {
  const sandbox: TransformSandbox = new ProcessSandbox(ENTRY, SIZES, clock)
  try {
    await work(sandbox)
  } finally {
    await sandbox.close()
  }
}

const run = (sandbox: TransformSandbox, steps: readonly TaskStep[], bytes: Uint8Array, type = "image/svg+xml") =>
  sandbox.run({ kind: "steps", steps, bytes, type }, never)

function bytesOf(outcome: SandboxOutcome<TransformAnswer>): Buffer {
  assert.ok(outcome.kind === "answered" && outcome.answer.kind === "bytes", inspect(outcome))
  return Buffer.from(outcome.answer.bytes)
}

const moduleStep = (body: readonly number[]) =>
  ({ kind: "module", name: "m", code: testModule({ body }), parameters: "" }) as const
const png = async (sandbox: TransformSandbox): Promise<Uint8Array | undefined> => {
  const asked = await sandbox.run({ kind: "versions" }, never)
  if (asked.kind !== "answered" || asked.answer.kind !== "versions") return assert.fail(JSON.stringify(asked))
  assert.match(asked.answer.versions.svgmin, /^svgo/)
  if (asked.answer.versions.image === undefined) return undefined
  const { default: sharp } = await import("sharp")
  const noise = { type: "gaussian", mean: 128, sigma: 40 } as const
  return sharp({ create: { width: 1_500, height: 1_500, channels: 3, background: "red", noise } })
    .png()
    .toBuffer()
}

const TICK_MS = 10
/** The processor time of the processes that this one has started and that live; see proc(5). */
function innerMs(): number {
  const started = readdirSync("/proc/self/task").flatMap(thread =>
    readFileSync(`/proc/self/task/${thread}/children`, "utf8").split(" ").filter(Boolean),
  )
  const ticks = started.map(pid => {
    const [, user = "", system = ""] =
      /^.*\) (?:\S+ ){11}(\d+) (\d+)/.exec(readFileSync(`/proc/${pid}/stat`, "utf8")) ?? []
    return Number(user) + Number(system)
  })
  return ticks.reduce((sum, each) => sum + each, 0) * TICK_MS
}

/** Waits until a task has used so much time of processors. */
async function worked(ms: number): Promise<void> {
  const before = innerMs()
  await until(`${ms} ms of a processor are used`, () => innerMs() >= before + ms, 20)
}

test("steps run one after the other, and those that are skipped pass their input on", LIMITED, () =>
  withSandbox(async sandbox => {
    const steps = [moduleStep(BODIES.unknown), { kind: "svgmin" }, moduleStep(BODIES.input)] as const
    assert.equal(bytesOf(await run(sandbox, steps, Buffer.from(SVG))).includes("nothing"), false)
    const skipped = await run(sandbox, [moduleStep(BODIES.trap), { kind: "svgmin" }], Buffer.from("text"))
    const answer = { kind: "skipped", reason: "the module failed: unreachable" }
    assert.deepEqual(skipped, { kind: "answered", answer })
    const encoded = await sandbox.run({ kind: "encode", coding: "zstd", bytes: Buffer.from(SVG) }, never)
    assert.ok(encoded.kind === "answered" && encoded.answer.kind === "encoded")
    const checked = await sandbox.run({ kind: "checkModule", code: Buffer.from("no") }, never)
    const fault = "it is not a WebAssembly module"
    assert.deepEqual(checked, { kind: "answered", answer: { kind: "checked", fault } })
  }),
)

test("an endless module ends with its process, and another one serves the next task", LIMITED, () => {
  const clock = new SimClock()
  return withSandbox(async sandbox => {
    await run(sandbox, [moduleStep(BODIES.input)], Buffer.from(SVG))
    const pending = run(sandbox, [moduleStep(BODIES.endless)], Buffer.from(SVG))
    await worked(200)
    await clock.advance(SIZES.taskMs)
    assert.deepEqual(await pending, { kind: "faulted", fault: "time" })
    assert.ok(bytesOf(await run(sandbox, [{ kind: "svgmin" }], Buffer.from(SVG))).length < SVG.length)
  }, clock)
})

test("a document that needs more than the heap of a process ends only that process", LIMITED, () =>
  withSandbox(async sandbox => {
    const many = `<svg xmlns="http://www.w3.org/2000/svg"><path d="${"M0 0".repeat(4 * MIB)}"/></svg>`
    const outcome = await run(sandbox, [{ kind: "svgmin" }], Buffer.from(many))
    assert.deepEqual(outcome, { kind: "faulted", fault: "memory" })
    assert.ok(bytesOf(await run(sandbox, [{ kind: "svgmin" }], Buffer.from(SVG))).length < SVG.length)
  }),
)

test("a task in native code ends at once, and images are made again", LIMITED, context =>
  withSandbox(async sandbox => {
    const image = await png(sandbox)
    if (image === undefined) {
      context.skip("the package sharp is not installed")
      return
    }
    const step = { kind: "image", fit: "inside", format: "avif" } as const
    for (let round = 0; round < 2; round += 1) {
      const controller = new AbortController()
      const task = { kind: "steps", steps: [step], bytes: image, type: "image/png" } as const
      const pending = sandbox.run(task, controller.signal)
      const refused = assert.rejects(pending, error => error === "enough")
      await worked(200)
      controller.abort("enough")
      await refused
      const small = await run(sandbox, [{ kind: "image", fit: "inside", format: "jpeg", width: 10 }], image)
      assert.ok(bytesOf(small).length > 100)
    }
  }),
)
