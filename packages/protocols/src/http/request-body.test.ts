/** The memory that an arriving body uses. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { KIB } from "@hayloft/base/limits.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { HTTP_LIMITS } from "./limits.js"
import { RequestBody } from "./request-body.js"

const hooks = { onArrival: () => undefined, onFlow: () => undefined }

test("a body that arrives byte by byte is buffered in few pieces, with all bytes in order", async () => {
  const bytes = Buffer.from(Array.from({ length: 100 * KIB }, (_, i) => (i * 7) % 251))
  const framing = { contentLength: undefined, isChunked: true }
  const body = new RequestBody(new SimClock(), HTTP_LIMITS, hooks, framing)
  const chunks = [...bytes].map(byte => Buffer.from([0x31, 0x0d, 0x0a, byte, 0x0d, 0x0a]))
  // One packet holds many of them.
  for (let at = 0; at < chunks.length; at += 200) body.receive(Buffer.concat(chunks.slice(at, at + 200)))
  const pieces = body.stream("caller", () => undefined)
  const read: Uint8Array[] = []
  for (let taken = 0; taken < 2; taken += 1) {
    const next = await pieces.next()
    if (next.done !== true) read.push(next.value)
  }
  // Later bytes do not change a piece that was read.
  body.receive(Buffer.from("5\r\nhello\r\n40\r\n" + "x".repeat(64) + "\r\n0\r\n\r\n"))
  for await (const piece of pieces) read.push(piece)
  assert.ok(read.length <= 100 / 8 + 2, `${read.length} pieces`)
  assert.deepEqual(Buffer.concat(read), Buffer.concat([bytes, Buffer.from("hello" + "x".repeat(64))]))
})
