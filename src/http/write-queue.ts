/**
 * How a connection takes what was written to it, also in the middle of a write: Node tells of a write's end only,
 * and one of a mebibyte lasts minutes with a slow receiver.
 */
import type { Socket } from "node:net"

export class WriteQueue {
  private waitingBytes = 0

  constructor(private readonly socket: Socket) {}

  /** What has left the system's queue since the last look, as far as no more came into it. */
  leftBytes(): number {
    const before = this.waitingBytes
    this.waitingBytes = bytesWaitingAt(fieldOf(this.socket, "_handle"))
    return Math.max(0, before - this.waitingBytes)
  }
}

/** As Node's own timeouts of sockets look at it; below TLS lies the connection, with a queue of its own. */
function bytesWaitingAt(handle: unknown): number {
  if (handle === undefined) return 0
  return Number(fieldOf(handle, "writeQueueSize") ?? 0) + bytesWaitingAt(fieldOf(handle, "_parent"))
}

const fieldOf = (value: unknown, name: string): unknown =>
  typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined
