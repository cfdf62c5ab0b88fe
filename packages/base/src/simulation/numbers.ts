/**
 * Numbers from the programs of others: one that cannot be would stop the simulated clock, loop for ever or be taken for
 * another, so it is refused with the code `invalidNumber`.
 */
import { LibraryError } from "../library-error.js"
import type { Random } from "../seams/random/contract.js"

/** The longest limit, delay and jump: about 30 years, at which the clock still tells microseconds apart. */
export const SPAN_MS_MAX = 1e12
export const CHANCE_MAX = 2 ** 32
const RANDOM_BYTES_MAX = 2 ** 30

/** A span of simulated time, from which each delay is drawn. */
export interface Delay {
  readonly least: number
  readonly most: number
}

const refuse = (message: string): LibraryError<"invalidNumber"> => new LibraryError("invalidNumber", message)

export function checkNumber(name: string, value: number, least = -Infinity, most = Infinity): void {
  if (!(value >= least && value <= most)) throw refuse(`${name} is a number from ${least} to ${most}, not ${value}`)
}

export function checkWhole(name: string, value: number, least = 0, most = Number.MAX_SAFE_INTEGER): void {
  if (!Number.isSafeInteger(value) || value < least || value > most)
    throw refuse(`${name} is a whole number from ${least} to ${most}, not ${value}`)
}

export function checkDelay(name: string, { least, most }: Delay): void {
  checkNumber(`least of ${name}`, least, 0, SPAN_MS_MAX)
  checkNumber(`most of ${name}`, most, least, SPAN_MS_MAX)
}

/** Random numbers as programs of others draw them. */
export class ProgramRandom implements Random {
  constructor(private readonly random: Random) {}

  below(limit: number): number {
    checkWhole("the limit of below", limit, 1, CHANCE_MAX)
    return this.random.below(limit)
  }

  bytes(count: number): Uint8Array {
    checkWhole("the count of bytes", count, 0, RANDOM_BYTES_MAX)
    return this.random.bytes(count)
  }

  fork(name: string): Random {
    return new ProgramRandom(this.random.fork(name))
  }
}
