/**
 * The thread's side of a sandbox: answers tasks, one after the other. Its entry file is in main.
 *
 * Promises  An error that the handler throws ends the thread, so that no task follows one that may have left damage.
 */
import { parentPort } from "node:worker_threads"
import { must } from "../../assert.js"

/** `buffersOf`: those of an answer that move to the caller instead of being copied; the handler must own them. */
export function serveSandbox<Task, Answer>(
  handle: (task: Task) => Promise<Answer>,
  buffersOf: (answer: Answer) => readonly ArrayBuffer[] = () => [],
): void {
  const port = must(parentPort, "this is the entry of a thread")
  const serve = async (task: Task): Promise<void> => {
    const answer = await handle(task)
    port.postMessage(answer, buffersOf(answer))
  }
  // An unhandled rejection ends the thread.
  port.on("message", (task: Task) => void serve(task))
}
