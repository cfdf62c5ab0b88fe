/**
 * Runs an operation: opens its bucket, checks every required action, and calls its handler.
 *
 * Promises  No handler runs before its caller has been authorised. If a decision was based on an object's list or its
 *           tags, a read returns that same object.
 */
import { traced, type Span } from "@hayloft/base/trace.js"
import { asFailure, fail, isFailure } from "@hayloft/base/failures.js"
import { after, forEachSoon, recover, type Soon } from "@hayloft/base/soon.js"
import type { Exchange } from "../http/index.js"
import type { Bucket } from "@hayloft/objects/contract.js"
import { checkHops, HOPS_HEADER } from "@hayloft/features/remote-buckets/index.js"
import { requestsHarmlessList } from "./acl/requested-acl.js"
import type { ChangeAudit } from "./audit-changes.js"
import { checkExpectedOwner, type Gatekeeper, type OpenBucket } from "./authenticate.js"
import type { S3Caller } from "./caller.js"
import { linesOfFields } from "./call.js"
import type { S3Answer, BucketCall, S3Call, ObjectCall } from "./call.js"
import type { AdmittedForm } from "./form/admit-form.js"
import { OPERATIONS, type S3Operation, type OperationAnswer } from "./operations.js"
import { checkRemoteRequest, isRemote, remoteHas } from "./operations/remote-object.js"
import { findVersionAt, momentFields, momentOf, orHistoryIncomplete, readsAtMoments } from "./operations/moments.js"
import { noteWritten } from "./operations/transformed-object.js"
import { versionIdOf } from "./operations/versions.js"
import type { RequestPlan } from "./plan.js"
import type { S3Meters } from "./s3-meters.js"
import type { S3Request } from "./request.js"
import type { ActionName } from "./rights/actions.js"
import type { ActionTarget } from "./rights/permissions.js"
import { makesObject } from "./rights/condition-values-core.js"
import { openUnchanged } from "./rights/seen-objects.js"
import type { BucketSettings } from "./settings/bucket-settings.js"
import { requestCharged } from "./settings/request-payment.js"
import { keyOfByteString } from "./wire/target.js"
import type { S3Target } from "./wire/target.js"
import type { HeaderField } from "@hayloft/base/http/request-headers.js"

/** Operations of S3; those of other protocols, which have the same names, read and write in other ways. */
const REMOTE_OPERATIONS: ReadonlySet<S3Operation> = new Set(OPERATIONS.filter(remoteHas))
const MOMENT_OPERATIONS: ReadonlySet<S3Operation> = new Set(OPERATIONS.filter(readsAtMoments))

/** A request with a known caller. */
export interface AdmittedOperation {
  readonly operation: S3Operation
  readonly plan: RequestPlan
  readonly target: S3Target
  readonly call: S3Call
  /** It is undefined unless the request is a form. */
  readonly form: AdmittedForm | undefined
}

type Handled<Kind extends OperationAnswer["kind"]> = Extract<OperationAnswer, { kind: Kind }>

export class OperationRunner {
  constructor(
    private readonly gate: Gatekeeper,
    private readonly meters: S3Meters,
    private readonly settings: BucketSettings,
    private readonly audit: ChangeAudit,
  ) {}

  /** Throws, or rejects with, the operation's failure in the form that the caller may see. */
  run(request: S3Request, admitted: AdmittedOperation): Soon<S3Answer> {
    const { call } = admitted
    const { answer } = admitted.operation
    const atUs = momentOf(call, MOMENT_OPERATIONS.has(admitted.operation))
    if (atUs !== undefined) call.moment = { atUs }
    if (answer.kind === "service") return this.runForAccount(admitted, call, answer)
    if (answer.kind === "newBucket") return this.runForNewBucket(admitted, call, answer)
    if (answer.kind === "including") return this.runIncluding(call, answer)
    const { signer } = call
    // The expected owner of the bucket is in the request's headers, for a form too.
    return after(this.gate.openBucket(admitted.target.bucket ?? "", signer, request.headers), opened =>
      after(this.charge(call, opened.bucket), () => this.runInBucket(request, admitted, call, opened)),
    )
  }

  private runIncluding(call: S3Call, answer: Handled<"including">): Soon<S3Answer> {
    call.asIncludingCall(this)
    const answering = recover(
      () => answer.handle(call),
      error => {
        this.meters.noteTransaction(asFailure(error))
        throw error
      },
    )
    return after(answering, answered => {
      this.meters.noteTransaction(undefined)
      return answered
    })
  }

  private runForAccount(admitted: AdmittedOperation, call: S3Call, answer: Handled<"service">): Soon<S3Answer> {
    call.asAccountCall(accountOf(call.signer))
    return after(requireAll(admitted, call, {}), () => answer.handle(call))
  }

  private runForNewBucket(admitted: AdmittedOperation, call: S3Call, answer: Handled<"newBucket">): Soon<S3Answer> {
    const account = accountOf(call.signer)
    const newBucket = answer.parseName(admitted.target.bucket ?? "")
    checkExpectedOwner(call.headers, account)
    call.asNewBucketCall(account, newBucket)
    return after(requireAll(admitted, call, { newBucket }), () =>
      this.audit.run(admitted.operation, call, newBucket, () => answer.handle(call)),
    )
  }

  private runInBucket(
    request: S3Request,
    admitted: AdmittedOperation,
    call: S3Call,
    { bucket, owner }: OpenBucket,
  ): Soon<S3Answer> {
    call.asBucketCall(bucket, owner, this)
    const { permissions } = call
    request.permissions = permissions
    permissions.setReadPlace({ bucket })
    const answering = recover(
      () => this.handle(request, admitted, call),
      error =>
        after(permissions.visibleFailure(asFailure(error)), failure => {
          throw failure
        }),
    )
    return after(answering, answer => withFields(withFields(answer, call.charged), momentFields(call)))
  }

  /** A bucket of a request that another one includes. Throws `noSuchBucket`, `invalidBucketName`, `accessDenied`. */
  async openIncluded(call: S3Call, name: string): Promise<OpenBucket> {
    const opened = await this.gate.openBucket(name, call.signer, call.headers)
    await this.charge(call, opened.bucket)
    return opened
  }

  countIn(bucket: Bucket, exchange: Pick<Exchange, "countIn">): void {
    exchange.countIn(this.meters.ofBucket(bucket.name))
  }

  /** The source bucket of a copy. Throws `noSuchBucket`, `invalidBucketName`, `accessDenied`. */
  async openSource(call: S3Call, name: string): Promise<Bucket> {
    try {
      const { bucket } = await this.gate.openBucket(
        name,
        call.signer,
        call.headers,
        "x-amz-source-expected-bucket-owner",
      )
      await this.charge(call, bucket)
      return bucket
    } catch (error) {
      throw isFailure(error, "noSuchBucket") ? fail("noSuchBucket", { sourceBucket: name }, error) : error
    }
  }

  private handle(request: S3Request, admitted: AdmittedOperation, call: BucketCall): Soon<S3Answer> {
    const { exchange } = request
    const { operation, target, form } = admitted
    const { answer } = operation
    const { bucket, permissions } = call
    const enter = (place: ActionTarget): Soon<void> =>
      after(this.authorize(admitted, call, place, exchange.trace), () => {
        request.admitted = bucket
        // Also of a bucket that is not remote yet: the request is that of the setting which would make it a loop.
        checkHops(bucket, call.headers.get(HOPS_HEADER))
        this.countIn(bucket, exchange)
        return isRemote(bucket) ? checkRemoteRequest(call, operation, REMOTE_OPERATIONS.has(operation)) : undefined
      })
    if (answer.kind === "form" && form !== undefined) {
      const { key, tags, success } = form
      call.asObjectCall(key)
      call.asFormCall(key, tags, success)
      const place = { bucket, key }
      const tagging = tags.length > 0 ? permissions.require("PutObjectTagging", place) : undefined
      return after(tagging, () => after(enter(place), () => answer.handle(call)))
    }
    if (answer.kind === "bucket") {
      return after(enter({ bucket }), () => this.audit.run(operation, call, bucket.name, () => answer.handle(call)))
    }
    if (answer.kind !== "object") {
      throw fail("internal", { reason: "an operation without a handler was admitted", operation: operation.name })
    }
    const key = keyOfByteString(target.rawKey ?? "")
    permissions.setReadPlace({ bucket, key })
    call.asObjectCall(key)
    // The request may be one of another protocol that reads something before it writes.
    const isRead = operation.method === "GET" || operation.method === "HEAD"
    return after(resolveMoment(call, "versionSoFar"), () => {
      const place = { bucket, key, versionId: versionIdOf(call) }
      return after(enter(place), () => {
        if (call.moment !== undefined) return readAtMoment(admitted, call, answer, place)
        if (isRead && permissions.hasReadObjects) return readUnchangedObject(admitted, call, answer, place)
        return after(answer.handle(call), answered => {
          if (!isRead) noteWritten(call)
          return answered
        })
      })
    })
  }

  private authorize(
    admitted: AdmittedOperation,
    call: S3Call,
    place: ActionTarget,
    trace: Span | undefined,
  ): Soon<void> {
    if (trace === undefined) return requireAll(admitted, call, place)
    return traced(trace, "authorize", {}, () => requireAll(admitted, call, place))
  }

  /** Notes whether the caller pays for the request. Throws `accessDenied` if it must pay and does not confirm it. */
  private charge(call: S3Call, bucket: Bucket): Soon<void> {
    return after(this.settings.requestPayment.of(bucket), payer => {
      const charged = requestCharged(payer, bucket.owner, call.caller?.id, call.headers)
      if (charged.length > 0) call.charged = charged
    })
  }
}

/** Finds the version of the request's moment, on which decisions may depend. */
function resolveMoment(call: ObjectCall, find: "versionAt" | "versionSoFar"): Soon<void> {
  const { moment } = call
  if (moment === undefined || isRemote(call.bucket)) return undefined
  return findVersionAt(call, moment.atUs, find).then(found => {
    call.moment = found
  })
}

/**
 * Closes the request's moment, and reads the version of that moment. If it is not the one that was authorised, the caller is
 * authorised again. Throws the reason if there is no version.
 */
async function readAtMoment(
  admitted: AdmittedOperation,
  call: ObjectCall,
  answer: Handled<"object">,
  authorized: ActionTarget,
): Promise<S3Answer> {
  await resolveMoment(call, "versionAt")
  const place = { ...authorized, versionId: versionIdOf(call) }
  if (place.versionId !== authorized.versionId) await requireAll(admitted, call, place)
  if (call.moment?.refusal !== undefined) throw call.moment.refusal
  return readUnchangedObject(admitted, call, answer, place).catch((error: unknown) => orHistoryIncomplete(call, error))
}

/** Reads the object that the decision was based on; if it has been replaced, decides again for the new one. */
function readUnchangedObject(
  admitted: AdmittedOperation,
  call: ObjectCall,
  answer: Handled<"object">,
  place: ActionTarget,
): Promise<S3Answer> {
  return openUnchanged({
    open: () => answer.handle(call),
    close: ({ body }) => (body.kind === "object" ? body.body.close() : undefined),
    wasReplaced: () => call.permissions.wasObjectReplaced(),
    decideAgain: () => requireAll(admitted, call, place),
  })
}

/** Throws `accessDenied` for anonymous callers. */
function accountOf({ account }: S3Caller) {
  if (account === undefined) throw fail("accessDenied", { reason: "the request carries no credentials" })
  return account
}

/** Requires all actions in the table. Throws `accessDenied`. */
function requireAll({ operation, plan }: AdmittedOperation, call: S3Call, place: ActionTarget): Soon<void> {
  const { requiredActions } = operation
  if (typeof requiredActions === "string") return undefined
  if (requiredActions.length === 0)
    throw fail("internal", { reason: "an operation without required actions was admitted" })
  const isOfVersion = place.versionId !== undefined || call.moment !== undefined
  return forEachSoon(plan.actionsOf(call.headers, isOfVersion), action => requireOne(action, operation, call, place))
}

function requireOne(action: ActionName, operation: S3Operation, call: S3Call, place: ActionTarget): Soon<void> {
  const { permissions } = call
  if (action !== "PutObjectAcl") return permissions.require(action, place)
  return after(setsNoList(operation, call, place), setsNone =>
    setsNone ? undefined : permissions.require(action, place),
  )
}

/** Returns true if a new object's list only states what holds anyway, because the bucket owner is enforced. */
function setsNoList(
  operation: S3Operation,
  { accessControl, headers }: S3Call,
  { bucket }: ActionTarget,
): Soon<boolean> {
  if (bucket === undefined || !makesObject(operation.name) || !requestsHarmlessList(headers)) return false
  return after(accessControl.listsApply(bucket), listsApply => !listsApply)
}

const withFields = (answer: S3Answer, fields: readonly HeaderField[]): S3Answer =>
  fields.length === 0 ? answer : { ...answer, headers: answer.headers.and(linesOfFields(fields)) }
