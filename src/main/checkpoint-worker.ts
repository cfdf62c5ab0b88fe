/**
 * The entry of the checkpoint thread: runs checkpoint jobs over the real disk and the real bases, one
 * after another.
 */
import { parentPort } from "node:worker_threads"
import { must } from "../base/assert.js"
import { asFailure } from "../base/failures.js"
import { RealDisk } from "../seams/disk/index.js"
import { RealStores } from "../seams/store/real.js"
import { CheckpointExecutor } from "./engine/checkpoint-job.js"
import { parseCheckpointOrder, type CheckpointReply } from "./engine/checkpoint-thread.js"

const port = must(parentPort, "this is the entry of a thread")
const disk = new RealDisk()
const executor = new CheckpointExecutor(disk, new RealStores())
let last: Promise<void> = Promise.resolve()

port.on("message", (message: unknown) => {
  const order = parseCheckpointOrder(message)
  last = last.then(async () => {
    const reply = (answer: CheckpointReply) => port.postMessage(answer)
    try {
      if (order.job) reply({ id: order.id, result: await executor.run(order.job) })
      else {
        await executor.close()
        reply({ id: order.id, result: { rows: 0, payloads: 0, damages: 0 } })
      }
    } catch (error) {
      const { kind, message: text } = asFailure(error)
      reply({ id: order.id, failure: { kind, message: text } })
    }
  })
})
