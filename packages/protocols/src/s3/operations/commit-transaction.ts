/**
 * CommitTransaction: completions of uploads, deletions, renames and checks of several keys and buckets: all or none. Each is
 * authorised as the request that would do it alone, before anything is written. Amazon has no such operation.
 */
import { createHash } from "node:crypto"
import { DeniedAccess } from "@hayloft/access/index.js"
import { asFailure, fail, isFailure, type Failure } from "@hayloft/base/failures.js"
import { FENCE_HEADER } from "@hayloft/base/fence.js"
import { MIB } from "@hayloft/base/limits.js"
import { HeaderShapes } from "@hayloft/base/http/request-headers.js"
import type { OperationResult, TransactionOperation, TransactionToken } from "@hayloft/features/transactions/index.js"
import type { S3Answer, S3Call, ObjectCall } from "../call.js"
import { linesOfFields } from "../call.js"
import { s3ErrorOf } from "../failures.js"
import { deleteConditionsOf, writeConditionsOf } from "../parse-conditions.js"
import { actionsOf, REQUIRED_ACTIONS, type S3RequiredAction } from "../rights/required-actions-core.js"
import { RequestQuery } from "../wire/query.js"
import { keyOfByteString } from "../wire/target.js"
import { parseTransaction, type IncludedRequest } from "../wire/transaction.js"
import { encryptionOfCompletion } from "./encryption-of-requests.js"
import { asksToBypass } from "./locks-of-requests.js"
import { writtenUploadOf } from "./multipart-upload.js"
import { isRemote } from "./remote-object.js"
import { renameRequestOf } from "./rename-object.js"
import { noteWritten } from "./transformed-object.js"
import { versionIdOf } from "./versions.js"

const DOCUMENT_BYTES_MAX = MIB
/** Headers of the transaction that apply to each included request. */
const SHARED_HEADERS: readonly string[] = [
  FENCE_HEADER,
  "x-amz-bypass-governance-retention",
  "x-amz-expected-bucket-owner",
  "x-amz-request-payer",
  "x-amz-source-expected-bucket-owner",
  "x-amz-content-sha256",
]

/** The operation that an included request would be alone, and its required actions. */
const ALONE: Readonly<
  Record<IncludedRequest["kind"], { readonly name: string; readonly actions: readonly S3RequiredAction[] }>
> = {
  put: { name: "CompleteMultipartUpload", actions: REQUIRED_ACTIONS.completeMultipartUpload },
  delete: { name: "DeleteObject", actions: REQUIRED_ACTIONS.deleteObject },
  rename: { name: "RenameObject", actions: REQUIRED_ACTIONS.renameObject },
  check: { name: "HeadObject", actions: REQUIRED_ACTIONS.getObject },
}

interface Included {
  readonly call: ObjectCall
  readonly operation: TransactionOperation
}

const shapes = new HeaderShapes()

/** Throws `invalidRequest` for a document that is too large. */
async function readDocument({ body }: S3Call) {
  try {
    return await body.document({ bytesMax: DOCUMENT_BYTES_MAX, checksum: "optional" })
  } catch (error) {
    if (!isFailure(error, "malformedXml")) throw error
    throw fail("invalidRequest", { message: `the document of a transaction has at most ${DOCUMENT_BYTES_MAX} bytes` })
  }
}

/** Throws `accessDenied` for anonymous callers: a token is of the caller's account. */
function tokenOf(
  { signer, headers }: S3Call,
  token: string | undefined,
  canonical: string,
): TransactionToken | undefined {
  if (token === undefined) return undefined
  const { account, principal } = signer
  if (account === undefined || !("arn" in principal))
    throw fail("accessDenied", { message: "A token is of the caller's account: sign the request." })
  const text = JSON.stringify([principal.arn, headers.get(FENCE_HEADER) ?? null, canonical])
  return { account: account.id, token, digest: createHash("sha256").update(text).digest() }
}

/** The call that an included request would be, once its caller may make it. Throws as that request. */
async function callOf(call: S3Call, included: IncludedRequest): Promise<ObjectCall> {
  const { kind, bucket: name, rawKey, query, headers } = included
  const shared = SHARED_HEADERS.flatMap(header => {
    const value = call.headers.get(header)
    return value === undefined ? [] : [[header, value] as const]
  })
  const { name: alone, actions } = ALONE[kind]
  const parts = {
    operation: { name: alone, readBody: async () => ({}) },
    query: new RequestQuery(query.map(([of, value]) => ({ name: of, value, assigned: true }))),
    headers: shapes.ofFlat([...shared, ...headers].flat()),
    rawKey,
  }
  const one: S3Call = call.including(parts)
  const { bucket, owner } = await one.openIncluded(name)
  one.asBucketCall(bucket, owner)
  const key = keyOfByteString(rawKey)
  one.asObjectCall(key)
  const { permissions } = one
  permissions.setReadPlace({ bucket, key })
  const versionId = versionIdOf(one)
  for (const action of actionsOf(actions, one.headers, versionId !== undefined))
    await permissions.require(action, { bucket, key, versionId })
  one.countInBucket()
  if (isRemote(bucket)) throw fail("notImplemented", { message: "A remote bucket does not have transactions." })
  return one
}

/** Throws the faults of the request, `accessDenied`. */
async function operationOf(call: ObjectCall, { kind, parts }: IncludedRequest): Promise<TransactionOperation> {
  const { bucket, key, client } = call
  switch (kind) {
    case "put": {
      const complete = {
        bucket,
        key,
        multipartId: writtenUploadOf(call),
        parts,
        conditions: writeConditionsOf(call),
        sizeBytes: undefined,
        checksum: undefined,
        checksumType: undefined,
        signal: client.signal,
      }
      return { kind, complete: { ...complete, ...encryptionOfCompletion(call) } }
    }
    case "delete": {
      const place = { bucket, key, versionId: versionIdOf(call) }
      // Asked before a lock refuses, unlike for a request alone: all copies of renames would be made again.
      const bypassGovernance = asksToBypass(call) && (await call.permissions.may("BypassGovernanceRetention", place))
      return { kind, remove: { ...place, conditions: deleteConditionsOf(call), bypassGovernance } }
    }
    case "rename":
      return { kind, rename: await renameRequestOf(call) }
    case "check":
      return { kind, bucket, key, conditions: writeConditionsOf(call) }
  }
}

/** The failure with the number of its operation, from 1, as its caller may see it. */
async function numbered(failure: Failure, operation: number, call: ObjectCall | S3Call): Promise<Failure> {
  const visible = call.bucket === undefined ? failure : await call.permissions.visibleFailure(failure)
  const message = `operation ${operation + 1}: ${s3ErrorOf(visible).message}`
  const details = { ...visible.details, operation, message }
  if (visible instanceof DeniedAccess) return new DeniedAccess(visible.request, visible.decision, details)
  return fail(visible.kind, details, visible)
}

async function includedOf(call: S3Call, request: IncludedRequest, number: number): Promise<Included> {
  let one: ObjectCall | undefined
  try {
    one = await callOf(call, request)
    return { call: one, operation: await operationOf(one, request) }
  } catch (error) {
    throw await numbered(asFailure(error), number, one ?? call)
  }
}

/** A lock in governance mode that a caller asks to bypass, and may not, is answered with the right that is missing. */
async function refusalOf({ call, operation }: Included, failure: Failure): Promise<Failure> {
  const isLocked = failure.kind === "objectLocked" && failure.details["yieldsToBypass"] === true
  if (!isLocked || operation.kind !== "delete" || !asksToBypass(call)) return failure
  try {
    await call.permissions.require("BypassGovernanceRetention", operation.remove)
    return failure
  } catch (error) {
    return asFailure(error)
  }
}

async function commit(
  call: S3Call,
  included: readonly Included[],
  token: TransactionToken | undefined,
): Promise<readonly OperationResult[]> {
  const operations = included.map(({ operation }) => operation)
  try {
    return await call.services.transactions.run({ operations, token })
  } catch (error) {
    const failure = asFailure(error)
    const number = Number(failure.details["operation"] ?? NaN)
    const one = included[number]
    throw one === undefined ? failure : await numbered(await refusalOf(one, failure), number, one.call)
  }
}

/** Throws `invalidRequest`, `idempotencyMismatch`, and the failures of the requests that it includes, with their numbers. */
export async function commitTransaction(call: S3Call): Promise<S3Answer> {
  const { token: text, operations, canonical } = await documentOf(call)
  const token = tokenOf(call, text, canonical)
  const before = token && (await call.services.transactions.find(token))
  if (before !== undefined) return answerOf(before)
  const included: Included[] = []
  for (const [number, request] of operations.entries()) included.push(await includedOf(call, request, number))
  const results = await commit(call, included, token)
  for (const { call: one } of included) noteWritten(one)
  const charged = included.find(({ call: one }) => one.charged.length > 0)?.call.charged ?? []
  const answer = answerOf(results)
  return charged.length === 0 ? answer : { ...answer, headers: answer.headers.and(linesOfFields(charged)) }
}

/** Callers without credentials learn only that, unless the document names a bucket that may be open to them. */
async function documentOf(call: S3Call) {
  try {
    return parseTransaction(await readDocument(call))
  } catch (error) {
    const failure = asFailure(error)
    if (call.signer.account === undefined)
      throw fail("accessDenied", { reason: "the request carries no credentials" }, failure)
    const number = failure.details["operation"]
    throw typeof number === "number" ? await numbered(failure, number, call) : failure
  }
}

const answerOf = (results: readonly OperationResult[]): S3Answer => ({
  status: 200,
  headers: linesOfFields([]),
  body: { kind: "document", type: "application/json", bytes: Buffer.from(`${JSON.stringify({ results })}\n`) },
})
