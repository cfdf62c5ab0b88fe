/** Rights that a request was let in by, compared with those that its sender has now: for requests that wait. */
import { isDeepStrictEqual } from "node:util"
import { unlessFails } from "@hayloft/base/failures.js"
import type { ConsoleHolder } from "../admin-port/console-sessions.js"
import type { KnownAccessKey } from "../contract.js"

/** Returns true if the owners of both keys may do the same. */
export const hasSameRights = (one: KnownAccessKey, other: KnownAccessKey): boolean =>
  one === other ||
  (one.secret === other.secret &&
    isDeepStrictEqual(
      [one.account.id, one.principal, one.policies],
      [other.account.id, other.principal, other.policies],
    ))

/** Returns true if `again`, which finds out once more who sends a request, finds the same holder with the same rights. */
export async function isStillHolder(holder: ConsoleHolder, again: () => Promise<ConsoleHolder>): Promise<boolean> {
  const now = await unlessFails(again(), "accessDenied", "accessForbidden", "outOfScope")
  switch (holder.kind) {
    case "operator":
      return now?.kind === "operator"
    case "token":
      return now?.kind === "token" && now.token.id === holder.token.id
    case "principal":
      return now?.kind === "principal" && hasSameRights(holder.key, now.key)
  }
}
