/** The operations of `/v1` on copies of a bucket in another store: how far they are, pausing them, and filling the target again. */
import type { z } from "zod"
import { fail } from "../base/failures.js"
import { parseBucketName, textOfObjectKey } from "../base/ids.js"
import { textOfMoment } from "../base/moment.js"
import type { CopiesAdmin, CopiesStatus } from "../features/copies/index.js"
import type { Bucket } from "../object/contract.js"
import { COPIES, FILL_COPIES } from "./copies-schemas.js"
import { parseBody, type Operation, type OperationInput, type Services } from "./operation.js"

const PATH = "/v1/buckets/{bucket}/copies"

/** Throws `notImplemented` if copies are switched off. */
export function copiesOf({ copies }: Services): CopiesAdmin {
  if (copies !== undefined) return copies
  throw fail("notImplemented", { message: "copies in other stores are switched off: start the store with --remotes" })
}

function statusJson({ setting, lag, copiedToUs, ...status }: CopiesStatus): z.output<typeof COPIES> {
  const { id: _, ...target } = setting
  const { place, sinceMs, error, errorMs } = status
  return {
    ...{ target, phase: status.phase, fills: status.fills, isPaused: status.isPaused },
    lag: { objects: lag.objects, bytes: lag.bytes, seconds: lag.seconds, isCut: lag.isCut },
    ...(sinceMs !== undefined && { sinceMs }),
    ...(place !== undefined && { place: textOfObjectKey(place) }),
    ...(copiedToUs !== undefined && copiedToUs > 0 && { copiedTo: textOfMoment(copiedToUs) }),
    ...(error !== undefined && { error }),
    ...(errorMs !== undefined && { errorMs }),
    parked: status.parked.map(({ key, nextMs, reason, attempts, sinceMs: since }) => ({
      ...{ key: textOfObjectKey(key), reason, attempts, sinceMs: since },
      ...(nextMs !== undefined && { nextMs }),
    })),
    hasMoreParked: status.hasMoreParked,
  }
}

const bucketIn = async ({ buckets }: Services, { segment }: OperationInput): Promise<Bucket> =>
  buckets.open(parseBucketName(segment("bucket")))

/** Throws `invalidArgument` if the bucket is not copied. */
async function show(services: Services, input: OperationInput) {
  const copies = copiesOf(services)
  const bucket = await bucketIn(services, input)
  const status = await copies.status(bucket)
  if (status === undefined) throw fail("invalidArgument", { message: `the bucket ${bucket.name} is not copied` })
  return statusJson(status)
}

const changing = (
  id: string,
  word: string,
  summary: string,
  change: (copies: CopiesAdmin, bucket: Bucket) => Promise<void>,
): Operation => ({
  ...{ id, method: "POST", path: `${PATH}/${word}`, summary, parameters: [], request: undefined },
  response: { status: 200, schema: COPIES },
  async run(services, input) {
    await change(copiesOf(services), await bucketIn(services, input))
    return show(services, input)
  },
})

export const COPIES_OPERATIONS: readonly Operation[] = [
  {
    ...{ id: "getBucketCopies", method: "GET", path: PATH, parameters: [], request: undefined },
    summary: "Returns how far the copies of a bucket in another store are.",
    response: { status: 200, schema: COPIES },
    run: show,
  },
  changing("pauseCopies", "pause", "Pauses the copies of a bucket; changes are logged.", (copies, bucket) =>
    copies.pause(bucket, true),
  ),
  changing("resumeCopies", "resume", "Lets the copies of a bucket go on.", (copies, bucket) =>
    copies.pause(bucket, false),
  ),
  {
    ...{ id: "fillCopies", method: "POST", path: `${PATH}/fill`, parameters: [], request: FILL_COPIES },
    summary: "Compares all objects of a bucket with its target, and sends those that differ.",
    response: { status: 200, schema: COPIES },
    async run(services, input) {
      const { remove = false } = parseBody(FILL_COPIES, input.body ?? {})
      await copiesOf(services).fillAgain(await bucketIn(services, input), remove)
      return show(services, input)
    },
  },
]
