/**
 * S3 over HTTP: from an exchange to an operation and back.
 *
 * The order is the promise: target, route, signature, refusals by name, owner of the bucket, key;
 * then the operation reads headers and asks the services; and only when nothing speaks against the
 * request is its body opened (and 100-continue sent). Of a form, whose signature is among its fields,
 * that holds for the file.
 */
import type { Keyring } from "../access/contract.js"
import { claimedKey } from "../access/index.js"
import type { Denials } from "../access/index.js"
import { asFailure, fail, unlessRefused } from "../base/failures.js"
import type { Failure } from "../base/failures.js"
import { parseAccessKeyId, parseNewBucketName, textOfObjectKey } from "../base/ids.js"
import type { AccountId } from "../base/ids.js"
import type { PieceOwner } from "../base/pieces.js"
import type { Exchange, PlainAnswer, Protocol, Refusal } from "../http/index.js"
import { OneATurn } from "../life/index.js"
import type { Bucket, ObjectServices } from "../object/contract.js"
import type { Clock } from "../seams/clock/contract.js"
import type { Compute } from "../seams/compute/contract.js"
import type { Metrics } from "../seams/telemetry/contract.js"
import type { Random } from "../seams/random/contract.js"
import { AccessControl } from "./acl/access-control.js"
import type { Grantees } from "./acl/access-control.js"
import { asksForOwnerAlone, checkNoAcl } from "./acl/asked-acl.js"
import { commonFields, errorAnswer, errorDocument, httpAnswer } from "./answers.js"
import type { AnswerScene } from "./answers.js"
import { checkExpectedOwner, Gatekeeper } from "./authenticate.js"
import type { Caller } from "./authenticate.js"
import { RequestBody } from "./body.js"
import type { WireBody } from "./body.js"
import { isBrowser, isForThisHost, welcomePage } from "./browser.js"
import type { Answer, BucketCall, Call, Headers } from "./call.js"
import { XML_TYPE } from "./call.js"
import { CrossOrigin, preflight } from "./cross-origin.js"
import type { Verdict } from "./cross-origin.js"
import { s3ErrorOf } from "./failures.js"
import type { Field, S3Error } from "./failures.js"
import { admitForm } from "./form/admit-form.js"
import type { AdmittedForm } from "./form/admit-form.js"
import type { Operation, Resource } from "./operations.js"
import { DEFAULT_REGION } from "./operations/buckets.js"
import { versionIdOf } from "./operations/versions.js"
import { checkListensToNothing, sayInstead } from "./minio-core.js"
import { QuickDeletes } from "./quick-deletes.js"
import { QuickGate } from "./quick-gate.js"
import { QuickPuts } from "./quick-puts.js"
import { QuickReads } from "./quick-reads.js"
import { checkHeaders, headersOf, withHoisted } from "./request-headers.js"
import { askedOf } from "./rights/asked-core.js"
import { Authority } from "./rights/authority.js"
import type { Place } from "./rights/authority.js"
import { makesObject, type RequestHead } from "./rights/condition-values-core.js"
import { actionsOf } from "./rights/needs-core.js"
import { RequestMeters } from "./request-meters.js"
import { route } from "./route.js"
import { BUCKET_POLICY } from "./settings/bucket-policy.js"
import type { BucketPolicy } from "./settings/bucket-policy.js"
import type { NewBuckets } from "./settings/new-bucket.js"
import { PUBLIC_ACCESS_BLOCK } from "./settings/public-access-block.js"
import type { PublicAccessBlock } from "./settings/public-access-block.js"
import { REQUEST_PAYMENT, requestCharged } from "./settings/request-payment.js"
import type { Payer } from "./settings/request-payment.js"
import { SettingReader } from "./settings/setting.js"
import { awake, soon } from "./slow-answer.js"
import { Query } from "./wire/query.js"
import { keyOfByteString, parseTarget } from "./wire/target.js"
import type { S3Target } from "./wire/target.js"

const HOST_ID_BYTES = 24
const OWN_TROUBLE_STATUS = 500
const DENIED_STATUS = 403
/** How often another object is judged in place of the one that was, before the client is told to try again. */
const JUDGED_ANEW_MAX = 3
/** Listings that wait for their turn; beyond, clients are told to slow down. */
const HEAVY_WAITING_MAX = 1_000

export interface S3Settings {
  readonly services: ObjectServices
  readonly accounts: Keyring & Grantees
  /** Undefined: any region is accepted, and us-east-1 reported. */
  readonly region: string | undefined
  /** Domains whose sub-domains are buckets, in lower case; `localhost` always is one. */
  readonly domains: readonly string[]
  /** Where a person with a browser is sent. */
  readonly adminUrl: string
  /** Listening on loopback only: the page for people answers to no other names. */
  readonly onLoopback: boolean
  readonly clock: Clock
  readonly random: Random
  /** Whether signature version 2 is refused also of objects' URLs and of forms. */
  readonly refuseSignatureV2: boolean
  readonly newBuckets: NewBuckets
  readonly metrics: Metrics
  /** Whoever is told no can be explained why, to the operator. */
  readonly denials: Denials
  /** Digests of small documents. */
  readonly hash: Compute["hash"]
}

/** A request as it has been understood so far; errors say what is known of it. */
interface Request {
  readonly exchange: Exchange
  readonly nowMs: number
  target?: S3Target
  query?: Query
  headers: Headers
  operation?: Operation
  /** What every answer says to a page of another origin. */
  crossOrigin?: Verdict
  caller?: Caller
  /** What its caller may do. */
  authority?: Authority
}

/** How it was answered. */
type Told = Pick<S3Error, "status" | "code">

interface Admitted {
  readonly operation: Operation
  readonly target: S3Target
  readonly query: Query
  readonly caller: Caller
  /** Of a form. */
  readonly form?: AdmittedForm
}

/** The protocol that the HTTP server is given. */
export const createS3Handler = (settings: S3Settings): Protocol => new S3Handler(settings)

class S3Handler implements Protocol {
  private readonly gate: Gatekeeper
  private readonly crossOrigin: CrossOrigin
  private readonly meters: RequestMeters
  private readonly payers: SettingReader<Payer>
  private readonly bucketPolicies: SettingReader<BucketPolicy>
  private readonly publicAccessBlocks: SettingReader<PublicAccessBlock>
  private readonly accessControl: AccessControl
  private readonly heavy: OneATurn
  private readonly region: string
  /** The same for all answers of one process: it tells processes apart in a report. */
  private readonly hostId: string
  private readonly quickReads: QuickReads | undefined
  private readonly quickPuts: QuickPuts | undefined
  private readonly quickDeletes: QuickDeletes | undefined

  constructor(private readonly settings: S3Settings) {
    const { accounts, services, region, random, clock } = settings
    this.gate = new Gatekeeper(accounts, services.buckets, region, !settings.refuseSignatureV2)
    this.meters = new RequestMeters(settings.metrics)
    this.crossOrigin = new CrossOrigin(services.buckets)
    this.payers = new SettingReader(services.buckets, REQUEST_PAYMENT)
    this.bucketPolicies = new SettingReader(services.buckets, BUCKET_POLICY)
    this.publicAccessBlocks = new SettingReader(services.buckets, PUBLIC_ACCESS_BLOCK)
    this.accessControl = new AccessControl(services.buckets, accounts)
    this.heavy = new OneATurn(clock, HEAVY_WAITING_MAX)
    this.region = region ?? DEFAULT_REGION
    this.hostId = Buffer.from(random.bytes(HOST_ID_BYTES)).toString("base64")
    const { atOnce } = services
    const { meters, bucketPolicies, hostId } = this
    const gate = atOnce && new QuickGate({ ...settings, atOnce, meters, bucketPolicies, hostId })
    this.quickReads = gate && new QuickReads(gate, atOnce, clock)
    this.quickDeletes = gate && new QuickDeletes(gate, services.objects, clock)
    this.quickPuts = gate && new QuickPuts(gate, atOnce, clock, settings.hash)
  }

  handle(exchange: Exchange): Promise<void> | undefined {
    const { method } = exchange
    const nowMs = this.settings.clock.wallMs()
    if (method === "PUT" || method === "DELETE") {
      const writing =
        method === "PUT"
          ? this.quickPuts?.serve(exchange, nowMs, () => this.handleAny(exchange))
          : this.quickDeletes?.serve(exchange, nowMs)
      if (writing !== undefined)
        return writing.catch((error: unknown) => this.respondQuickFailure(exchange, nowMs, error))
    } else if (method === "GET" || method === "HEAD") {
      const read = this.quickReads?.serve(exchange, nowMs)
      if (read !== undefined)
        return read.responding?.catch((error: unknown) => this.respondQuickFailure(exchange, nowMs, error))
    }
    return this.handleAny(exchange)
  }

  accountOf({ rawTarget, headers }: Exchange): string | undefined {
    const { accounts, clock } = this.settings
    const text = claimedKey(headers.get("authorization"), rawTarget)
    const id = text === undefined ? undefined : unlessRefused(() => parseAccessKeyId(text))
    return id && accounts.knownSecret(id, headers.get("x-amz-security-token"), clock.wallMs())?.account.id
  }

  private async respondQuickFailure(exchange: Exchange, nowMs: number, error: unknown): Promise<void> {
    const target = parseTarget(exchange.rawTarget, exchange.header("host") ?? "", this.settings.domains)
    await this.respondFailure({ exchange, nowMs, target, headers: headersOf(exchange.rawHeaders) }, error)
  }

  private async handleAny(exchange: Exchange): Promise<void> {
    const { adminUrl, onLoopback, domains } = this.settings
    if (isBrowser(exchange) && isForThisHost(exchange.header("host"), onLoopback, domains))
      return await exchange.respond(welcomePage(adminUrl))
    const request: Request = {
      exchange,
      nowMs: this.settings.clock.wallMs(),
      headers: headersOf(exchange.rawHeaders),
    }
    try {
      await this.serve(request)
    } catch (error) {
      await this.respondFailure(request, error)
    }
  }

  private async respondFailure(request: Request, error: unknown): Promise<void> {
    const { exchange } = request
    const failure = sayInstead(asFailure(error), request.target)
    // Our own bugs are logged with their stack by the server, which then asks for `refuse`.
    if (exchange.answered || failure.kind === "internal") throw error
    const answer = s3ErrorOf(nameCondition(failure, request.headers))
    this.noteDenial(request, failure, answer)
    // The client learns little of our own trouble; the operator needs to know what it was and where.
    if (answer.status >= OWN_TROUBLE_STATUS) exchange.note({ kind: failure.kind, reason: failure.message })
    await this.respondError(request, answer)
  }

  refuse({ requestId, failure, status, target }: Refusal): PlainAnswer {
    const resource = target.split("?")[0] ?? ""
    const error = s3ErrorOf(failure)
    const scene = {
      requestId,
      hostId: this.hostId,
      resource,
      region: this.region,
      bucketName: undefined,
      key: undefined,
      fields: [],
    }
    return errorAnswer(status === undefined ? error : { ...error, status }, scene)
  }

  private async serve(request: Request): Promise<void> {
    const { exchange } = request
    const wire = new TimedBody(exchange, this.settings.clock)
    const admitted = await this.admit(request, wire)
    if ("body" in admitted) return await this.respond(request, admitted)
    const startedMs = this.settings.clock.monotonicMs()
    if (admitted.operation.heavy) await this.heavy.turn()
    const work = this.run(request, admitted, wire)
    const answer = admitted.operation.slow ? await soon(work, this.settings.clock) : await work
    exchange.timing.add("data", wire.waitedMs)
    exchange.timing.add("meta", this.settings.clock.monotonicMs() - startedMs - wire.waitedMs)
    if (answer === undefined) return await this.respondSlowly(request, work)
    await this.respond(request, answer)
  }

  /** Everything before the operation itself; at once the answer of a preflight, which nobody signs. */
  private async admit(request: Request, wire: WireBody): Promise<Admitted | Answer> {
    const { exchange, nowMs } = request
    const target = parseTarget(exchange.rawTarget, exchange.header("host") ?? "", this.settings.domains)
    request.target = target
    const verdict = await this.crossOrigin.judge(target.bucket, exchange.method, request.headers)
    request.crossOrigin = verdict
    const query = new Query(target.query)
    request.query = query
    checkListensToNothing(exchange.method, target, query)
    const operation = route(exchange.method, resourceOf(target), query, request.headers)
    request.operation = operation
    exchange.note({ operation: operation.name, bucket: target.bucket?.slice(0, 64) })
    if (operation.answer.kind === "preflight") return preflight(verdict, request.headers, target)
    const admitted = { operation, target, query }
    if (operation.answer.kind === "form")
      return { ...admitted, ...(await this.admitForm(request, target, query, wire)) }
    const caller = await exchange.timing.measure("auth", () => this.gate.caller(exchange, { target, query, nowMs }))
    this.noteCaller(request, caller)
    // Whoever is nobody hears of nothing but of buckets.
    if (caller.account === undefined) await this.enterAnonymously(target.bucket, caller, request.headers)
    if (caller.request.form === "query") request.headers = withHoisted(request.headers, query)
    if (operation.answer.kind === "refused") {
      throw fail("notImplemented", { operation: operation.name, message: `${operation.name} is not implemented.` })
    }
    checkHeaders(request.headers)
    if (!operation.takesAcl) checkNoAcl(request.headers)
    return { ...admitted, caller }
  }

  private async admitForm(request: Request, target: S3Target, query: Query, wire: WireBody) {
    const { exchange, headers, nowMs } = request
    const noteCaller = (caller: Caller) => this.noteCaller(request, caller)
    const scene = { exchange, target, query, headers, nowMs, noteCaller }
    const admitted = await exchange.timing.measure("auth", () => admitForm(this.gate, wire, scene))
    checkHeaders(headers)
    checkNoAcl(headers)
    return admitted
  }

  private noteCaller(request: Request, caller: Caller): void {
    const { exchange } = request
    request.caller = caller
    if (caller.account === undefined) return
    exchange.note({ accessKeyId: caller.request.accessKeyId })
    if (caller.request.version === "AWS") this.meters.noteVersion2(caller.request.form)
    exchange.countIn(this.meters.ofAccount(caller.account.id))
  }

  /** Whoever may not do it can be explained why, also where the answer says so of single keys. */
  private noteDenial(request: Request, failure: Failure, { status, code }: Told): void {
    if (status !== DENIED_STATUS && failure.remedy !== "signIn") return
    const { exchange, target, query, operation, caller, headers, nowMs } = request
    const asked = operation && target && askedOf(operation.needs, target, headers, query?.has("versionId") ?? false)
    const { accessKeyId } = failure.details
    const claimed =
      accessKeyId === undefined ? claimedKey(exchange.header("authorization"), exchange.rawTarget) : String(accessKeyId)
    const denied = {
      requestId: exchange.requestId,
      deniedMs: nowMs,
      service: "s3",
      operation: operation?.name ?? "",
      status,
      code,
      remoteAddress: exchange.remoteAddress,
      accessKeyId: caller?.request.accessKeyId ?? claimed,
      principal: caller?.principal,
      action: asked?.action,
      resource: asked?.resource,
    }
    this.settings.denials.note(denied, failure)
  }

  /** Throws `noSuchBucket`, `accessDenied`. */
  private async enterAnonymously(bucketName: string | undefined, caller: Caller, headers: Headers): Promise<void> {
    if (bucketName === undefined) throw fail("accessDenied", { reason: "the request carries no credentials" })
    await this.gate.openBucket(bucketName, caller, headers)
  }

  /** Rejects with the failure of the operation. */
  private async run(request: Request, admitted: Admitted, wire: WireBody): Promise<Answer> {
    const { exchange, nowMs } = request
    const { operation, target, query, caller, form } = admitted
    const { answer } = operation
    const headers = form?.headers ?? request.headers
    const { services, region, hash } = this.settings
    const body = new RequestBody(form?.file ?? wire, headers, caller.request, hash)
    const call: Call = {
      services,
      authority: this.authorityOf(request, admitted, body),
      accessControl: this.accessControl,
      caller: caller.account,
      principals: this.settings.accounts,
      region: this.region,
      configuredRegion: region,
      origin: `${exchange.tlsVersion === undefined ? "http" : "https"}://${exchange.header("host") ?? ""}`,
      rawPath: target.rawPath,
      query,
      headers,
      body,
      nowMs,
      turn: () => this.heavy.turn(),
      client: exchange,
    }
    const name = target.bucket ?? ""
    if (answer.kind === "service" || answer.kind === "newBucket") {
      const { account } = caller
      if (account === undefined) throw fail("accessDenied", { reason: "the request carries no credentials" })
      if (answer.kind === "service") {
        await requireAll(operation, call, {})
        return await answer.handle(Object.assign(call, { account }))
      }
      const bucketName = parseNewBucketName(name)
      checkExpectedOwner(headers, account)
      await requireAll(operation, call, { newBucket: bucketName })
      return await answer.handle(Object.assign(call, { account, bucketName, newBuckets: this.settings.newBuckets }))
    }
    const { bucket, owner } = await this.gate.openBucket(name, caller, request.headers)
    let charged = await this.chargedIn(bucket, caller, headers)
    const openSource = async (sourceName: string): Promise<Bucket> => {
      const source = await this.gate.openBucket(sourceName, caller, headers, "x-amz-source-expected-bucket-owner")
      const chargedToo = await this.chargedIn(source.bucket, caller, headers)
      if (charged.length === 0) charged = chargedToo
      return source.bucket
    }
    const { authority } = call
    request.authority = authority
    authority.readingFrom({ bucket })
    try {
      const answered = await this.runInBucket(request, admitted, Object.assign(call, { bucket, owner, openSource }))
      return withFields(answered, charged)
    } catch (error) {
      throw await authority.audible(asFailure(error))
    }
  }

  private async chargedIn(bucket: Bucket, { account }: Caller, headers: Headers): Promise<readonly Field[]> {
    return requestCharged(await this.payers.of(bucket), bucket.owner, account?.id, headers)
  }

  private async runInBucket({ exchange }: Request, admitted: Admitted, call: BucketCall): Promise<Answer> {
    const { operation, target, form } = admitted
    const { answer } = operation
    const { bucket } = call
    const judge = (place: Place): Promise<void> => requireAll(operation, call, { bucket, ...place })
    const enter = async (place: Place): Promise<void> => {
      await judge(place)
      exchange.countIn(this.meters.ofBucket(bucket.name))
    }
    if (answer.kind === "form" && form !== undefined) {
      const { key, tags, success } = form
      if (tags.length > 0) await call.authority.require("PutObjectTagging", { bucket, key })
      await enter({ key })
      return answer.handle(Object.assign(call, { key, tags, success }))
    }
    if (answer.kind === "bucket") {
      await enter({})
      return answer.handle(call)
    }
    if (answer.kind === "object") {
      const key = keyOfByteString(target.rawKey ?? "")
      call.authority.readingFrom({ bucket, key })
      const place = { key, versionId: versionIdOf(call) }
      await enter(place)
      const isRead = exchange.method === "GET" || exchange.method === "HEAD"
      for (let left = JUDGED_ANEW_MAX; ; left -= 1) {
        const answered = await answer.handle(Object.assign(call, { key }))
        if (!isRead || !(await call.authority.judgedAnother())) return answered
        if (answered.body.kind === "object") answered.body.body.close()
        if (left === 0) throw fail("conflict", { reason: "other objects came to lie there all the while" })
        await judge(place)
      }
    }
    throw fail("internal", { reason: "an operation without a handler was admitted", operation: operation.name })
  }

  private authorityOf({ exchange, headers, nowMs }: Request, admitted: Admitted, body: RequestBody): Authority {
    const { operation, target, query, caller, form } = admitted
    const { services, accounts } = this.settings
    const { remoteAddress, tlsVersion } = exchange
    const head: RequestHead = {
      ...{
        operation: operation.name,
        isOfBucket: target.rawKey === undefined,
        query,
        nowMs,
        remoteAddress,
        tlsVersion,
      },
      headers: form?.headers ?? headers,
      userAgent: exchange.header("user-agent"),
      referer: exchange.header("referer"),
      formTags: form?.tags,
      form: caller.account === undefined ? undefined : caller.request.form,
      signatureVersion: caller.request.version,
      signedMs: caller.request.signedMs,
      region: this.region,
    }
    const readBody = () => operation.readBody(body)
    const { bucketPolicies, publicAccessBlocks, accessControl } = this
    const accountOf = (id: AccountId) => accounts.accountNow(id)
    return new Authority({
      ...{ caller, head, objects: services.objects, multipart: services.multipart, accountOf, readBody },
      ...{ bucketPolicies, publicAccessBlocks, accessControl },
    })
  }

  private async respond(request: Request, answer: Answer): Promise<void> {
    const { exchange } = request
    if (answer.body.kind === "error") exchange.note({ failure: answer.body.error.code })
    const refused = request.authority?.refused
    if (refused !== undefined)
      this.noteDenial(request, refused, { status: answer.status, code: s3ErrorOf(refused).code })
    const { clock } = this.settings
    const startedMs = clock.monotonicMs()
    try {
      await exchange.respond(httpAnswer(answer, this.scene(request), exchange))
    } finally {
      if (answer.body.kind === "object") {
        answer.body.body.close()
        exchange.timing.add("data", clock.monotonicMs() - startedMs)
      }
    }
  }

  private async respondSlowly(request: Request, work: Promise<Answer>): Promise<void> {
    const { exchange } = request
    const scene = this.scene(request)
    const bytes = work.then(
      answer => (answer.body.kind === "document" ? answer.body.bytes : new Uint8Array()),
      (error: unknown) => {
        const failure = asFailure(error)
        exchange.note({ failure: failure.kind })
        const told = s3ErrorOf(nameCondition(failure, request.headers))
        this.noteDenial(request, failure, told)
        return errorDocument(told, scene)
      },
    )
    const headers = [...commonFields(scene).flat(), "Content-Type", XML_TYPE]
    await exchange.respond({ status: 200, headers, body: awake(bytes, this.settings.clock) })
  }

  private async respondError(request: Request, error: S3Error): Promise<void> {
    request.exchange.note({ failure: error.code })
    await request.exchange.respond(errorAnswer(error, this.scene(request)))
  }

  private scene({ exchange, target, crossOrigin }: Request): AnswerScene {
    const rawKey = target?.rawKey
    return {
      requestId: exchange.requestId,
      hostId: this.hostId,
      resource: target?.rawPath ?? exchange.rawTarget.split("?")[0] ?? "",
      bucketName: target?.bucket === undefined ? undefined : textOfObjectKey(target.bucket),
      key: rawKey === undefined ? undefined : textOfObjectKey(rawKey),
      region: this.region,
      fields: crossOrigin?.fields ?? [],
    }
  }
}

const resourceOf = ({ bucket, rawKey }: S3Target): Resource =>
  bucket === undefined ? "service" : rawKey === undefined ? "bucket" : "object"

/** All that the table says the request needs. Throws `accessDenied`. */
async function requireAll(operation: Operation, call: Call, place: Place): Promise<void> {
  const { needs } = operation
  const { authority, headers } = call
  if (needs === "eachKey") return
  if (needs.length === 0) throw fail("internal", { reason: "an operation that needs nothing was admitted" })
  for (const action of actionsOf(needs, headers, place.versionId !== undefined)) {
    if (action === "PutObjectAcl" && (await setsNoList(operation, call, place))) continue
    await authority.require(action, place)
  }
}

/** Whether the list of a new object says only what holds anyway, because the owner of the bucket is enforced. */
async function setsNoList(operation: Operation, call: Call, { bucket }: Place): Promise<boolean> {
  if (bucket === undefined || !makesObject(operation.name) || !asksForOwnerAlone(call.headers)) return false
  return !(await call.accessControl.counts(bucket))
}

const withFields = (answer: Answer, fields: readonly Field[]): Answer =>
  fields.length === 0 ? answer : { ...answer, headers: [...answer.headers, ...fields] }

/** The request's body, and how long it was waited for. */
class TimedBody implements WireBody {
  readonly lengthBytes: number | undefined
  readonly chunked: boolean
  waitedMs = 0

  constructor(
    private readonly exchange: Exchange,
    private readonly clock: Clock,
  ) {
    this.lengthBytes = exchange.contentLength
    this.chunked = exchange.chunkedTransfer
  }

  async *open(pieces: PieceOwner): AsyncGenerator<Uint8Array> {
    let askedMs = this.clock.monotonicMs()
    for await (const piece of this.exchange.body(pieces)) {
      this.waitedMs += this.clock.monotonicMs() - askedMs
      yield piece
      askedMs = this.clock.monotonicMs()
    }
    this.waitedMs += this.clock.monotonicMs() - askedMs
  }
}

const CONDITIONS = ["If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since"]

/** Tools ask which condition failed; where the service does not say, a request with one condition does. */
function nameCondition(failure: ReturnType<typeof asFailure>, headers: Headers) {
  if (failure.kind !== "preconditionFailed" || failure.details["condition"] !== undefined) return failure
  const [only, second] = CONDITIONS.flatMap(name => [name, `x-amz-copy-source-${name.toLowerCase()}`]).filter(name =>
    headers.has(name.toLowerCase()),
  )
  return only === undefined || second !== undefined
    ? failure
    : fail(failure.kind, { ...failure.details, condition: only })
}
