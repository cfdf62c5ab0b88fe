/**
 * The audit log of S3: changes of buckets and their settings, with what their GET returns before and after, as JSON.
 * Changes of objects are not in it.
 *
 * Promises  Only requests that their caller may make are recorded. What the log cannot show or store refuses no request.
 */
import { audited, auditCallerOf, type AuditLog } from "@hayloft/access/index.js"
import type { BucketName } from "@hayloft/base/ids.js"
import type { Soon } from "@hayloft/base/soon.js"
import type { Bucket } from "@hayloft/objects/contract.js"
import type { S3Answer, BucketCall, NewBucketCall } from "./call.js"
import { OPERATIONS, type S3Operation } from "./operations.js"
import { jsonOfDocument } from "./settings/json-document-core.js"

/** Returns true if the operation changes a bucket, as opposed to its objects. */
const isChange = ({ method, name }: S3Operation): boolean =>
  method !== "GET" && method !== "HEAD" && name !== "DeleteObjects"

/** The GET of the same setting. */
function readerOf({ when }: S3Operation): ((call: BucketCall) => Soon<S3Answer>) | undefined {
  const found = OPERATIONS.find(
    ({ method, resource, when: other, answer }) =>
      method === "GET" && resource === "bucket" && answer.kind === "bucket" && other.join() === when.join(),
  )
  return found?.answer.kind === "bucket" ? found.answer.handle : undefined
}

/** JSON of an answer; undefined if there is nothing. */
function jsonOfAnswer({ body }: S3Answer): string | undefined {
  if (body.kind !== "document") return undefined
  if (body.type === "application/json") return Buffer.from(body.bytes).toString()
  return JSON.stringify(jsonOfDocument(body.bytes) ?? Buffer.from(body.bytes).toString())
}

const factsOf = ({ name, owner, location, versioning, lock }: Bucket, state?: object): string =>
  JSON.stringify({ name, owner, location, versioning, hasLock: lock !== undefined, ...state })

export class ChangeAudit {
  constructor(private readonly log: Pick<AuditLog, "begin">) {}

  /** Runs the operation's handler. */
  run(
    operation: S3Operation,
    call: BucketCall | NewBucketCall,
    name: BucketName,
    handle: () => Soon<S3Answer>,
  ): Soon<S3Answer> {
    if (!isChange(operation)) return handle()
    const { signer, remoteAddress, requestId } = call
    const other = signer.account && signer.insteadOfKey
    const caller = other
      ? { ...other, address: remoteAddress }
      : auditCallerOf(signer.principal, signer.request.accessKeyId, remoteAddress)
    const show = (): Promise<string | undefined> => shown(operation, call, name)
    return audited(
      this.log,
      { caller, requestId, operation: `s3:${operation.name}`, target: name, request: undefined },
      { before: show, after: show },
      async () => handle(),
    )
  }
}

async function shown(operation: S3Operation, call: BucketCall | NewBucketCall, name: BucketName) {
  const bucket = await call.services.buckets.open(name)
  if (operation.when.length === 0) return factsOf(bucket, await operation.state?.(bucket))
  const read = readerOf(operation)
  return read && "owner" in call && call.owner !== undefined
    ? jsonOfAnswer(await read(call.reading(bucket, call.owner)))
    : undefined
}
