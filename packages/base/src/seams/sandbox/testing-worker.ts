/** Entry point of a process that does what tests of sandboxes tell it, within its limits or not. */
import { RealClock } from "../clock/real.js"
import { ProcessSandbox } from "./processes.js"
import { serveSandbox } from "./real-serve.js"

/** Kinds of values that exceed a heap: for some of them, V8 does not end a thread, but the whole process. */
type Filling = keyof typeof FILLINGS

export type TestTask =
  | { readonly kind: "answer"; readonly value: number; readonly bytes?: Uint8Array }
  | { readonly kind: "spin" | Filling | "fail" | "wait" | "environment" | "spinInside" }

export interface TestAnswer {
  readonly process: number
  readonly value: number
  readonly bytes?: Uint8Array
}

async function handle(task: TestTask): Promise<TestAnswer> {
  switch (task.kind) {
    case "answer":
      return { process: process.pid, value: task.value, ...(task.bytes && { bytes: task.bytes }) }
    case "environment":
      process.stdout.write("dropped\n")
      return { process: process.pid, value: Object.keys(process.env).length + process.argv.length }
    case "wait":
      return await new Promise(() => undefined)
    case "fail":
      throw new Error("as told")
    case "spin":
      return spin()
    case "spinInside":
      return await spinInside()
    case "texts":
    case "arrays":
    case "map":
    case "objects":
      return FILLINGS[task.kind]()
  }
}

/** Answers with a process that this one has started, and which computes for ever. */
async function spinInside(): Promise<TestAnswer> {
  const sizes = { processes: 1, taskMs: 600_000, idleMs: 600_000, heapMib: 64, waitingMax: 0 }
  const inner = new ProcessSandbox<TestTask, TestAnswer>(new URL(import.meta.url), sizes, new RealClock())
  const signal = new AbortController().signal
  const outcome = await inner.run({ kind: "answer", value: 1 }, signal)
  void inner.run({ kind: "spin" }, signal)
  if (outcome.kind === "answered") return outcome.answer
  throw new Error(outcome.fault)
}

function spin(): never {
  for (;;);
}

function forever(add: (i: number) => void): never {
  for (let i = 0; ; i += 1) add(i)
}

const FILLINGS = {
  texts: () => {
    const kept: string[][] = []
    forever(i => kept.push(Array.from({ length: 10_000 }, (_, at) => `${i} ${at}`)))
  },
  arrays: () => {
    const kept: number[][] = []
    forever(() => kept.push(new Array<number>(1_000).fill(1)))
  },
  map: () => {
    const kept = new Map<number, number>()
    forever(i => kept.set(i, i))
  },
  objects: () => {
    let kept: object = {}
    forever(i => (kept = { kept, i }))
  },
} as const satisfies Record<string, () => void>

serveSandbox(handle)
