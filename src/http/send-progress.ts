/**
 * How much of what was written a client has taken, also in the middle of a write: Node reports only a write's end,
 * and one of a mebibyte lasts minutes with a slow receiver.
 */
import type { Socket } from "node:net"

export class SendProgress {
  private queuedBytes = 0

  constructor(private readonly socket: Socket) {}

  /** Bytes that have left the system's queue since the last call, as far as no more came into it. */
  sentBytes(): number {
    const before = this.queuedBytes
    this.queuedBytes = bytesQueuedAt(fieldOf(this.socket, "_handle"))
    return Math.max(0, before - this.queuedBytes)
  }
}

/** Read as Node's own timeouts of sockets do; below TLS lies the connection, with a queue of its own. */
function bytesQueuedAt(handle: unknown): number {
  if (handle === undefined) return 0
  return Number(fieldOf(handle, "writeQueueSize") ?? 0) + bytesQueuedAt(fieldOf(handle, "_parent"))
}

const fieldOf = (value: unknown, name: string): unknown =>
  typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined
