/** Receives a body of a known length into memory of the caller. */
import { copyPlainly } from "@hayloft/base/bytes.js"
import { fail } from "@hayloft/base/failures.js"
import type { IncomingBody } from "../rpc/index.js"
import type { Allocate } from "../volume/contract.js"

/** Throws `malformedFrame` if the body has another length, before it allocates memory, and what the body throws. */
export async function receive(body: IncomingBody, lengthBytes: number, allocate: Allocate): Promise<Uint8Array> {
  try {
    if (body.lengthBytes !== lengthBytes) throw fail("malformedFrame", { reason: "length of a shard", lengthBytes })
    const memory = allocate(lengthBytes)
    for (let at = 0; ;) {
      const next = body.read()
      const chunk = next instanceof Promise ? await next : next
      if (chunk === undefined) return memory
      copyPlainly(memory, chunk, at)
      at += chunk.length
    }
  } finally {
    body.discard()
  }
}

/** The same, until the signal fires. */
export async function receiveUntil(
  signal: AbortSignal,
  body: IncomingBody,
  lengthBytes: number,
  allocate: Allocate,
): Promise<Uint8Array> {
  const stop = (): void => body.discard()
  signal.throwIfAborted()
  signal.addEventListener("abort", stop, { once: true })
  try {
    return await receive(body, lengthBytes, allocate)
  } catch (error) {
    signal.throwIfAborted()
    throw error
  } finally {
    signal.removeEventListener("abort", stop)
  }
}
