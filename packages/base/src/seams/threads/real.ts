/**
 * Starts threads: the one place of the product that does, so that a system that is out of threads is recognized.
 *
 * Promises  A thread that the system does not start throws `tooManyInFlight`, with the limits to raise: that is a
 *           shortage, like one of open files, which passes by itself or which an operator ends. It is nobody's bug.
 */
import { Worker, type WorkerOptions } from "node:worker_threads"
import { fail } from "../../failures.js"

export type StartThread = (entry: URL, options: WorkerOptions) => Worker

/** Throws `tooManyInFlight` if the system has no thread, or no memory for its stack, to give. */
export const startThread: StartThread = (entry, options) => {
  try {
    return new Worker(entry, options)
  } catch (error) {
    if (!isShortage(error)) throw error
    const message =
      "the system starts no further thread: the limit of its tasks (TasksMax of the service, ulimit -u) or its memory " +
      `is used up; try again, or raise the limit (${error.message})`
    throw fail("tooManyInFlight", { message }, error)
  }
}

const isShortage = (error: unknown): error is Error =>
  error instanceof Error && "code" in error && error.code === "ERR_WORKER_INIT_FAILED"
