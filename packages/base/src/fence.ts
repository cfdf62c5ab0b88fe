/**
 * Fences: what acquiring a lock returns (Chubby calls it a sequencer). A client shows one with a write, which is
 * refused once the lock is not held any more. As text: `jobs/leader:exclusive:1795680000123`.
 *
 * Source  Burrows, "The Chubby lock service for loosely-coupled distributed systems", section 2.4.
 */
import { fail } from "./failures.js"
import { parseCoordPath, type AccountId, type CoordPath } from "./ids.js"

/** Numbers of these are on disk: append only. */
export const LOCK_MODES = ["exclusive", "shared"] as const
export type LockMode = (typeof LOCK_MODES)[number]

export interface Fence {
  readonly account: AccountId
  readonly path: CoordPath
  readonly mode: LockMode
  /** The token of this acquisition, greater than that of every earlier one of the namespace. */
  readonly token: number
}

export const FENCE_HEADER = "x-hayloft-fence"

const FENCE = /^([^:]{1,512}):(exclusive|shared):([1-9]\d{0,15})$/

export const textOfFence = ({ path, mode, token }: Omit<Fence, "account">): string => `${path}:${mode}:${token}`

/** A fence of a lock of the account. Throws `invalidArgument`. */
export function parseFence(text: string, account: AccountId): Fence {
  const [, path, mode, token] = FENCE.exec(text) ?? []
  const number = Number(token)
  if (path === undefined || !Number.isSafeInteger(number))
    throw fail("invalidArgument", {
      argumentName: FENCE_HEADER,
      argumentValue: text.slice(0, 80),
      message: "A fence is the path of a lock, its mode and a token, as acquiring the lock returned it.",
    })
  return { account, path: parseCoordPath(path), mode: mode === "shared" ? "shared" : "exclusive", token: number }
}
