/**
 * RenameObject: an object gets another key, of one moment. Amazon has it for directory buckets only; here it is for all,
 * with versions and object lock too. Versions other than the latest keep their key.
 */
import { fail, isFailure } from "../../base/failures.js"
import type { ObjectKey } from "../../base/ids.js"
import type { Answer, ObjectCall } from "../call.js"
import { answerEmpty } from "../call.js"
import { fenceConditionsOf, renameConditionsOf } from "../parse-conditions.js"
import { actionsOf, REQUIRED_ACTIONS } from "../rights/required-actions-core.js"
import { parseRenameSource, RENAME_SOURCE_HEADER } from "../wire/rename-source.js"
import { keyOfByteString } from "../wire/target.js"
import { requireNoMethod } from "./encryption-of-requests.js"
import { requireKey } from "./kms-of-requests.js"
import { writtenVersionHeader } from "./versions.js"

const TOKEN_HEADER = "x-amz-client-token"

/** "A unique string with a max of 64 ASCII characters in the ASCII range of 33 - 126." */
function clientTokenOf({ headers }: ObjectCall): string | undefined {
  const text = headers.get(TOKEN_HEADER)
  if (text === undefined || /^[\x21-\x7e]{1,64}$/.test(text)) return text
  throw fail("invalidArgument", { argumentName: TOKEN_HEADER, argumentValue: text.slice(0, 80) })
}

/** The right to read the source, to remove it, and to give its tags to the new key. Throws `accessDenied`, `noSuchKey`. */
async function requireSource({ bucket, key, permissions, services, headers }: ObjectCall, from: ObjectKey) {
  const source = { bucket, key: from }
  permissions.setReadPlace(source)
  await permissions.require("GetObject", source)
  await permissions.require("DeleteObject", source)
  const [readTags] = actionsOf(REQUIRED_ACTIONS.getObjectTagging, headers, false)
  const mayReadTags = readTags !== undefined && (await permissions.may(readTags, source))
  if (mayReadTags && (await permissions.may("PutObjectTagging", { bucket, key }))) return
  const { tags } = await services.objects.getTags(source)
  if (tags.length > 0) throw fail("accessDenied")
}

/** Whether nothing may be renamed, because only an earlier request with the token may have done it. Throws as `requireSource`. */
async function isSourceGone(call: ObjectCall, from: ObjectKey, clientToken: string | undefined): Promise<boolean> {
  try {
    await requireSource(call, from)
    return false
  } catch (error) {
    if (clientToken === undefined || !isFailure(error, "noSuchKey")) throw error
    return true
  }
}

export async function renameObject(call: ObjectCall): Promise<Answer> {
  const { services, bucket, key, headers, client } = call
  const from = keyOfByteString(parseRenameSource(headers.get(RENAME_SOURCE_HEADER), bucket.name))
  const clientToken = clientTokenOf(call)
  const sourceConditions = renameConditionsOf(headers, `${RENAME_SOURCE_HEADER}-`)
  const conditions = { ...renameConditionsOf(headers), ...fenceConditionsOf(call) }
  requireNoMethod(call)
  const isRepeated = await isSourceGone(call, from, clientToken)
  const { versionId } = await services.renames.rename({
    ...{ bucket, from, to: key, sourceConditions, conditions, clientToken, isRepeated },
    checkEncryption: encryption => requireKey(call, encryption),
    signal: client.signal,
  })
  return answerEmpty(200, writtenVersionHeader(call.bucket, versionId))
}
