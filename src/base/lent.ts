/**
 * Lent values: they lie in memory that is used again. The type keeps the compiler from taking one for the caller's
 * own, also after an `await`.
 *
 * Promises  A lent value is good until its lender lends the next one, and never beyond the turn.
 */
import type { Soon } from "./soon.js"

export class Lent<T> {
  constructor(private readonly value: T) {}

  /** The value, which must neither be kept nor changed. */
  borrow(): T {
    return this.value
  }
}

/** Bytes: lent if they are available, the caller's own if they have to be awaited. */
export type LentSoon<Own = Uint8Array | undefined> = Lent<Uint8Array> | Promise<Own>

/** The caller's own bytes: a copy, if they are lent. */
export const owned = <Own>(bytes: LentSoon<Own>): Soon<Own | Uint8Array> =>
  bytes instanceof Promise ? bytes : Uint8Array.from(bytes.borrow())
