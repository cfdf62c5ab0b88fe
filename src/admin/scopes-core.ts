/** Scopes: which operations of the admin API a token may use. Pure. */
import { must } from "../base/assert.js"
import type { TokenScope } from "../format/admin-token.js"
import type { Operation } from "./operation.js"

type ChangeScope = Exclude<TokenScope, "read">

/** By the first segment of the path after `/v1/`: what it takes to change something there. */
const OF_AREA: ReadonlyMap<string, ChangeScope> = new Map<string, ChangeScope>([
  ["buckets", "buckets"],
  ["denials", "buckets"],
  ...["accounts", "keys"].map(area => [area, "identities"] as const),
  ...["status", "devices", "layout", "nodes", "redundancy", "jobs", "repair", "scrub", "orphans"].map(
    area => [area, "devices"] as const,
  ),
  // What a mistake would make unreadable for ever, or open to others.
  ...["kms", "master-key", "erasures", "cluster", "reconciliation", "tokens", "audit"].map(
    area => [area, "all"] as const,
  ),
])

const ERASE = /\/erase$/

function scopeOf({ path }: Pick<Operation, "path">): ChangeScope {
  const scope = must(OF_AREA.get(path.split("/")[2] ?? ""), "each operation has a scope")
  return ERASE.test(path) ? "all" : scope
}

/** The scopes of which one is enough: `read` allows every GET but that of tokens. */
export function scopesFor(operation: Pick<Operation, "path" | "method">): readonly TokenScope[] {
  const scope = scopeOf(operation)
  const isRead = operation.method === "GET" && !operation.path.startsWith("/v1/tokens")
  return [...(isRead ? (["read"] as const) : []), ...(scope === "all" ? [] : [scope]), "all"]
}

export const mayUse = (scopes: readonly TokenScope[], operation: Pick<Operation, "path" | "method">): boolean =>
  scopesFor(operation).some(scope => scopes.includes(scope))
