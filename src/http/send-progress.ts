/**
 * Measures how much of a write a client has received, even during the write: Node reports only its end,
 * and a write of one mebibyte takes minutes with a slow receiver.
 */
import type { Socket } from "node:net"

export class SendProgress {
  private queuedBytes = 0

  constructor(private readonly socket: Socket) {}

  /** Bytes that have left the system's queue since the last call, provided that none were added. */
  sentBytes(): number {
    const before = this.queuedBytes
    this.queuedBytes = bytesQueuedAt(fieldOf(this.socket, "_handle"))
    return Math.max(0, before - this.queuedBytes)
  }
}

/** The same fields that Node reads for socket timeouts; the connection under TLS has a queue of its own. */
function bytesQueuedAt(handle: unknown): number {
  if (handle === undefined) return 0
  return Number(fieldOf(handle, "writeQueueSize") ?? 0) + bytesQueuedAt(fieldOf(handle, "_parent"))
}

const fieldOf = (value: unknown, name: string): unknown =>
  typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined
