/** Segments of a large object, opened for the caller of a request: who reads the whole must be allowed to read each of them. */
import { fail } from "@hayloft/base/failures.js"
import type { AccountId } from "@hayloft/base/ids.js"
import type { Soon } from "@hayloft/base/soon.js"
import type { ObjectBody, ObjectInfo, OpenSegment } from "@hayloft/objects/contract.js"
import { LARGE_OBJECT_LIMITS, openSegments } from "@hayloft/objects/index.js"
import type { ObjectCall } from "../call.js"
import { actionsOf, REQUIRED_ACTIONS } from "../rights/required-actions-core.js"
import { openUnchanged, SeenObjects } from "../rights/seen-objects.js"
import { keyOfByteString } from "../wire/target.js"
import { requireKey } from "./kms-of-requests.js"
import { isRemote } from "./remote-object.js"

type Place = Pick<Parameters<OpenSegment>[0], "container" | "key">

/** An object of an account, that of the large object. Throws `noSuchBucket`, `accessDenied`, `invalidKey`. */
async function placeOf(call: ObjectCall, owner: AccountId, { container, key }: Place, seen: SeenObjects) {
  const bucket = await call.openSource(container)
  // A container of another account has another path.
  if (bucket.owner !== owner) throw fail("noSuchBucket")
  if (isRemote(bucket)) throw fail("notImplemented", { message: "A remote bucket does not have segments." })
  const place = { bucket, key: keyOfByteString(key) }
  for (const action of actionsOf(REQUIRED_ACTIONS.getObject, call.headers, false))
    await call.permissions.require(action, place, seen)
  return place
}

/** Opens a segment as it was when the caller was allowed to read it. Throws as `placeOf`, and as `open`. */
async function openAllowed(
  call: ObjectCall,
  owner: AccountId,
  at: Place,
  open: (place: Awaited<ReturnType<typeof placeOf>>) => Soon<ObjectBody>,
): Promise<ObjectBody> {
  const seen = new SeenObjects()
  const place = await placeOf(call, owner, at, seen)
  return openUnchanged({
    open: () => open(place),
    close: body => body.close(),
    wasReplaced: () => seen.wereReplaced(),
    decideAgain: () => placeOf(call, owner, at, seen),
  })
}

/**
 * Returns what the caller would get there, in the account of the call's bucket. Throws as `placeOf`, and `noSuchKey`.
 */
export async function segmentInfo(call: ObjectCall, at: Place): Promise<ObjectInfo> {
  const body = await openAllowed(call, call.bucket.owner, at, place =>
    call.services.objects.get({ ...place, conditions: {}, headersOnly: true }),
  )
  body.close()
  return body.info
}

/** `owner`: the account of the large object, which a copy reads from another one; `depth`: of the large object whose segments are opened, within others. */
export const segmentsFor =
  (call: ObjectCall, owner = call.bucket.owner, depth = 1): OpenSegment =>
  (segment, { first, lengthBytes }): Promise<ObjectBody> => {
    const { nestingMax } = LARGE_OBJECT_LIMITS
    if (depth > nestingMax)
      throw fail("segmentChanged", { message: `large objects are nested more than ${nestingMax} deep` })
    const { services, client } = call
    const request = {
      range: { kind: "fromTo", first, last: first + lengthBytes - 1 } as const,
      conditions: { ifMatch: [segment.etag] },
      checkEncryption: (encryption: ObjectInfo["encryption"]) => requireKey(call, encryption),
      trace: client.trace,
    }
    return openAllowed(call, owner, segment, place =>
      openSegments(services.objects, { ...place, ...request }, segmentsFor(call, owner, depth + 1)),
    )
  }
