/**
 * The tasks of a process, by their kind.
 *
 * Promises  A step that is skipped passes its input on to the next. Only if all are skipped, so is the task, for the
 *           reason of the first.
 */
import { MIB } from "@hayloft/base/limits.js"
import type { StepVersions, TaskStep, TransformAnswer, TransformTask } from "../contract.js"
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
      return { kind: "encoded", bytes: await encode(task.coding, task.bytes) }
    case "checkModule":
      return { kind: "checked", fault: moduleFault(task.code) }
    case "versions":
      return { kind: "versions", versions: await versions() }
  }
}

async function versions(): Promise<StepVersions> {
  return { svgmin: svgminVersion(), image: await imageVersion(), ...(await codingVersions()) }
}

async function runSteps(steps: readonly TaskStep[], input: MadeBytes): Promise<TransformAnswer> {
  let current = input
  let skipped: Skipped | undefined
  for (const step of steps) {
    const outcome = withinLimits(await runStep(step, current))
    if (outcome.kind === "made") current = outcome
    else skipped ??= outcome
  }
  if (current === input) return skipped ?? skip("there is no step")
  return { kind: "bytes", bytes: current.bytes, type: current.type }
}

/** The image of a later step is known only once the step before it has made it. */
async function nativeBytesOf(steps: readonly TaskStep[], bytes: Uint8Array): Promise<number> {
  const { inputBytesMax, nativeBytesMax } = TRANSFORM_LIMITS
  const [first, ...others] = steps
  if (others.some(({ kind }) => kind === "image")) return nativeBytesMax
  if (first?.kind !== "image" || bytes.length > inputBytesMax) return 0
  return Math.min(nativeBytesMax, await imageBytes(first, bytes))
}

function runStep(step: TaskStep, input: MadeBytes): Promise<MadeBytes | Skipped> | MadeBytes | Skipped {
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
