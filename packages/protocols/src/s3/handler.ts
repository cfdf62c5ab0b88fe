/**
 * S3 over HTTP: from an exchange to an operation and back.
 *
 * Requests are processed in a fixed order: target, route, signature, refusals by name, owner of the bucket, key;
 * then the operation reads headers and calls the services; the body is opened (and 100-continue sent) only after
 * all these checks have passed. For a form, whose fields hold the signature, that applies to the
 * file. All of it runs within one turn unless something must be waited for.
 */
import { claimedKey } from "@hayloft/access/index.js"
import { asFailure, fail } from "@hayloft/base/failures.js"
import type { Failure } from "@hayloft/base/failures.js"
import { textOfObjectKey } from "@hayloft/base/ids.js"
import { HeaderShapes, type Headers } from "@hayloft/base/http/request-headers.js"
import { after, recover, type Soon } from "@hayloft/base/soon.js"
import { traced } from "@hayloft/base/trace.js"
import { within } from "@hayloft/base/seams/clock/within.js"
import { HeaderLines, type Exchange, type PlainAnswer, type Protocol, type Refusal } from "../http/index.js"
import { answerable, claimedAccount, Refusals } from "../signed/index.js"
import { checkNoAcl } from "./acl/requested-acl.js"
import { commonLines, errorAnswer, errorDocument, httpAnswer, respondObject } from "./answers.js"
import type { AnswerScene } from "./answers.js"
import type { Gatekeeper } from "./authenticate.js"
import type { S3Caller } from "./caller.js"
import { ExchangeBody } from "./body.js"
import { isBrowser, isForThisHost, welcomePage } from "./browser.js"
import { S3Call, XML_TYPE } from "./call.js"
import type { S3Answer, CallContext } from "./call.js"
import { preflight, type CrossOrigin } from "./cross-origin.js"
import { deniedRequest } from "./denied-request.js"
import { s3ErrorOf } from "./failures.js"
import type { S3Error } from "./failures.js"
import { admitForm } from "./form/admit-form.js"
import { refuseExtensions, explainAlternative } from "./minio-core.js"
import type { S3Operation } from "./operations.js"
import { checkCopying, checkFenced } from "./parse-conditions.js"
import { RequestPlans } from "./plan.js"
import { withHoisted } from "./request-headers.js"
import { S3Parts, type S3Settings } from "./parts.js"
import { Addresses, receivedOf, resourceOf, S3Request, type Addressed } from "./request.js"
import { route } from "./route.js"
import type { AdmittedOperation, OperationRunner } from "./run-operation.js"
import type { S3Meters } from "./s3-meters.js"
import { keptAlive, SLOW_AFTER_MS } from "./slow-answer.js"

const HOST_ID_BYTES = 24

/** The protocol for the HTTP server. */
export const createS3Handler = (settings: S3Settings): Protocol => new S3Handler(settings)

class S3Handler implements Protocol {
  private readonly gate: Gatekeeper
  private readonly addresses: Addresses
  private readonly crossOrigin: CrossOrigin
  private readonly meters: S3Meters
  private readonly refusals: Refusals
  private readonly plans = new RequestPlans()
  /** Shapes of headers that arrived in presigned queries and in forms. */
  private readonly shapes = new HeaderShapes()
  private readonly runner: OperationRunner
  private readonly context: CallContext
  /** The same for all answers of one process: it identifies the process in a bug report. */
  private readonly hostId: string
  private readonly hostLine: string

  constructor(private readonly settings: S3Settings) {
    const parts = new S3Parts(settings)
    this.gate = parts.gate
    this.crossOrigin = parts.crossOrigin
    this.meters = parts.meters
    this.refusals = new Refusals(settings.denials, parts.meters)
    this.runner = parts.runner
    this.context = parts.context
    this.addresses = new Addresses(settings.pathPrefix === undefined ? settings.domains : undefined)
    this.hostId = Buffer.from(settings.random.bytes(HOST_ID_BYTES)).toString("base64")
    this.hostLine = HeaderLines.of(["x-amz-id-2", this.hostId]).text
  }

  handle(exchange: Exchange): Soon<void> {
    const { adminUrl, onLoopback, domains, clock, knownCaller } = this.settings
    if (
      knownCaller === undefined &&
      isBrowser(exchange) &&
      isForThisHost(exchange.header("host"), onLoopback, domains)
    ) {
      return exchange.respond(welcomePage(adminUrl))
    }
    const request = new S3Request(exchange, clock.wallMs())
    const handling = recover(
      () => this.serve(request),
      error => this.respondFailure(request, error),
    )
    request.isWithinTurn = false
    return handling
  }

  /** Answers waiting requests that nothing has changed. */
  stop(): void {
    this.context.polls.stop()
  }

  accountOf(head: Pick<Exchange, "rawTarget" | "headers">): string | undefined {
    const { accounts, clock } = this.settings
    return claimedAccount(accounts, head, clock.wallMs())
  }

  refuse({ requestId, failure, status, target }: Refusal): PlainAnswer {
    const error = s3ErrorOf(failure)
    const scene = {
      requestId,
      hostId: this.hostId,
      resource: target.split("?")[0] ?? "",
      region: this.context.region,
      bucketName: undefined,
      key: undefined,
      fields: [],
    }
    return errorAnswer(status === undefined ? error : { ...error, status }, scene)
  }

  private serve(request: S3Request): Soon<void> {
    const { exchange } = request
    const target = this.addresses.targetOf(exchange)
    const query = (request.query = this.addresses.queryOf(target))
    request.target = target
    return after(this.crossOrigin.evaluate(target.bucket, exchange.method, request.headers), verdict => {
      request.crossOrigin = verdict
      refuseExtensions(exchange.method, target, query, request.headers)
      const operation = route(exchange.method, resourceOf(target), query, request.headers)
      request.operation = operation
      if (operation.answer.kind === "preflight") {
        this.noteRequest(request)
        return this.respond(request, preflight(verdict, request.headers, target))
      }
      request.authSinceMs = this.settings.clock.monotonicMs()
      request.authSpan = exchange.trace?.begin("authenticate")
      return after(this.admit(request, operation, { target, query }), admitted => this.perform(request, admitted))
    })
  }

  /** All checks that precede authorization. */
  private admit(request: S3Request, operation: S3Operation, addressed: Addressed): Soon<AdmittedOperation> {
    const { exchange, nowMs } = request
    if (operation.answer.kind === "form") {
      if (this.settings.knownCaller === undefined) return this.admitForm(request, operation, addressed)
      const message = "A form is signed by its fields: send it to the endpoint of S3, or the file by PUT."
      throw fail("notImplemented", { operation: operation.name, message })
    }
    return after(this.callerOf(exchange, addressed, nowMs), caller => {
      const { target, query } = this.addresses.signed(exchange, addressed, caller.request)
      request.target = target
      request.query = query
      this.noteCaller(request, caller)
      return after(this.enter(request, caller), () => {
        if (caller.request.form === "query") request.headers = withHoisted(request.headers, query, this.shapes)
        if (operation.answer.kind === "refused") {
          throw fail("notImplemented", { operation: operation.name, message: `${operation.name} is not implemented.` })
        }
        const { headers } = request
        const plan = this.plans.of(operation, headers)
        plan.checkHeaders(exchange.method, headers)
        checkFenced(headers, operation.name)
        checkCopying(headers, operation.name)
        if (plan.givesAcl && !operation.takesAcl) checkNoAcl(headers)
        const call = new S3Call(this.context, {
          exchange,
          operation,
          target,
          query,
          headers,
          signer: caller,
          file: undefined,
          formTags: undefined,
          nowMs,
          request,
        })
        return { operation, plan, target, call, form: undefined }
      })
    })
  }

  private callerOf(exchange: Exchange, addressed: Addressed, nowMs: number): Soon<S3Caller> {
    const known = this.settings.knownCaller?.(exchange)
    // Decisions rest on data that is as new as the request, the same as for signed requests.
    if (known !== undefined) return after(this.settings.services.buckets.confirm(), () => known)
    const arrival = { address: exchange.remoteAddress, nowMs }
    return this.gate.caller(receivedOf(exchange, addressed), addressed.target, arrival)
  }

  private async admitForm(
    request: S3Request,
    operation: S3Operation,
    addressed: Addressed,
  ): Promise<AdmittedOperation> {
    const { exchange, headers: sent, nowMs } = request
    const { target, query } = addressed
    const noteCaller = (caller: S3Caller) => this.noteCaller(request, caller)
    const { remoteAddress: address } = exchange
    const scene = { received: receivedOf(exchange, addressed), target, headers: sent, address, nowMs, noteCaller }
    const { caller, form } = await admitForm(this.gate, new ExchangeBody(exchange, this.settings.clock), scene)
    await this.settings.rates.enter(caller.limited, exchange)
    this.plans.of(operation, sent).checkHeaders(exchange.method, sent)
    checkNoAcl(sent)
    const headers = this.shapes.ofFlat([...form.headers].flat())
    const plan = this.plans.of(operation, headers)
    const more = { file: form.file, formTags: form.tags, nowMs, request }
    const call = new S3Call(this.context, { exchange, operation, target, query, headers, signer: caller, ...more })
    return { operation, plan, target, call, form }
  }

  private noteCaller(request: S3Request, caller: S3Caller): void {
    const { exchange } = request
    request.caller = caller
    this.noteRequest(request)
    if (caller.account === undefined) return
    if (caller.request.version === "AWS") this.meters.noteVersion2(caller.request.form)
    this.meters.proved(exchange, caller.account.id)
  }

  /** Adds the fields of the log line, once: as soon as the caller is known, or the request is refused. */
  private noteRequest(request: S3Request): void {
    const { exchange, operation, target, caller } = request
    if (request.isNoted || operation === undefined) return
    request.isNoted = true
    const accessKeyId = caller?.request.accessKeyId
    const bucket = target?.bucket?.slice(0, 64)
    exchange.note(
      accessKeyId === undefined
        ? { operation: operation.name, bucket }
        : { operation: operation.name, bucket, accessKeyId },
    )
  }

  /**
   * Applies the limits of the caller's rates. Anonymous callers may only learn whether a bucket exists.
   * Throws `rateExceeded`, `noSuchBucket`, `accessDenied`.
   */
  private enter({ exchange, target, headers, operation }: S3Request, caller: S3Caller): Soon<unknown> {
    if (caller.account !== undefined) return this.settings.rates.enter(caller.limited, exchange)
    const name = target?.bucket
    // Each request that it includes is checked.
    if (name === undefined && operation?.answer.kind === "including") return undefined
    if (name === undefined) throw fail("accessDenied", { reason: "the request carries no credentials" })
    return this.gate.openBucket(name, caller, headers)
  }

  private perform(request: S3Request, admitted: AdmittedOperation): Soon<void> {
    const { clock } = this.settings
    const { operation, call } = admitted
    const { timing } = request.exchange
    const startedMs = this.endAuth(request)
    const run = () => this.runner.run(request, admitted)
    const work = operation.heavy ? after(call.turn(), run) : run()
    const answering: Soon<S3Answer | "late"> =
      operation.slow && work instanceof Promise ? within(clock, SLOW_AFTER_MS, work) : work
    return after(answering, answer => {
      timing.add("data", call.bodyWaitedMs)
      timing.add("meta", clock.monotonicMs() - startedMs - call.bodyWaitedMs - call.polledMs)
      if (answer !== "late") return this.respond(request, answer)
      return work instanceof Promise ? this.respondSlowly(request, work) : undefined
    })
  }

  /** Ends the authentication stage in the timing; returns the current time. */
  private endAuth(request: S3Request): number {
    const nowMs = this.settings.clock.monotonicMs()
    if (request.authSinceMs !== undefined) request.exchange.timing.add("auth", nowMs - request.authSinceMs)
    request.authSinceMs = undefined
    request.authSpan?.end()
    request.authSpan = undefined
    return nowMs
  }

  private respond(request: S3Request, answer: S3Answer): Soon<void> {
    const { trace } = request.exchange
    if (trace === undefined) return this.answer(request, answer)
    return traced(trace, "respond", {}, () => this.answer(request, answer))
  }

  private answer(request: S3Request, answer: S3Answer): Soon<void> {
    const { exchange } = request
    const { body } = answer
    if (body.kind === "error") exchange.note({ failure: body.error.code })
    const refused = request.permissions?.refused
    if (refused !== undefined) {
      const denied = { status: answer.status, code: s3ErrorOf(refused).code }
      this.refusals.noteUnlogged(refused, answer.status, () => this.denied(request, refused, denied))
    }
    if (body.kind === "object") {
      const headers = this.linesOf(request).and(answer.headers)
      return respondObject(exchange, { ...answer, headers }, body, this.settings.clock)
    }
    return exchange.respond(httpAnswer(answer, this.linesOf(request), () => this.scene(request)))
  }

  private respondSlowly(request: S3Request, work: Promise<S3Answer>): Soon<void> {
    const { exchange } = request
    const scene = this.scene(request)
    const bytes = work.then(
      answer => (answer.body.kind === "document" ? answer.body.bytes : new Uint8Array()),
      (error: unknown) => {
        const failure = asFailure(error)
        request.failure = failure
        const reported = s3ErrorOf(nameCondition(failure, request.headers))
        this.refusals.note(exchange, failure, reported, () => this.denied(request, failure, reported))
        return errorDocument(reported, scene)
      },
    )
    const headers = this.linesOf(request).and(HeaderLines.of(["Content-Type", XML_TYPE]))
    return exchange.respond({ status: 200, headers, body: keptAlive(bytes, this.settings.clock) })
  }

  private respondFailure(request: S3Request, error: unknown): Soon<void> {
    const { exchange } = request
    const failure = explainAlternative(answerable(exchange, error), request.target)
    const answer = s3ErrorOf(nameCondition(failure, request.headers))
    request.failure = failure
    this.endAuth(request)
    this.noteRequest(request)
    this.refusals.note(exchange, failure, answer, () => this.denied(request, failure, answer))
    return exchange.respond(errorAnswer(answer, this.scene(request)))
  }

  private denied(request: S3Request, failure: Failure, { status, code }: Pick<S3Error, "status" | "code">) {
    const { exchange } = request
    const claimed = claimedKey(exchange.header("authorization"), exchange.rawTarget)
    return deniedRequest(request, failure, { service: "s3", status, code, claimed })
  }

  /** The header lines that every answer begins with. */
  private linesOf({ exchange, crossOrigin }: S3Request): HeaderLines {
    return commonLines(exchange.requestId, this.hostLine, crossOrigin?.fields ?? [])
  }

  private scene({ exchange, target, crossOrigin }: S3Request): AnswerScene {
    const rawKey = target?.rawKey
    return {
      requestId: exchange.requestId,
      hostId: this.hostId,
      resource: target?.rawPath ?? exchange.rawTarget.split("?")[0] ?? "",
      bucketName: target?.bucket === undefined ? undefined : textOfObjectKey(target.bucket),
      key: rawKey === undefined ? undefined : textOfObjectKey(rawKey),
      region: this.context.region,
      fields: crossOrigin?.fields ?? [],
    }
  }
}

const CONDITIONS = ["If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since"]

/** Tools need the failed condition; if the service does not report it, a request with a single condition does. */
function nameCondition(failure: ReturnType<typeof asFailure>, headers: Headers) {
  if (failure.kind !== "preconditionFailed" || failure.details["condition"] !== undefined) return failure
  const [only, second] = CONDITIONS.flatMap(name => [name, `x-amz-copy-source-${name.toLowerCase()}`]).filter(name =>
    headers.has(name.toLowerCase()),
  )
  return only === undefined || second !== undefined
    ? failure
    : fail(failure.kind, { ...failure.details, condition: only })
}
