/**
 * Pages of a remote's listing.
 *
 * Promises  A remote whose pages go on without listing anything new is refused.
 */
import { fail } from "@hayloft/base/failures.js"
import { walkRemotePages } from "@hayloft/base/walk-pages.js"
import type { Origin, OriginEntry, OriginListing } from "./contract.js"

export const placeOfOriginEntry = (entry: OriginEntry): string => (entry.kind === "prefix" ? entry.prefix : entry.key)

/** Yields all pages of a listing. Throws as the remote. */
export function originPages(
  origin: Pick<Origin, "list">,
  request: Omit<Parameters<Origin["list"]>[0], "token">,
  signal: AbortSignal,
): AsyncGenerator<OriginListing> {
  let last = request.after
  const showsNothingNew = ({ entries }: OriginListing): boolean => {
    const end = entries.at(-1)
    if (end === undefined || placeOfOriginEntry(end) <= last) return true
    last = placeOfOriginEntry(end)
    return false
  }
  return walkRemotePages<string | undefined, OriginListing>(
    undefined,
    token => origin.list({ ...request, token }, signal),
    showsNothingNew,
    () => fail("remoteRefused", { message: "The remote's listing has no end." }),
  )
}
