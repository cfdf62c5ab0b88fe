/**
 * Answers of one turn of the event loop, which leave together at its end, connection by connection.
 *
 * A client on the same machine that sleeps between two answers has to be woken for each, by the thread that writes:
 * as much work again as the rest of a small request. Answers that come close behind one another find it awake.
 */
import type { Socket } from "node:net"
import { KIB } from "../base/limits.js"
import type { Clock } from "../seams/clock/contract.js"

/** Limit of one connection: beyond it the server waits, and makes no answers that its client does not take. */
const BATCH_BYTES_MAX = 64 * KIB

export class ResponseBatch {
  private sockets: Socket[] = []

  constructor(private readonly clock: Pick<Clock, "atEndOfTurn">) {}

  /** Writes at the end of this turn; returns false if this write, or an earlier one, has to be waited for. */
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
