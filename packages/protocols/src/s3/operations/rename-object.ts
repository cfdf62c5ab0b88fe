/**
 * RenameObject: an object gets another key, of one moment. Amazon has it for directory buckets only, and within one; here it
 * is for all, also from one bucket to another, with versions and object lock too. Versions other than the latest keep their key.
 */
import { fail, isFailure } from "@hayloft/base/failures.js"
import type { ObjectKey } from "@hayloft/base/ids.js"
import type { Bucket, RenameRequest } from "@hayloft/objects/contract.js"
import { namingSource } from "@hayloft/objects/index.js"
import type { S3Answer, ObjectCall } from "../call.js"
import { answerEmpty } from "../call.js"
import { fenceConditionsOf, renameConditionsOf } from "../parse-conditions.js"
import { actionsOf, REQUIRED_ACTIONS } from "../rights/required-actions-core.js"
import { parseRenameSource, RENAME_SOURCE_HEADER } from "../wire/rename-source.js"
import { keyOfByteString } from "../wire/target.js"
import { aclOfNewObject } from "./acl.js"
import { encryptionOfNew, requireNoMethod } from "./encryption-of-requests.js"
import { requireKey } from "./kms-of-requests.js"
import { isRemote } from "./remote-object.js"
import { writtenVersionHeader } from "./versions.js"

const TOKEN_HEADER = "x-amz-client-token"

/** "A unique string with a max of 64 ASCII characters in the ASCII range of 33 - 126." */
function clientTokenOf({ headers }: ObjectCall): string | undefined {
  const text = headers.get(TOKEN_HEADER)
  if (text === undefined || /^[\x21-\x7e]{1,64}$/.test(text)) return text
  throw fail("invalidArgument", { argumentName: TOKEN_HEADER, argumentValue: text.slice(0, 80) })
}

/** The right to read the source, to remove it, and to give its tags to the new key. Throws `accessDenied`, `noSuchKey`. */
async function requireSource(call: ObjectCall, source: Source) {
  const { bucket, key, permissions, services, headers } = call
  permissions.setReadPlace(source)
  await permissions.require("GetObject", source)
  await permissions.require("DeleteObject", source)
  const [readTags] = actionsOf(REQUIRED_ACTIONS.getObjectTagging, headers, false)
  const mayReadTags = readTags !== undefined && (await permissions.may(readTags, source))
  if (mayReadTags && (await permissions.may("PutObjectTagging", { bucket, key }))) return
  const { tags } = await services.objects.getTags(source)
  if (tags.length > 0) throw fail("accessDenied")
}

/**
 * Returns true if nothing may be renamed, because only an earlier request with the token may have done it. Throws as
 * `requireSource`.
 */
async function isSourceGone(call: ObjectCall, source: Source, clientToken: string | undefined): Promise<boolean> {
  try {
    await requireSource(call, source)
    return false
  } catch (error) {
    if (clientToken === undefined || !isFailure(error, "noSuchKey")) throw namingSource(error, source.key)
    return true
  }
}

interface Source {
  readonly bucket: Bucket
  readonly key: ObjectKey
}

/** Throws `notImplemented` for a remote bucket, `noSuchBucket`, `accessDenied`, `invalidArgument`. */
async function sourceOf(call: ObjectCall): Promise<Source> {
  const { bucket, headers } = call
  const { bucket: name, rawKey } = parseRenameSource(headers.get(RENAME_SOURCE_HEADER), bucket.name)
  const source = { bucket: name === bucket.name ? bucket : await call.openSource(name), key: keyOfByteString(rawKey) }
  if (!isRemote(source.bucket)) return source
  throw fail("notImplemented", { message: "A remote bucket does not have RenameObject." })
}

/** The rename that a call requests, once the caller may do it. Throws the faults of the request, `accessDenied`. */
export async function renameRequestOf(call: ObjectCall): Promise<RenameRequest> {
  const { bucket, key, headers, client } = call
  const source = await sourceOf(call)
  const clientToken = clientTokenOf(call)
  const sourceConditions = renameConditionsOf(headers, `${RENAME_SOURCE_HEADER}-`)
  const conditions = { ...renameConditionsOf(headers), ...fenceConditionsOf(call) }
  requireNoMethod(call)
  const isRepeated = await isSourceGone(call, source, clientToken)
  const isElsewhere = source.bucket.id !== bucket.id
  const elsewhere = isElsewhere
    ? { encryption: await encryptionOfNew(call), acl: await aclOfNewObject(call) }
    : undefined
  const checkSource = async (): Promise<void> => {
    if (await isSourceGone(call, source, clientToken)) throw fail("conflict")
  }
  return {
    bucket,
    fromBucket: source.bucket,
    from: source.key,
    to: key,
    sourceConditions,
    conditions,
    clientToken,
    isRepeated,
    checkSource,
    elsewhere,
    signal: client.signal,
    checkEncryption: encryption => requireKey(call, encryption),
  }
}

export async function renameObject(call: ObjectCall): Promise<S3Answer> {
  const { versionId } = await call.services.renames.rename(await renameRequestOf(call))
  return answerEmpty(200, writtenVersionHeader(call.bucket, versionId))
}
