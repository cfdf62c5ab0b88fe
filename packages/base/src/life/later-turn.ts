/** Later turn: work that blocks the thread for milliseconds lets other work run in between. */
import type { Clock } from "../seams/clock/contract.js"

/** Resolves in a later turn of the event loop: for work that has blocked the thread for milliseconds and continues. */
export const laterTurn = (clock: Clock): Promise<void> => new Promise(resolve => clock.atEndOfTurn(resolve))
