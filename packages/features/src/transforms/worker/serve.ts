/**
 * The tasks of a thread, by their kind.
 *
 * Promises  An answer owns its bytes: `buffersOf` may move them to another thread.
 *           A step that is skipped passes its input on to the next. Only if all are skipped, so is the task, for the
 *           reason of the first.
 */
import { MIB } from "@hayloft/base/limits.js"
import type { StepVersions, ThreadStep, TransformAnswer, TransformTask } from "../contract.js"
import { TRANSFORM_LIMITS } from "../limits.js"
import { codingVersions, encode } from "./encode.js"
import { imageBytes, imageStep, imageVersion } from "./image.js"
import { skip, type MadeBytes, type Skipped } from "./step-outcome.js"
import { minifySvg, svgminVersion } from "./svgmin.js"
import { moduleFault } from "./wasm-binary.js"
import { runModule } from "./wasm-module.js"

export async function handleTask(task: TransformTask): Promise<TransformAnswer> {
  switch (task.kind) {
    case "steps":
      return await runSteps(task.steps, { kind: "made", bytes: task.bytes, type: task.type })
    case "measure":
      return { kind: "measured", nativeBytes: await nativeBytesOf(task.steps, task.bytes) }
    case "encode":
      return { kind: "encoded", bytes: owned(await encode(task.coding, task.bytes)) }
    case "checkModule":
      return { kind: "checked", fault: moduleFault(task.code) }
    case "versions":
      return { kind: "versions", versions: await versions() }
  }
}

/** The buffers of an answer that its receiver can have without a copy. */
export function buffersOf(answer: TransformAnswer): readonly ArrayBuffer[] {
  if (answer.kind !== "bytes" && answer.kind !== "encoded") return []
  return answer.bytes.buffer instanceof ArrayBuffer ? [answer.bytes.buffer] : []
}

async function versions(): Promise<StepVersions> {
  return { svgmin: svgminVersion(), image: await imageVersion(), ...(await codingVersions()) }
}

async function runSteps(steps: readonly ThreadStep[], input: MadeBytes): Promise<TransformAnswer> {
  let current = input
  let skipped: Skipped | undefined
  for (const step of steps) {
    const outcome = withinLimits(await runStep(step, current))
    if (outcome.kind === "made") current = outcome
    else skipped ??= outcome
  }
  if (current === input) return skipped ?? skip("there is no step")
  return { kind: "bytes", bytes: owned(current.bytes), type: current.type }
}

/** The image of a later step is known only once the step before it has made it. */
async function nativeBytesOf(steps: readonly ThreadStep[], bytes: Uint8Array): Promise<number> {
  const { inputBytesMax, nativeBytesMax } = TRANSFORM_LIMITS
  const [first, ...others] = steps
  if (others.some(({ kind }) => kind === "image")) return nativeBytesMax
  if (first?.kind !== "image" || bytes.length > inputBytesMax) return 0
  return Math.min(nativeBytesMax, await imageBytes(first, bytes))
}

function runStep(step: ThreadStep, input: MadeBytes): Promise<MadeBytes | Skipped> | MadeBytes | Skipped {
  const { inputBytesMax } = TRANSFORM_LIMITS
  if (input.bytes.length > inputBytesMax) return skip(`more than ${inputBytesMax / MIB} MiB`)
  switch (step.kind) {
    case "svgmin":
      return minifySvg(input)
    case "image":
      return imageStep(step, input)
    case "module":
      return runModule(step, input)
  }
}

function withinLimits(outcome: MadeBytes | Skipped): MadeBytes | Skipped {
  const { outputBytesMax } = TRANSFORM_LIMITS
  if (outcome.kind === "skipped" || outcome.bytes.length <= outputBytesMax) return outcome
  return skip(`the result has more than ${outputBytesMax / MIB} MiB`)
}

/** A copy of bytes that are part of other memory. */
function owned(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes)
}
