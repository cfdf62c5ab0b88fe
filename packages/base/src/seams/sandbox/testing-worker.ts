/** Entry point of a thread that does what tests of sandboxes tell it, within its limits or not. */
import { threadId } from "node:worker_threads"
import { serveSandbox } from "./thread.js"

export type TestTask =
  | { readonly kind: "answer"; readonly value: number; readonly bytes?: Uint8Array }
  | { readonly kind: "spin" | "fill" | "fail" | "wait" | "environment" }

export interface TestAnswer {
  readonly thread: number
  readonly value: number
  readonly bytes?: Uint8Array
}

async function handle(task: TestTask): Promise<TestAnswer> {
  switch (task.kind) {
    case "answer":
      return { thread: threadId, value: task.value, ...(task.bytes && { bytes: task.bytes }) }
    case "environment":
      process.stdout.write("dropped\n")
      return { thread: threadId, value: Object.keys(process.env).length + process.argv.length }
    case "wait":
      return await new Promise(() => undefined)
    case "fail":
      throw new Error("as told")
    case "spin":
      return spin()
    case "fill":
      return fill()
  }
}

function spin(): never {
  for (;;);
}

function fill(): never {
  const kept: string[][] = []
  for (;;) kept.push(Array.from({ length: 10_000 }, (_, i) => `${kept.length} ${i}`))
}

serveSandbox(handle, ({ bytes }) => (bytes?.buffer instanceof ArrayBuffer ? [bytes.buffer] : []))
