/** DeleteObject: deletes the latest version, with a delete marker if the bucket is versioned, or one named version. */
import type { Soon } from "@hayloft/base/soon.js"
import type { DeleteResult } from "@hayloft/objects/contract.js"
import type { S3Answer, ObjectCall } from "../call.js"
import { answerEmpty } from "../call.js"
import { deleteConditionsOf } from "../parse-conditions.js"
import { pastGovernance } from "./locks-of-requests.js"
import { isRemote, removeRemote } from "./remote-object.js"
import { versionHeader, versionIdOf } from "./versions.js"
import type { HeaderField } from "@hayloft/base/http/request-headers.js"

export function deleteObject(call: ObjectCall): Soon<S3Answer> {
  const { services, bucket, key } = call
  const versionId = versionIdOf(call)
  const request = { bucket, key, versionId, conditions: deleteConditionsOf(call) }
  if (isRemote(bucket)) return removeRemote(call, request).then(() => answerEmpty(204))
  const removing = pastGovernance(call, { bucket, key, versionId }, bypassGovernance =>
    services.objects.remove({ ...request, bypassGovernance }),
  )
  return removing.then(deleted => answerEmpty(204, deletedFields(deleted)))
}

const deletedFields = ({ deleteMarker, versionId }: DeleteResult): readonly HeaderField[] => [
  ...(deleteMarker ? [["x-amz-delete-marker", "true"] as const] : []),
  ...versionHeader(versionId),
]
