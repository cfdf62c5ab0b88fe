/** Every action that access policies may name, of all services of this store. */
import type { KnownActions } from "../access/index.js"
import { coordActions } from "../coord-api/index.js"
import { ACTIONS } from "../iam/index.js"
import { k2vActions } from "../k2v/index.js"
import { kmsActions } from "../kms/index.js"
import { queueActions } from "../queue-api/index.js"
import { S3_ACTIONS } from "../s3/index.js"

export function knownActions(): KnownActions {
  const ofIam = Object.entries(ACTIONS).flatMap(([service, actions]) =>
    Object.keys(actions).map(name => `${service}:${name}`),
  )
  // `sts:TagSession` is for session tags, which AssumeRole may have.
  const others = [...ofIam, "sts:TagSession", ...kmsActions(), ...k2vActions(), ...queueActions(), ...coordActions()]
  return new Map([...S3_ACTIONS, ...others.map(name => [name, undefined] as const)])
}
