/**
 * Swift over HTTP: from an exchange to a request for an account, a container or an object, and back.
 *
 * Promises  Every request but sign-in, `/info` and `/healthcheck` is decided as one of S3 (`TranslatedCalls`): by the same
 *           policies, with the same limits, metrics, denials and audit log.
 * Source    "Object Storage API v1", OpenStack.
 */
import type { Keyring } from "../access/contract.js"
import type { SwiftAccounts } from "../access/index.js"
import { asFailure, fail, isFailure } from "../base/failures.js"
import { after, recover, type Soon } from "../base/soon.js"
import { parseQuery } from "../base/uri.js"
import type { Exchange, PlainAnswer, Protocol, Refusal } from "../http/index.js"
import {
  anonymousWith,
  httpAnswer,
  KnownCallers,
  Query,
  respondObject,
  SettingReader,
  TranslatedCalls,
  type Answer,
  type Caller,
  type S3Request,
  type S3Settings,
} from "../s3/index.js"
import { AccountRequests } from "./accounts.js"
import { emptyAnswer, errorAnswer, idFields, linesOf, textAnswer } from "./answers.js"
import { BulkRequests } from "./bulk.js"
import { SwiftContainers } from "./containers.js"
import { corsFields, preflightFields } from "./cors-core.js"
import { swiftErrorOf } from "./failures.js"
import { isForm, SwiftForms } from "./forms.js"
import { SwiftGrants } from "./grants.js"
import { infoDocument } from "./info.js"
import type { Metadata } from "./metadata-core.js"
import { SwiftObjects } from "./objects.js"
import {
  containerAt,
  signedGrants,
  SWIFT_SETTING,
  urlKeysOf,
  type ContainerRequest,
  type ObjectRequest,
  type SwiftContext,
  type SwiftRequest,
} from "./requests.js"
import { Keystone, type KeystoneSettings } from "./keystone.js"
import type { WebServices } from "../seams/web/contract.js"
import { StaticWebsites } from "./static-web.js"
import { isOwnToken, SwiftSignIn, type SignedIn } from "./sign-in.js"
import { refuseUnbuilt } from "./unbuilt-core.js"
import { admitTempUrl, checkTempUrlHeaders, readTempUrl, type TempUrl } from "./temp-url-core.js"
import { checkDigest } from "./url-signatures-core.js"
import { pathOf, targetOfPath, type SwiftTarget } from "./target-core.js"

interface SwiftSettings extends S3Settings {
  readonly accounts: S3Settings["accounts"] & Keyring
  readonly swiftAccounts: SwiftAccounts
  /** Whether temporary URLs and forms may be signed with SHA-1. */
  readonly allowSha1: boolean
  readonly gunzip: SwiftContext["gunzip"]
  /** Undefined: tokens of its own only. */
  readonly keystone: (KeystoneSettings & { readonly web: Pick<WebServices, "read"> }) | undefined
  readonly version: string
  /** Called before the first row that an earlier release would not understand. */
  readonly prepare: () => Promise<void>
}

/** The protocol for the HTTP server. */
export const createSwiftHandler = (settings: SwiftSettings): Protocol => new SwiftHandler(settings)

const SERVER_ERROR_STATUS = 500
const DENIED: readonly number[] = [401, 403]
const AUTH_PATH = /^\/auth\/v1(?:\.0)?\/?$|^\/v1\/([^/]+)\/auth\/?$|^\/auth\/v1\/([^/]+)\/auth\/?$/

/** What a temporary URL for a method allows. */
const ACTIONS_OF_URLS: Readonly<Record<string, readonly string[]>> = {
  ...{ GET: ["GetObject"], HEAD: ["GetObject"], PUT: ["PutObject"], POST: ["PutObject"], DELETE: ["DeleteObject"] },
}

type Resource = "account" | "container" | "object"
type Handle<Its extends SwiftRequest> = (request: Its) => Soon<Answer>
type Handles<Its extends SwiftRequest> = Readonly<Record<string, Handle<Its>>>

class SwiftHandler implements Protocol {
  private readonly calls: TranslatedCalls
  private readonly signIn: SwiftSignIn
  private readonly known: KnownCallers
  private readonly keystone: Keystone | undefined
  private readonly grants: SwiftGrants
  private readonly context: SwiftContext
  private readonly forms: SwiftForms
  private readonly bulk: BulkRequests
  private readonly websites: StaticWebsites
  private readonly ofAccount: Handles<SwiftRequest>
  private readonly ofContainer: Handles<ContainerRequest>
  private readonly ofObject: Handles<ObjectRequest>

  constructor(private readonly settings: SwiftSettings) {
    const { services, accounts, swiftAccounts, clock, prepare, allowSha1, gunzip } = settings
    this.calls = new TranslatedCalls(settings)
    this.signIn = new SwiftSignIn(accounts, clock, this.calls.context.region)
    this.known = new KnownCallers(settings)
    const { keystone } = settings
    this.keystone = keystone && new Keystone(keystone, keystone.web, clock, accounts, this.known)
    const containers = new SettingReader(services.buckets, SWIFT_SETTING)
    this.grants = new SwiftGrants(containers, swiftAccounts, this.calls.context)
    const context = {
      calls: this.calls,
      services,
      accounts,
      swiftAccounts,
      containers,
      prepare,
      clock,
      allowSha1,
      gunzip,
    }
    this.context = context
    this.forms = new SwiftForms(context)
    const [ofAccount, ofContainer, ofObject] = [
      new AccountRequests(context),
      new SwiftContainers(context),
      new SwiftObjects(context),
    ]
    this.bulk = new BulkRequests(context, ofObject, ofContainer)
    this.websites = new StaticWebsites(context, ofObject)
    this.ofAccount = {
      ...{ GET: request => ofAccount.get(request), HEAD: request => ofAccount.head(request) },
      ...{ POST: request => ofAccount.post(request), PUT: request => ofAccount.refuse(request) },
      ...{ DELETE: request => ofAccount.refuse(request) },
    }
    this.ofContainer = {
      ...{ GET: request => ofContainer.get(request), HEAD: request => ofContainer.head(request) },
      ...{ PUT: request => ofContainer.put(request), POST: request => ofContainer.post(request) },
      ...{ DELETE: request => ofContainer.delete(request) },
    }
    this.ofObject = {
      ...{ GET: request => ofObject.get(request), HEAD: request => ofObject.head(request) },
      ...{ PUT: request => ofObject.put(request), POST: request => ofObject.post(request) },
      ...{ DELETE: request => ofObject.delete(request), COPY: request => ofObject.copy(request) },
    }
  }

  handle(exchange: Exchange): Soon<void> {
    const request = this.calls.begin(exchange)
    return recover(
      () => after(this.serve(request), answer => this.respondTo(exchange, answer)),
      error => this.respondFailure(request, error),
    )
  }

  accountOf({ headers }: Pick<Exchange, "rawTarget" | "headers">): string | undefined {
    const token = headers.get("x-auth-token") ?? headers.get("x-storage-token")
    return token === undefined ? undefined : this.signIn.claimedKey(token)?.account.id
  }

  refuse({ requestId, failure, status }: Refusal): PlainAnswer {
    const error = swiftErrorOf(failure, false)
    return errorAnswer(status === undefined ? error : { ...error, status }, requestId)
  }

  private serve(request: S3Request): Soon<Answer> {
    const { exchange } = request
    const { path, rawQuery } = pathOf(exchange.rawTarget)
    if (path === "/healthcheck") return textAnswer(200, "text/plain", "OK")
    if (path === "/info")
      return textAnswer(
        200,
        "application/json; charset=utf-8",
        infoDocument(this.settings.version, this.settings.allowSha1),
      )
    const auth = AUTH_PATH.exec(path)
    if (auth !== null && exchange.method === "GET") return this.signedIn(exchange, auth[1] ?? auth[2])
    const target = targetOfPath(path)
    if (target === undefined) throw fail("invalidUri", { message: "the path begins with none of /v1, /auth, /info" })
    const resource = resourceOf(target)
    const handles = { account: this.ofAccount, container: this.ofContainer, object: this.ofObject }[resource]
    const isKnown = isForm(exchange, target) || exchange.method === "OPTIONS" || Object.hasOwn(handles, exchange.method)
    exchange.note({
      operation: `Swift ${isKnown ? exchange.method : "?"} ${resource}`,
      bucket: target.container?.slice(0, 64),
    })
    if (!isKnown) throw notAllowed(exchange.method, resource, Object.keys(handles))
    if (isForm(exchange, target)) return this.forms.post(request, target, path)
    if (exchange.method === "OPTIONS") return this.options(exchange, target, Object.keys(handles))
    // As in a form: clients write a space as "+".
    const query = new Query(parseQuery(rawQuery.replaceAll("+", "%20")))
    refuseUnbuilt(exchange.headers, query)
    const tempUrl = readTempUrl(rawQuery)
    const admitting = tempUrl === undefined ? this.callerOf(exchange) : this.admit(exchange, target, tempUrl)
    return after(admitting, caller =>
      after(this.calls.enter(request, caller), () =>
        this.dispatch({ exchange, request, caller, target, query, tempUrl }),
      ),
    )
  }

  /** Who has a temporary URL may do what its method does with the object, and nothing else. Throws `signatureMismatch`. */
  private admit(exchange: Exchange, target: SwiftTarget, tempUrl: TempUrl): Soon<Caller> {
    const { method, headers, remoteAddress } = exchange
    checkDigest(tempUrl.signature, this.settings.allowSha1)
    checkTempUrlHeaders(method, headers)
    const { account, container, object } = target
    const nowMs = this.settings.clock.wallMs()
    const request = { method, account, container, object, clientAddress: remoteAddress, nowMs }
    const keys = recover(
      () => after(this.settings.services.buckets.confirm(), () => urlKeysOf(this.context, target)),
      error => {
        if (isFailure(error, "noSuchBucket")) return []
        throw error
      },
    )
    return after(keys, known => {
      admitTempUrl(tempUrl, request, known)
      return anonymousWith(signedGrants(container ?? "", ACTIONS_OF_URLS[method] ?? []))
    })
  }

  private dispatch(request: SwiftRequest): Soon<Answer> {
    const { exchange, target, query } = request
    if (query.has("bulk-delete") && (exchange.method === "POST" || exchange.method === "DELETE"))
      return this.bulk.delete(request)
    if (query.has("extract-archive") && exchange.method === "PUT") return this.bulk.extract(request)
    const { container, object } = target
    if (container === undefined) return this.ofAccount[exchange.method]?.(request) ?? emptyAnswer(405)
    const ofContainer = { ...request, target: { ...target, container } }
    return after(this.metadataOf(target), metadata =>
      after(this.websites.answer(ofContainer, metadata), page => {
        if (page !== undefined) return page
        if (object === undefined) return this.ofContainer[exchange.method]?.(ofContainer) ?? emptyAnswer(405)
        const ofObject = { ...request, target: { ...target, container, object } }
        return this.ofObject[exchange.method]?.(ofObject) ?? emptyAnswer(405)
      }),
    )
  }

  /** Throws `invalidToken`, `tokenExpired`. */
  private callerOf(exchange: Exchange): Soon<Caller> {
    const token = exchange.header("x-auth-token") ?? exchange.header("x-storage-token")
    const buckets = this.settings.services.buckets
    // As for signed requests, what the decisions rest on is as new as the request.
    if (token === undefined)
      return after(buckets.confirm(), () => anonymousWith(this.grants.ofAnonymous(exchange.header("referer"))))
    if (this.keystone !== undefined && !isOwnToken(token)) return this.callerOfKeystone(this.keystone, token, exchange)
    return after(this.signIn.keyOfToken(token), key =>
      after(buckets.confirm(), (): Caller => ({
        ...this.known.ofKey(key),
        grants: this.grants.ofKey(key, exchange.header("referer")),
      })),
    )
  }

  private async callerOfKeystone(keystone: Keystone, token: string, exchange: Exchange): Promise<Caller> {
    const { caller, user } = await keystone.callerOf(token)
    await this.settings.services.buckets.confirm()
    const known = { id: user.id, account: caller.account, users: [user.userName, user.id] }
    return { ...caller, grants: this.grants.ofCaller(known, exchange.header("referer")) }
  }

  private signedIn(exchange: Exchange, account: string | undefined): Soon<Answer> {
    exchange.note({ operation: "Swift sign-in" })
    const host = exchange.header("host") ?? ""
    const origin = `${exchange.tlsVersion === undefined ? "http" : "https"}://${host}`
    return after(this.signIn.signIn(exchange.headers, account), (signed: SignedIn) => {
      const { token, expiresInSeconds, storagePath } = signed
      return emptyAnswer(200, [
        ["X-Auth-Token", token],
        ["X-Storage-Token", token],
        ["X-Storage-Url", `${origin}${storagePath}`],
        ["X-Auth-Token-Expires", String(expiresInSeconds)],
      ])
    })
  }

  /** What a browser asks before a request; it carries no token. */
  private options({ headers }: Exchange, target: SwiftTarget, methods: readonly string[]): Soon<Answer> {
    const origin = headers.get("origin")
    const allowed = [...methods, "OPTIONS"]
    if (origin === undefined) return emptyAnswer(200, [["Allow", allowed.join(", ")]])
    const [method, asked] = [
      headers.get("access-control-request-method"),
      headers.get("access-control-request-headers"),
    ]
    return after(this.metadataOf(target), metadata => {
      const fields = preflightFields(metadata, { origin, method, headers: asked }, allowed)
      return emptyAnswer(fields === undefined ? 401 : 200, [["Allow", allowed.join(", ")], ...(fields ?? [])])
    })
  }

  /** Of the container that a request addresses; empty if there is none. */
  private metadataOf({ account, container }: SwiftTarget): Soon<Metadata> {
    if (container === undefined) return []
    return recover(
      () =>
        after(containerAt(this.context, account, container), bucket =>
          after(this.context.containers.of(bucket), found => found?.metadata ?? []),
        ),
      error => {
        if (isFailure(error, "noSuchBucket")) return []
        throw error
      },
    )
  }

  /** A page of another origin may read the answer if the container allows its origin. */
  private respondTo(exchange: Exchange, answer: Answer): Soon<void> {
    const origin = exchange.header("origin")
    if (origin === undefined || exchange.method === "OPTIONS") return this.respond(exchange, answer)
    const target = targetOfPath(pathOf(exchange.rawTarget).path)
    if (target === undefined) return this.respond(exchange, answer)
    // What cannot be read allows no page to read the answer.
    const known = recover<Metadata>(
      () => this.metadataOf(target),
      () => [],
    )
    return after(known, metadata => {
      const names = answer.headers.flat().filter((_, at) => at % 2 === 0)
      const fields = corsFields(metadata, origin, names)
      return this.respond(exchange, { ...answer, headers: answer.headers.and(linesOf(fields)) })
    })
  }

  private respond(exchange: Exchange, answer: Answer): Soon<void> {
    const { requestId } = exchange
    const common = linesOf(idFields(requestId))
    const { body } = answer
    if (body.kind === "object") {
      return respondObject(exchange, { ...answer, headers: common.and(answer.headers) }, body, this.settings.clock)
    }
    if (body.kind === "error") throw fail("internal", { reason: "an answer of S3 is no answer of Swift" })
    if (body.kind === "document" && exchange.method === "HEAD") {
      return exchange.respond({
        status: answer.status,
        headers: common.and(answer.headers),
        contentLength: body.bytes.length,
      })
    }
    return exchange.respond(httpAnswer(answer, common, noScene))
  }

  private respondFailure(request: S3Request, error: unknown): Soon<void> {
    const { exchange, caller } = request
    const failure = asFailure(error)
    // The server logs internal errors with their stack, and then calls `refuse`.
    if (exchange.answered || failure.kind === "internal") throw error
    const answer = swiftErrorOf(failure, caller?.account === undefined)
    request.failure = failure
    this.calls.noteFailure(failure)
    if (DENIED.includes(answer.status)) {
      const claimed = this.signIn.claimedKey(exchange.header("x-auth-token") ?? "")?.id
      this.calls.noteDenial(request, failure, { service: "swift", status: answer.status, code: answer.title, claimed })
    }
    if (answer.status >= SERVER_ERROR_STATUS) exchange.note({ kind: failure.kind, reason: failure.message })
    exchange.note({ failure: failure.kind })
    const page = errorAnswer(answer, exchange.requestId)
    if (exchange.method !== "HEAD") return exchange.respond(page)
    return exchange.respond({ status: page.status, headers: page.headers, contentLength: page.body.length })
  }
}

const noScene = (): never => {
  throw fail("internal", { reason: "an answer of S3 is no answer of Swift" })
}

const resourceOf = ({ container, object }: SwiftTarget): Resource =>
  container === undefined ? "account" : object === undefined ? "container" : "object"

const notAllowed = (method: string, resource: Resource, allowed: readonly string[]) =>
  fail("methodNotAllowed", {
    method: method.slice(0, 32),
    resourceType: resource.toUpperCase(),
    allow: allowed.join(", "),
  })
