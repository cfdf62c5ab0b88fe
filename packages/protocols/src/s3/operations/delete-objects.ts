/** DeleteObjects: many keys in one request, each with its own result, in the order of the request. */
import { asFailure, fail, isFailure } from "@hayloft/base/failures.js"
import { objectKeyOfText, parsePlainKey } from "@hayloft/base/ids.js"
import type { ObjectKey, VersionId } from "@hayloft/base/ids.js"
import { MIB } from "@hayloft/base/limits.js"
import type { Conditions, DeleteResult } from "@hayloft/objects/contract.js"
import type { S3Answer, BucketCall } from "../call.js"
import { answerXml } from "../call.js"
import { s3ErrorOf } from "../failures.js"
import type { S3Error } from "../failures.js"
import { mapBounded } from "@hayloft/base/life/index.js"
import { readRequiredDocument } from "../read-document.js"
import { exactSizeOf, exactTimeOf, fenceConditionsOf } from "../parse-conditions.js"
import { actionsOf, REQUIRED_ACTIONS } from "../rights/required-actions-core.js"
import { parseStrongETags } from "../wire/etags.js"
import { checkChildren, childrenNamed, childText, requiredText } from "@hayloft/base/text/xml-reader.js"
import type { XmlElement } from "@hayloft/base/text/xml-reader.js"
import type { XmlWriter } from "../wire/xml-writer.js"
import { pastGovernance } from "./locks-of-requests.js"
import { isRemote, removeRemote } from "./remote-object.js"
import { parseVersion } from "./versions.js"

const KEYS_MAX = 1000
/** S3's own limit for this document; a key uses at most six elements. */
const DOCUMENT_LIMITS = { bytesMax: 2 * MIB, elementsMax: 6 * KEYS_MAX + 2 }
/** Deletes that are started in one turn, which takes 2 to 4 ms. */
const DELETES_A_TURN = 64
/** Groups in progress: while one is being logged, the next is decided. */
const CONCURRENT_GROUPS_MAX = 2

interface RequestedDeletion {
  /** The key in the text that the client wrote; the answer repeats it. */
  readonly keyText: string
  readonly versionText: string | undefined
  readonly etag: string | undefined
  readonly modified: string | undefined
  readonly size: string | undefined
}

function requestedOf(object: XmlElement): RequestedDeletion {
  checkChildren(object, ["Key", "VersionId", "ETag", "LastModifiedTime", "Size"])
  const versionText = childText(object, "VersionId")
  return {
    keyText: requiredText(object, "Key"),
    versionText: versionText === "" ? undefined : versionText,
    etag: childText(object, "ETag"),
    modified: childText(object, "LastModifiedTime"),
    size: childText(object, "Size"),
  }
}

interface Target {
  readonly key: ObjectKey
  readonly versionId?: VersionId
  readonly conditions: Conditions
}

const NONE: Conditions = {}

function conditionsOf({ etag, modified, size }: RequestedDeletion): Conditions {
  if (etag === undefined && modified === undefined && size === undefined) return NONE
  return {
    ifMatch: etag === undefined ? undefined : parseStrongETags(etag),
    ifMatchModifiedMs: modified === undefined ? undefined : exactTimeOf("LastModifiedTime", modified.trim()),
    ifMatchSize: size === undefined ? undefined : exactSizeOf("Size", size.trim()),
  }
}

/** In a list, an id that no version can have is that of a version that is not there. Throws `noSuchVersion`. */
function versionOf(text: string): VersionId {
  try {
    return parseVersion(text)
  } catch (error) {
    throw text !== "" && isFailure(error, "invalidArgument")
      ? fail("noSuchVersion", { versionId: text.slice(0, 80) })
      : error
  }
}

function targetOf(requested: RequestedDeletion): Target {
  const { keyText, versionText } = requested
  return {
    key: parsePlainKey(keyText) ?? objectKeyOfText(keyText),
    ...(versionText !== undefined && { versionId: versionOf(versionText) }),
    conditions: conditionsOf(requested),
  }
}

type Outcome = { readonly requested: RequestedDeletion } & (
  | { readonly deleted: DeleteResult }
  | { readonly error: S3Error }
)

/** Each key requires the right to delete it; a condition reveals the object, so it requires the right to read. */
async function requireRights({ bucket, headers, permissions }: BucketCall, { key, versionId, conditions }: Target) {
  for (const action of actionsOf(REQUIRED_ACTIONS.deleteObject, headers, versionId !== undefined)) {
    await permissions.require(action, { bucket, key, versionId })
  }
  if (conditions === NONE) return
  await permissions.require(versionId === undefined ? "GetObject" : "GetObjectVersion", { bucket, key, versionId })
}

async function deleteOne(call: BucketCall, requested: RequestedDeletion): Promise<Outcome> {
  const { services, bucket, permissions } = call
  let target: Target | undefined
  try {
    target = targetOf(requested)
    await requireRights(call, target)
    const request = { bucket, ...target, conditions: { ...target.conditions, ...fenceConditionsOf(call) } }
    if (isRemote(bucket)) return { requested, deleted: await removeRemote(call, withoutVersion(request)) }
    const deleted = await pastGovernance(call, request, bypassGovernance =>
      services.objects.remove({ ...request, bypassGovernance }),
    )
    return { requested, deleted }
  } catch (error) {
    return { requested, error: s3ErrorOf(await permissions.visibleFailure(asFailure(error), target?.key)) }
  }
}

function withoutVersion(target: Target): Target {
  if (target.versionId === undefined) return target
  throw fail("notImplemented", { message: "A remote bucket does not have versions." })
}

function* groupsOf(requested: readonly RequestedDeletion[]): Generator<readonly RequestedDeletion[]> {
  for (let at = 0; at < requested.length; at += DELETES_A_TURN) yield requested.slice(at, at + DELETES_A_TURN)
}

async function deleteGroup(call: BucketCall, group: readonly RequestedDeletion[]): Promise<readonly Outcome[]> {
  await call.turn()
  return mapBounded(group, DELETES_A_TURN, requested => deleteOne(call, requested))
}

function writeOutcome(xml: XmlWriter, outcome: Outcome, quiet: boolean): void {
  const { keyText, versionText } = outcome.requested
  if ("error" in outcome) {
    const { code, message } = outcome.error
    xml.group("Error", error =>
      error.text("Key", keyText).text("VersionId", versionText).text("Code", code).text("Message", message),
    )
  } else if (!quiet) {
    const { deleteMarker, versionId } = outcome.deleted
    xml.group("Deleted", deleted => {
      deleted.text("Key", keyText).text("VersionId", versionText)
      if (deleteMarker) deleted.text("DeleteMarker", true).text("DeleteMarkerVersionId", versionId)
    })
  }
}

/** Throws `malformedXml` for no keys and for more than `KEYS_MAX`. */
export async function deleteObjects(call: BucketCall): Promise<S3Answer> {
  const root = await readRequiredDocument(call.body, "Delete", DOCUMENT_LIMITS)
  checkChildren(root, ["Object", "Quiet"])
  const objects = childrenNamed(root, "Object")
  if (objects.length === 0 || objects.length > KEYS_MAX) {
    throw fail("malformedXml", { reason: `one request deletes from 1 to ${KEYS_MAX} keys` })
  }
  const requested = objects.map(requestedOf)
  const quiet = childText(root, "Quiet")?.trim() === "true"
  const outcomes = await mapBounded(groupsOf(requested), CONCURRENT_GROUPS_MAX, group => deleteGroup(call, group))
  return answerXml("DeleteResult", xml => {
    for (const outcome of outcomes.flat()) writeOutcome(xml, outcome, quiet)
  })
}
