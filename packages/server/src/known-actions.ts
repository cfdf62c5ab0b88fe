/** Every action that access policies may name, of all services of this store. */
import type { KnownActions } from "@hayloft/access/index.js"
import { coordActions } from "@hayloft/protocols/coord-api/index.js"
import { ACTIONS } from "@hayloft/protocols/iam/index.js"
import { k2vActions } from "@hayloft/protocols/k2v/index.js"
import { kmsActions } from "@hayloft/protocols/kms/index.js"
import { queueActions } from "@hayloft/protocols/queue-api/index.js"
import { S3_ACTIONS } from "@hayloft/protocols/s3/index.js"

export function knownActions(): KnownActions {
  const ofIam = Object.entries(ACTIONS).flatMap(([service, actions]) =>
    Object.keys(actions).map(name => `${service}:${name}`),
  )
  // `sts:TagSession` is for session tags, which AssumeRole may have.
  const others = [...ofIam, "sts:TagSession", ...kmsActions(), ...k2vActions(), ...queueActions(), ...coordActions()]
  return new Map([...S3_ACTIONS, ...others.map(name => [name, undefined] as const)])
}
