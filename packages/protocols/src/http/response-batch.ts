/**
 * Batches the responses of one turn of the event loop: they are written together at its end, by connection.
 *
 * A client on the same machine that sleeps between two responses must be woken for each one by the writing thread,
 * which doubles the cost of a small request. Responses in quick succession find the client awake.
 */
import type { Socket } from "node:net"
import { KIB } from "@hayloft/base/limits.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"

/** Limit for one connection; beyond it the server waits, so that unread responses do not pile up. */
const BATCH_BYTES_MAX = 64 * KIB

export class ResponseBatch {
  private sockets: Socket[] = []

  constructor(private readonly clock: Pick<Clock, "atEndOfTurn">) {}

  /** Writes at the end of this turn; returns false if the caller must wait for this write or an earlier one. */
  send(socket: Socket, answer: Uint8Array | string): boolean {
    const isInBatch = socket.writableCorked > 0
    const isFree = isInBatch || socket.writableLength === 0
    if (isFree && !isInBatch) {
      socket.cork()
      if (this.sockets.push(socket) === 1) this.clock.atEndOfTurn(this.flush)
    }
    socket.write(answer, "latin1")
    return isFree && socket.writableLength <= BATCH_BYTES_MAX
  }

  private readonly flush = (): void => {
    const { sockets } = this
    this.sockets = []
    for (const socket of sockets) socket.uncork()
  }
}
