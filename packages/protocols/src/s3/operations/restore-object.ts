/** RestoreObject: makes an archived version readable for some days. */
import type { S3Answer, ObjectCall } from "../call.js"
import { answerEmpty } from "../call.js"
import { readRequiredDocument } from "../read-document.js"
import { readRestoreRequest, RESTORE_DOCUMENT } from "../wire/restore.js"
import { versionIdOf } from "./versions.js"

/** 202 for a version that was not readable, 200 for a restore that is prolonged or cut. */
export async function restoreObject(call: ObjectCall): Promise<S3Answer> {
  const { services, bucket, key, permissions } = call
  const versionId = versionIdOf(call)
  const target = { bucket, key, ...(versionId !== undefined && { versionId }) }
  const request = readRestoreRequest(await readRequiredDocument(call.body, RESTORE_DOCUMENT, undefined, "optional"))
  // The document may arrive slowly: another object may have replaced this one meanwhile, so check again.
  await permissions.require("RestoreObject", target)
  const wasRestored = await services.archives.restore(target, request)
  return answerEmpty(wasRestored ? 200 : 202)
}
