/**
 * The state of accounts and containers of Swift as the audit log shows it: who has access, and what is set beside it. Pure.
 *
 * Promises  Contains no key: those of temporary URLs are hidden, and that of a synchronization is left out.
 */
import type { SwiftAccount } from "@hayloft/engine/format/swift/swift-account.js"
import type { SwiftContainer } from "@hayloft/engine/format/swift/swift-container.js"
import type { SwiftSync } from "@hayloft/engine/format/swift/swift-sync.js"
import { isSecret, type SwiftMetadata } from "./metadata-core.js"

const shownItems = (metadata: SwiftMetadata): Readonly<Record<string, string>> =>
  Object.fromEntries(metadata.map(([name, value]) => [name, isSecret(name) ? "(hidden)" : value]))

export const accountState = ({ metadata, access, quotesEtags, setters, deletedMs }: SwiftAccount): object => ({
  access,
  metadata: shownItems(metadata),
  setters,
  quotesEtags,
  deletedMs,
})

export const containerState = (
  { metadata, read, write, archive, policy, quotesEtags, setters }: SwiftContainer,
  sync: SwiftSync | undefined,
): object => ({
  read,
  write,
  metadata: shownItems(metadata),
  setters,
  archive,
  policy,
  quotesEtags,
  sync: sync && { to: sync.to, setter: sync.setter },
})
