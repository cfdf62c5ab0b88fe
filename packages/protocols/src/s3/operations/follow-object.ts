/**
 * FollowObject: `GET ?follow` reads an object from an offset to its end, and waits if there is nothing yet. A client that
 * asks again from where the last answer ended gets every byte once, in order.
 */
import { fail, isFailure } from "@hayloft/base/failures.js"
import { OBJECT_BYTES_MAX, PARTS_MAX } from "@hayloft/base/limits.js"
import { requireAppends } from "@hayloft/features/appends/index.js"
import type { ObjectBody } from "@hayloft/objects/contract.js"
import { answerEmpty, linesOfFields, type S3Answer, type ObjectCall } from "../call.js"
import { announcedRules, answerWith, openObject } from "./get-object.js"
import { expirationOf } from "./lifecycle-headers.js"
import type { HeaderField } from "@hayloft/base/http/request-headers.js"

const WAIT_SECONDS = { usual: 20, most: 60 } as const
const STREAM_HEADER = "x-hayloft-append-stream"

export async function followObject(call: ObjectCall): Promise<S3Answer> {
  const { services, bucket, key, query, headers } = call
  requireAppends(bucket)
  if (headers.has("range") || query.has("partNumber"))
    throw fail("invalidRequest", { message: "a request that follows an object says where it begins by `offset`" })
  const offset = query.integer("offset", { min: 0, max: PARTS_MAX * OBJECT_BYTES_MAX }) ?? 0
  const seconds = query.integer("wait", { min: 0, max: WAIT_SECONDS.most }) ?? WAIT_SECONDS.usual
  const stream = query.get("stream")
  const rules = await announcedRules(call)
  const range = { kind: "fromTo", first: offset, last: undefined } as const
  let nothing: readonly HeaderField[] = []
  const watcher = services.appends.watch(bucket, key)
  const found = await call.until(watcher, seconds, async () => {
    try {
      return checkStream(await openObject(call, false, { range }), stream)
    } catch (error) {
      // A reader that follows from the beginning may be there before the first append.
      if (isFailure(error, "noSuchKey") && offset === 0 && stream === undefined) return undefined
      if (!isFailure(error, "invalidRange")) throw error
      const head = checkStream(await openObject(call, true), stream)
      head.close()
      if (head.info.sizeBytes < offset) throw error
      nothing = streamFields(head)
      return undefined
    }
  })
  if (found === undefined) return answerEmpty(204, nothing)
  const answer = await answerWith(call, found, expirationOf(call, rules, found.info))
  return { ...answer, headers: answer.headers.and(linesOfFields(streamFields(found))) }
}

/** Throws `preconditionFailed`: the client would take bytes of one object for those of another. */
function checkStream(body: ObjectBody, stream: string | undefined): ObjectBody {
  if (stream === undefined || stream === "" || stream === body.info.stream) return body
  body.close()
  throw fail("preconditionFailed", {
    condition: "stream",
    message: "another object has replaced the one that you follow",
  })
}

const streamFields = ({ info: { sizeBytes, stream } }: ObjectBody): readonly HeaderField[] => [
  ["x-amz-object-size", String(sizeBytes)],
  ...(stream === undefined ? [] : [[STREAM_HEADER, stream] as const]),
]
