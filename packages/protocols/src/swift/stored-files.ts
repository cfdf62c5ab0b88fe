/** Files that become objects, of a form or an archive: the body of the request has several, so they come with bodies of their own. */
import { contentTypeOf } from "@hayloft/base/http/content-types.js"
import { parseBucketName, textOfObjectKey } from "@hayloft/base/ids.js"
import { EMPTY_SWIFT_CONTAINER } from "@hayloft/engine/format/swift/swift-container.js"
import { policyHeaders } from "./middleware/policy-core.js"
import type { PieceOwner } from "@hayloft/base/memory/pieces.js"
import type { Headers } from "@hayloft/base/http/request-headers.js"
import { after, type Soon } from "@hayloft/base/soon.js"
import { operationAs, storeObject, type S3Caller, type ObjectCall, type S3Request } from "../s3/index.js"
import { emptyAnswer } from "./answers.js"
import { expiryIn } from "./middleware/expiry-core.js"
import { checkedMetadata, metadataIn, OBJECT_METADATA } from "./metadata-core.js"
import { quotaOf, requireRoom } from "./middleware/quota-core.js"
import { timesOf, type SwiftContext } from "./requests.js"
import { refuseUnbuilt } from "./unbuilt-core.js"

export const DEFAULT_TYPE = "application/octet-stream"
const CONTENT_HEADERS = ["content-encoding", "content-disposition", "content-language", "cache-control", "expires"]

/** Throws `quotaExceeded` if the container has no room. `bytes`: undefined if they are not known before the upload. */
export function requireQuota(
  context: SwiftContext,
  { bucket, services }: ObjectCall,
  bytes: number | undefined,
): Soon<void> {
  return after(context.containers.of(bucket), container => {
    const quota = container && quotaOf(container.metadata)
    if (quota === undefined) return undefined
    return services.buckets.usage(bucket).then(used => requireRoom(quota, used, bytes))
  })
}

interface StoredFile {
  readonly container: string
  /** A byte string. */
  readonly object: string
  /** The headers that a PUT of the file would have, with names in lower case. */
  readonly headers: Headers
  /** The length is undefined if it is not known. */
  readonly lengthBytes: number | undefined
  readonly open: (pieces: PieceOwner) => AsyncIterable<Uint8Array>
}

/** Throws as a PUT does. */
export async function storeFile(
  context: SwiftContext,
  request: S3Request,
  caller: S3Caller,
  file: StoredFile,
): Promise<void> {
  const { container, object, headers, lengthBytes, open } = file
  refuseUnbuilt(headers)
  const type = headers.get("content-type") ?? contentTypeOf(textOfObjectKey(object)) ?? DEFAULT_TYPE
  const content = CONTENT_HEADERS.flatMap(name => {
    const value = headers.get(name)
    return value === undefined ? [] : [name, value]
  })
  const metadata = checkedMetadata(metadataIn(headers, OBJECT_METADATA))
  const expiresAtSeconds = expiryIn(headers, timesOf(context))
  const operation = operationAs("PutObject", {
    kind: "object",
    handle: async call => {
      await requireQuota(context, call, lengthBytes)
      await storeObject(call, [], { expiresAtSeconds, mayLackDigest: true })
      return emptyAnswer(201)
    },
  })
  const bucket = await context.services.buckets.openConfirmed(parseBucketName(container))
  const policy = policyHeaders((await context.containers.of(bucket)) ?? EMPTY_SWIFT_CONTAINER)
  await context.calls.run(request, caller, {
    operation,
    bucket: container,
    rawKey: object,
    headers: [
      ...policy,
      "content-type",
      type,
      ...content,
      ...metadata.flatMap(([name, value]) => [`x-amz-meta-${name}`, value]),
    ],
    body: { lengthBytes, chunked: lengthBytes === undefined, open, gather: () => undefined },
  })
}
