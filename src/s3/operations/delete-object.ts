/** DeleteObject: deletes the latest version, with a delete marker if the bucket is versioned, or one named version. */
import type { Soon } from "../../base/soon.js"
import type { DeleteResult } from "../../object/contract.js"
import type { Answer, ObjectCall } from "../call.js"
import { answerEmpty } from "../call.js"
import type { Field } from "../failures.js"
import { deleteConditionsOf } from "../parse-conditions.js"
import { pastGovernance } from "./locks-of-requests.js"
import { isRemote, removeRemote } from "./remote-object.js"
import { versionHeader, versionIdOf } from "./versions.js"

export function deleteObject(call: ObjectCall): Soon<Answer> {
  const { services, bucket, key } = call
  const versionId = versionIdOf(call)
  const request = { bucket, key, versionId, conditions: deleteConditionsOf(call) }
  if (isRemote(bucket)) return removeRemote(call, request).then(() => answerEmpty(204))
  const removing = pastGovernance(call, { bucket, key, versionId }, bypassGovernance =>
    services.objects.remove({ ...request, bypassGovernance }),
  )
  return removing.then(deleted => answerEmpty(204, deletedFields(deleted)))
}

const deletedFields = ({ deleteMarker, versionId }: DeleteResult): readonly Field[] => [
  ...(deleteMarker ? [["x-amz-delete-marker", "true"] as const] : []),
  ...versionHeader(versionId),
]
