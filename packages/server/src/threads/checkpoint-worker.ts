/**
 * Entry point of a checkpoint thread: does checkpoint work over the real disk and the real metadata stores, one task
 * at a time. It reports progress while the device responds, since the duration of a task is unknown.
 */
import { parentPort } from "node:worker_threads"
import { must } from "@hayloft/base/assert.js"
import { asFailure } from "@hayloft/base/failures.js"
import { CALL_LIMITS, queuedDisk } from "@hayloft/engine/device/index.js"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { RealRandom } from "@hayloft/base/seams/random/real.js"
import { RealDisk } from "@hayloft/base/seams/disk/index.js"
import { TableStores, WRITER_OPTIONS } from "@hayloft/engine/table/index.js"
import { CheckpointExecutor } from "@hayloft/node/metadata/checkpoint-job.js"
import {
  END,
  parseCheckpointOrder,
  type CheckpointReply,
  type CheckpointWork,
} from "@hayloft/node/metadata/checkpoint-protocol.js"

/**
 * A hanging device can block at most one thread of the process's shared I/O pool through this thread. The serving thread,
 * which sees all devices, gives up one that hangs.
 */
const LIMITS = { ...CALL_LIMITS, callsMax: 1, deviceTimeoutMs: 30_000 }
/** Minimum interval between progress reports. */
const SIGN_EVERY_MS = 1_000

const port = must(parentPort, "this is the entry of a thread")
const [disk, clock, lifetime] = [new RealDisk(), new RealClock(), new AbortController()]
const executor = new CheckpointExecutor(
  () => queuedDisk(disk, clock, LIMITS, lifetime.signal, () => undefined, sign),
  new TableStores(WRITER_OPTIONS),
  new RealRandom(),
  (path, offsetBytes) => reply({ id: current, goesOn: true, rebuilt: { path, offsetBytes } }),
)
let last: Promise<void> = Promise.resolve()
/** The order in progress. */
let current = 0
let signedMs = -Infinity

const reply = (answer: CheckpointReply): void => port.postMessage(answer)

function sign(): void {
  const nowMs = clock.monotonicMs()
  if (nowMs - signedMs < SIGN_EVERY_MS) return
  signedMs = nowMs
  reply({ id: current, goesOn: true })
}

async function perform(work: CheckpointWork | undefined): Promise<unknown> {
  switch (work?.kind) {
    case "checkpoint":
      return executor.run(work.request)
    case "merge":
      return executor.merge(work.request)
    case "scrubMetadata":
      return executor.scrubMetadata(work.request.device, work.request.from)
    case "scrubLog":
      return executor.scrubLog(work.request.device, work.request.after, work.request.upTo)
    case "forget":
      return executor.forget(work.request)
    case undefined:
      return executor.close()
  }
}

port.on("message", (message: unknown) => {
  // In a worker, this ends only the thread.
  if (message === END) process.exit()
  const { id, work } = parseCheckpointOrder(message)
  last = last.then(async () => {
    current = id
    try {
      reply({ id, answer: await perform(work) })
    } catch (error) {
      const { kind, details } = asFailure(error)
      reply({ id, failure: { kind, details } })
    }
  })
})
