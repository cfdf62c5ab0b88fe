/** The first required action of a request and its resource, as policies write them, for reports of denials. Pure. */
import { textOfObjectKey } from "../../base/ids.js"
import type { Headers } from "../../base/request-headers.js"
import type { S3Target } from "../wire/target.js"
import { scopeOf } from "./actions.js"
import { actionsOf } from "./required-actions-core.js"
import type { RequiredActions } from "./required-actions-core.js"

interface RequestedActions {
  readonly action: string
  readonly resource: string
}

/** The first required action; undefined if it depends on the body, or there is none. */
export function requestedOf(
  requiredActions: RequiredActions | readonly [],
  { bucket, rawKey }: S3Target,
  headers: Headers,
  namesVersion: boolean,
): RequestedActions | undefined {
  const [action] = requiredActions === "eachKey" ? [] : actionsOf(requiredActions, headers, namesVersion)
  if (action === undefined) return undefined
  const scope = bucket === undefined ? "service" : scopeOf(action)
  const path = scope === "object" ? `${bucket ?? ""}/${rawKey ?? ""}` : (bucket ?? "*")
  return { action: `s3:${action}`, resource: `arn:aws:s3:::${scope === "service" ? "*" : textOfObjectKey(path)}` }
}
