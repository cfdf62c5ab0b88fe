/** Scopes: which operations of the admin API a token may use. Pure. */
import { must } from "@hayloft/base/assert.js"
import type { TokenScope } from "@hayloft/engine/format/accounts/admin-token.js"
import type { AdminOperation } from "./operation.js"

type Scoped = Pick<AdminOperation, "path" | "method" | "isRead">
type ChangeScope = Exclude<TokenScope, "read">

/** By the first segment of the path after `/v1/`: what it takes to change something there. */
const OF_AREA: ReadonlyMap<string, ChangeScope> = new Map<string, ChangeScope>([
  ["buckets", "buckets"],
  ["denials", "buckets"],
  ["queues", "buckets"],
  ...["accounts", "keys", "policy", "ldap"].map(area => [area, "identities"] as const),
  ...[
    "status",
    "devices",
    "layout",
    "nodes",
    "redundancy",
    "jobs",
    "backup",
    "repair",
    "scrub",
    "orphans",
    "pending",
    "simulations",
    "hot-copies",
  ].map(area => [area, "devices"] as const),
  ...["trace", "traffic", "events"].map(area => [area, "devices"] as const),
  // The same scope as for clients, below /coord/.
  ["coordination", "all"],
  // The output of a module is served in the place of an object.
  ["transforms", "all"],
  // Which other stores there are is in a file of the operator.
  ["remotes", "all"],
  // A mistake in these areas would make data unreadable for ever, or open to others.
  ...["kms", "master-key", "erasures", "cluster", "reconciliation", "tokens", "audit"].map(
    area => [area, "all"] as const,
  ),
])

/** Nothing brings back what these operations remove. */
const ERASE = /\/(?:erase|undelete\/purge)$/
/** A policy opens a bucket to others, and a lifecycle rule removes its objects. */
const SETTINGS = /^\/v1\/buckets\/[^/]+\/settings\//
/** Jobs on objects, and inventories, act as the root user of the bucket's owner, and links as any key. */
const AS_OTHERS = /^\/v1\/buckets\/[^/]+\/(?:jobs|share|inventory)$/
/** Fills the bucket of another store, with the operator's key of it, and removes objects there. */
const ELSEWHERE = /^\/v1\/buckets\/[^/]+\/copies\//

function scopeOf({ path, method }: Pick<AdminOperation, "path" | "method">): ChangeScope {
  const scope = must(OF_AREA.get(path.split("/")[2] ?? ""), "each operation has a scope")
  const takesAll = method !== "GET" && [ERASE, SETTINGS, AS_OTHERS, ELSEWHERE].some(pattern => pattern.test(path))
  return takesAll ? "all" : scope
}

/** The scopes of which one is enough: `read` allows all that changes nothing, but not to list tokens. */
export function scopesFor(operation: Scoped): readonly TokenScope[] {
  const scope = scopeOf(operation)
  const isRead = (operation.method === "GET" || operation.isRead === true) && !operation.path.startsWith("/v1/tokens")
  return [...(isRead ? (["read"] as const) : []), ...(scope === "all" ? [] : [scope]), "all"]
}

export const mayUse = (scopes: readonly TokenScope[], operation: Scoped): boolean =>
  scopesFor(operation).some(scope => scopes.includes(scope))
