/** What a request asks for, in the words of policies, before it is understood as a whole: for people. Pure. */
import { textOfObjectKey } from "../../base/ids.js"
import type { Headers } from "../../base/request-headers.js"
import type { S3Target } from "../wire/target.js"
import { scopeOf } from "./actions.js"
import { actionsOf } from "./needs-core.js"
import type { Needs } from "./needs-core.js"

export interface Asked {
  readonly action: string
  readonly resource: string
}

/** The first that it needs; undefined where that follows from its body, or there is none. */
export function askedOf(
  needs: Needs | readonly [],
  { bucket, rawKey }: S3Target,
  headers: Headers,
  namesVersion: boolean,
): Asked | undefined {
  const [action] = needs === "eachKey" ? [] : actionsOf(needs, headers, namesVersion)
  if (action === undefined) return undefined
  const scope = bucket === undefined ? "service" : scopeOf(action)
  const path = scope === "object" ? `${bucket ?? ""}/${rawKey ?? ""}` : (bucket ?? "*")
  return { action: `s3:${action}`, resource: `arn:aws:s3:::${scope === "service" ? "*" : textOfObjectKey(path)}` }
}
