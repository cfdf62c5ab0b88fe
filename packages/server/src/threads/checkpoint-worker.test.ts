/** A checkpoint thread reports progress, or it would be given up in the middle of a long scan. */
import assert from "node:assert/strict"
import { on } from "node:events"
import { mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test } from "node:test"
import { Worker } from "node:worker_threads"
import { parseDeviceId, parseIncarnation, parseLogSequence } from "@hayloft/base/ids.js"
import { parseCheckpointReply, type CheckpointOrder } from "@hayloft/node/metadata/checkpoint-protocol.js"

test("a thread whose device responds reports progress before its reply", async () => {
  const path = mkdtempSync(join(tmpdir(), "hayloft-worker-"))
  for (const name of ["base", "log"]) mkdirSync(join(path, name))
  const worker = new Worker(new URL("./checkpoint-worker.js", import.meta.url))
  const device = { id: parseDeviceId("00000000000000d1"), path, incarnation: parseIncarnation(1) }
  const [after, upTo] = [parseLogSequence(0), parseLogSequence(0)]
  const order: CheckpointOrder = { id: 7, work: { kind: "scrubLog", request: { device, after, upTo } } }
  try {
    const heard = on(worker, "message")
    worker.postMessage(order)
    const kinds: string[] = []
    for await (const [message] of heard) {
      const { id, goesOn, answer } = parseCheckpointReply(message)
      assert.equal(id, order.id)
      kinds.push(goesOn === true ? "goes on" : answer === undefined ? "failed" : "done")
      if (goesOn !== true) break
    }
    assert.deepEqual(kinds, ["goes on", "done"])
  } finally {
    await worker.terminate()
    rmSync(path, { recursive: true })
  }
})
