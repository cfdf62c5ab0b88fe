/** The source of a copy: bucket, key, version and conditions, with the right to read it. */
import type { CopySource, EncryptionCheck } from "@hayloft/objects/contract.js"
import type { ObjectCall } from "./call.js"
import { sourceKeyOf } from "./operations/encryption-of-requests.js"
import { requireKey } from "./operations/kms-of-requests.js"
import { segmentsFor } from "./operations/segments.js"
import { parseVersion } from "./operations/versions.js"
import { readConditionsOf } from "./parse-conditions.js"
import { actionsOf, REQUIRED_ACTIONS } from "./rights/required-actions-core.js"
import { copyUnchanged } from "./rights/seen-objects.js"
import { parseCopySource } from "./wire/copy-source.js"
import { keyOfByteString } from "./wire/target.js"

/**
 * Copies the source that a call names, once the caller may read it. If it is replaced before it is open, the caller needs the
 * rights on the new one, and `copy` begins again. Throws `noSuchBucket`, `accessDenied`, `invalidArgument`, `invalidKey`,
 * `keyTooLong`, `conflict`, and as `copy`.
 */
export const copySource = <Copied>(call: ObjectCall, copy: (source: CopySource) => Promise<Copied>): Promise<Copied> =>
  copyUnchanged(
    () => call.permissions.wasObjectReplaced(),
    async checkOpened => copy({ ...(await sourceOf(call)), checkOpened }),
  )

async function sourceOf(call: ObjectCall): Promise<CopySource> {
  const { headers, permissions, nowMs } = call
  const { bucket: name, rawKey, versionId: version } = parseCopySource(headers.get("x-amz-copy-source") ?? "")
  const bucket = await call.openSource(name)
  const versionId = version === undefined ? undefined : parseVersion(version)
  const place = { bucket, key: keyOfByteString(rawKey), ...(versionId !== undefined && { versionId }) }
  permissions.setReadPlace(place)
  for (const action of actionsOf(REQUIRED_ACTIONS.getObject, headers, versionId !== undefined)) {
    await permissions.require(action, place)
  }
  const checkEncryption: EncryptionCheck = encryption => requireKey(call, encryption)
  return {
    ...place,
    checkEncryption,
    clientKey: sourceKeyOf(call),
    conditions: readConditionsOf(headers, nowMs, "x-amz-copy-source-"),
    openSegment: segmentsFor(call, bucket.owner),
  }
}
