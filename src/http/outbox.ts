/**
 * Outbox: what is answered within one turn of the event loop leaves at its end, answer after answer.
 *
 * A client on the same machine that sleeps between two answers has to be woken for each, by the thread that writes:
 * as much work again as the rest of a small request. Those that come close behind one another find it awake.
 */
import type { Socket } from "node:net"
import { KIB } from "../base/limits.js"
import type { Clock } from "../seams/clock/contract.js"

/** Of one connection; more is waited for, so that nobody has answers made who does not take them. */
const HELD_BYTES_MAX = 64 * KIB

export class Outbox {
  private held: Socket[] = []

  constructor(private readonly clock: Pick<Clock, "atEndOfTurn">) {}

  /** Writes at the end of this turn; false where that, or what was written before, has to be waited for. */
  send(socket: Socket, answer: Uint8Array | string): boolean {
    const isHeld = socket.writableCorked > 0
    const isFree = isHeld || socket.writableLength === 0
    if (isFree && !isHeld) {
      socket.cork()
      if (this.held.push(socket) === 1) this.clock.atEndOfTurn(this.letGo)
    }
    socket.write(answer, "latin1")
    return isFree && socket.writableLength <= HELD_BYTES_MAX
  }

  private readonly letGo = (): void => {
    const leaving = this.held
    this.held = []
    for (const socket of leaving) socket.uncork()
  }
}
