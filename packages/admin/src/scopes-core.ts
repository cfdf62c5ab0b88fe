/** Scopes: which operations of the admin API a token may use. Pure. */
import type { ChangeScope } from "@hayloft/features/operator/index.js"
import type { TokenScope } from "@hayloft/engine/format/accounts/admin-token.js"
import type { AdminOperation } from "./operation.js"

type Scoped = Pick<AdminOperation, "path" | "method" | "isRead" | "scope">

/**
 * By the first segment of the path after `/v1/`: what it takes to change something there, unless the operation says more.
 * In other areas it takes `all`: a mistake there would make data unreadable for ever, or open to others.
 */
const OF_AREA: ReadonlyMap<string, ChangeScope> = new Map<string, ChangeScope>([
  ...["buckets", "denials"].map(area => [area, "buckets"] as const),
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
    "trace",
    "traffic",
    "events",
  ].map(area => [area, "devices"] as const),
])

const scopeOf = ({ path, scope }: Scoped): ChangeScope => scope ?? OF_AREA.get(path.split("/")[2] ?? "") ?? "all"

/** The scopes of which one is enough: `read` allows all that changes nothing, but not to list tokens. */
export function scopesFor(operation: Scoped): readonly TokenScope[] {
  const scope = scopeOf(operation)
  const isRead = (operation.method === "GET" || operation.isRead === true) && !operation.path.startsWith("/v1/tokens")
  return [...(isRead ? (["read"] as const) : []), ...(scope === "all" ? [] : [scope]), "all"]
}

export const mayUse = (scopes: readonly TokenScope[], operation: Scoped): boolean =>
  scopesFor(operation).some(scope => scopes.includes(scope))
