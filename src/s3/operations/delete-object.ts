/** DeleteObject: of the latest version, by a marker where versions are kept, or of one version for good. */
import type { DeleteResult } from "../../object/contract.js"
import type { Answer, ObjectCall } from "../call.js"
import { answerEmpty } from "../call.js"
import type { Field } from "../failures.js"
import { writeConditionsOf } from "../parse-conditions.js"
import { versionHeader, versionIdOf } from "./versions.js"

export async function deleteObject(call: ObjectCall): Promise<Answer> {
  const { services, bucket, key, headers } = call
  const versionId = versionIdOf(call)
  const deleted = await services.objects.remove({
    bucket,
    key,
    ...(versionId !== undefined && { versionId }),
    conditions: writeConditionsOf(headers),
  })
  return answerEmpty(204, deletedFields(deleted))
}

export const deletedFields = ({ deleteMarker, versionId }: DeleteResult): readonly Field[] => [
  ...(deleteMarker ? [["x-amz-delete-marker", "true"] as const] : []),
  ...versionHeader(versionId),
]
