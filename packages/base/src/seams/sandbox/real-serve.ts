/**
 * The inner side of a sandbox: a process that answers tasks, one after the other. Its entry file is in main.
 *
 * Promises  An error that the handler throws ends the process, so that no task follows one that may have left damage.
 *           The process ends with the one that has started it, also if a task keeps its thread busy: another thread
 *           watches a pipe between them. Signals for both, as from a terminal, are the caller's business.
 */
import { Worker } from "node:worker_threads"

/** Standard input is a pipe from the other process, and closes when that has ended, however it came. */
const WATCH = `
const { Socket } = require("node:net")
const end = () => process.kill(process.pid, "SIGKILL")
new Socket({ fd: 0, readable: true }).on("error", end).on("close", end).resume()`

export function serveSandbox<Task, Answer>(handle: (task: Task) => Promise<Answer>): void {
  for (const name of Object.keys(process.env)) delete process.env[name]
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => undefined)
  new Worker(WATCH, { eval: true }).unref()
  const serve = async (task: Task): Promise<void> => {
    const answer = await handle(task)
    process.send?.(answer)
  }
  // An unhandled rejection ends the process.
  process.on("message", (task: Task) => void serve(task))
}
