/**
 * Lent values: they are in memory that is reused. The type prevents code from keeping one as its
 * own, also after an `await`.
 *
 * Promises  A lent value is valid until its lender lends the next one, and never beyond the current event-loop turn.
 */
import type { Soon } from "../soon.js"

export class Lent<T> {
  constructor(private readonly value: T) {}

  /** The value, which the caller must neither keep nor change. */
  borrow(): T {
    return this.value
  }
}

/** Bytes: lent if they are available, owned by the caller if they must be awaited. */
export type LentSoon<Own = Uint8Array | undefined> = Lent<Uint8Array> | Promise<Own>

/** Bytes that the caller owns: a copy if they are lent. */
export const owned = <Own>(bytes: LentSoon<Own>): Soon<Own | Uint8Array> =>
  bytes instanceof Promise ? bytes : Uint8Array.from(bytes.borrow())
