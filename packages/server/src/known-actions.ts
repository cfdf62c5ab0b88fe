/** Every action that access policies may name, of all services of this store. */
import type { KnownActions } from "@hayloft/access/index.js"
import { adminActions } from "@hayloft/admin/index.js"
import { coordActions } from "@hayloft/protocols/coord-api/index.js"
import { ACTIONS } from "@hayloft/protocols/iam/index.js"
import { k2vActions } from "@hayloft/protocols/k2v/index.js"
import { kmsActions } from "@hayloft/protocols/kms/index.js"
import { queueActions } from "@hayloft/protocols/queue-api/index.js"
import { S3_ACTIONS } from "@hayloft/protocols/s3/index.js"
import { swiftActions } from "@hayloft/protocols/swift/index.js"
import { MINIO_CALLS, minioActionOf } from "./minio/admin/calls.js"

export function knownActions(): KnownActions {
  const ofIam = Object.entries(ACTIONS).flatMap(([service, actions]) =>
    Object.keys(actions).map(name => `${service}:${name}`),
  )
  // `sts:TagSession` is for session tags, which AssumeRole may have.
  const ofAws = [...ofIam, "sts:TagSession", ...kmsActions()]
  const ofProtocols = [...k2vActions(), ...queueActions(), ...coordActions(), ...swiftActions()]
  const ofOperators = [...adminActions(), ...[...MINIO_CALLS.values()].map(minioActionOf)]
  const others = [...ofAws, ...ofProtocols, ...ofOperators]
  return new Map([...S3_ACTIONS, ...others.map(name => [name, undefined] as const)])
}
