/**
 * Swift over HTTP: from an exchange to a request for an account, a container or an object, and back.
 *
 * Promises  Every request but sign-in, `/info` and `/healthcheck` is decided as one of S3 (`TranslatedCalls`): by the same
 *           policies, with the same limits, metrics, denials and audit log.
 * Source    "Object Storage API v1", OpenStack.
 */
import type { Keyring } from "@hayloft/access/contract.js"
import type { SecretAttempts, SwiftAccounts } from "@hayloft/access/index.js"
import { fail, isFailure } from "@hayloft/base/failures.js"
import type { AccountId } from "@hayloft/base/ids.js"
import { after, recover, type Soon } from "@hayloft/base/soon.js"
import { EMPTY_SWIFT_CONTAINER, type SwiftContainer } from "@hayloft/engine/format/swift/swift-container.js"
import { parseQuery } from "@hayloft/base/http/uri.js"
import type { Exchange, PlainAnswer, Protocol, Refusal } from "../http/index.js"
import { answerable } from "../signed/index.js"
import {
  httpAnswer,
  KnownCallers,
  RequestQuery,
  respondObject,
  S3SettingReader,
  TranslatedCalls,
  type S3Answer,
  type S3Request,
  type S3Settings,
} from "../s3/index.js"
import { AccountRequests } from "./accounts.js"
import { emptyAnswer, errorAnswer, idFields, headerLinesOf, textAnswer } from "./answers.js"
import { BulkRequests } from "./middleware/bulk.js"
import { SwiftContainers } from "./containers.js"
import { corsFields, preflightFields } from "./middleware/cors-core.js"
import { swiftErrorOf } from "./failures.js"
import { withQuotedEtag } from "./middleware/etag-quoter-core.js"
import { isForm, SwiftForms } from "./middleware/forms.js"
import { SwiftCallers } from "./callers.js"
import { SwiftGrants } from "./grants.js"
import { infoDocument, isForAdmin } from "./middleware/info.js"
import { InsideRequests, type StoreInside } from "./middleware/inside.js"
import { asksForManifest } from "./middleware/large-objects.js"
import type { SwiftMetadata } from "./metadata-core.js"
import { SwiftObjects } from "./objects.js"
import {
  accountAt,
  containerAt,
  requireUndeleted,
  signedScope,
  SWIFT_SETTING,
  SYNC_SETTING,
  urlKeysOf,
  type ContainerRequest,
  type SwiftObjectRequest,
  type SwiftCaller,
  type SwiftContext,
  type SwiftRequest,
} from "./requests.js"
import { Keystone, type KeystoneSettings } from "./middleware/keystone.js"
import type { WebServices } from "@hayloft/base/seams/web/contract.js"
import { hideAbsence } from "./standing.js"
import { StaticWebsites } from "./middleware/static-web.js"
import { admitSync } from "./middleware/sync-requests.js"
import { SwiftSignIn, type SignedIn } from "./sign-in.js"
import { SwiftServices } from "./middleware/services.js"
import { refuseServiceAccount } from "./middleware/services-core.js"
import { refuseUnbuilt } from "./unbuilt-core.js"
import { admitTempUrl, checkTempUrlHeaders, readTempUrl, type TempUrl } from "./middleware/temp-url-core.js"
import { checkDigest } from "./middleware/url-signatures-core.js"
import { pathOf, targetOfPath, type SwiftTarget } from "./target-core.js"

interface SwiftSettings extends S3Settings {
  readonly attempts: S3Settings["attempts"] & Pick<SecretAttempts, "signIn">
  readonly accounts: S3Settings["accounts"] & Keyring & SwiftContext["accounts"]
  readonly swiftAccounts: SwiftAccounts
  /** Its root user is a reseller admin. */
  readonly rootAccount: AccountId
  readonly quotas: SwiftContext["quotas"]
  readonly storeClock: SwiftContext["storeClock"]
  readonly info: {
    /** The key is undefined if nobody is an administrator of `/info`. */
    readonly adminKey: string | undefined
    /** Sections that the public does not see. */
    readonly hidden: readonly string[]
  }
  /** Temporary URLs and forms may be signed with SHA-1. */
  readonly allowSha1: boolean
  /** There are accounts of services. */
  readonly serviceAccounts: boolean
  readonly decompress: SwiftContext["decompress"]
  /** It is undefined if the server accepts only tokens of its own. */
  readonly keystone: (KeystoneSettings & { readonly web: Pick<WebServices, "read"> }) | undefined
  readonly version: string
  readonly inside: StoreInside
  readonly realms: SwiftContext["realms"]
  /** Called before the first row that an earlier release would not understand. */
  readonly prepare: () => Promise<void>
}

/** The protocol for the HTTP server. */
export const createSwiftHandler = (settings: SwiftSettings): Protocol => new SwiftHandler(settings)

const AUTH_PATH = /^\/auth\/v1(?:\.0)?\/?$|^\/v1\/([^/]+)\/auth\/?$|^\/auth\/v1\/([^/]+)\/auth\/?$/

/** The actions that a temporary URL for a method allows. */
const ACTIONS_OF_URLS: Readonly<Record<string, readonly string[]>> = {
  GET: ["GetObject"],
  HEAD: ["GetObject"],
  PUT: ["PutObject"],
  POST: ["PutObject"],
  DELETE: ["DeleteObject"],
}

type Resource = "account" | "container" | "object"
type Handle<Its extends SwiftRequest> = (request: Its) => Soon<S3Answer>
type Handles<Its extends SwiftRequest> = Readonly<Record<string, Handle<Its>>>

type FoundContainer = SwiftContainer & { readonly owner: AccountId }

class SwiftHandler implements Protocol {
  private readonly calls: TranslatedCalls
  private readonly signIn: SwiftSignIn
  private readonly callers: SwiftCallers
  private readonly context: SwiftContext
  private readonly forms: SwiftForms
  private readonly inside: InsideRequests
  private readonly bulk: BulkRequests
  private readonly websites: StaticWebsites
  private readonly ofAccount: Handles<SwiftRequest>
  private readonly ofContainer: Handles<ContainerRequest>
  private readonly ofObject: Handles<SwiftObjectRequest>

  constructor(private readonly settings: SwiftSettings) {
    const { services, accounts, swiftAccounts, quotas, audit, clock, prepare, allowSha1, decompress } = settings
    this.calls = new TranslatedCalls(settings)
    this.signIn = new SwiftSignIn(accounts, settings.attempts, clock, this.calls.context.region)
    const containers = new S3SettingReader(services.buckets, SWIFT_SETTING)
    this.callers = this.openCallers(containers)
    const context = {
      calls: this.calls,
      services,
      accounts,
      swiftAccounts,
      quotas,
      audit,
      containers,
      syncs: new S3SettingReader(services.buckets, SYNC_SETTING),
      realms: settings.realms,
      prepare,
      clock,
      storeClock: settings.storeClock,
      allowSha1,
      decompress,
      rootAccount: settings.rootAccount,
    }
    this.context = context
    this.forms = new SwiftForms(context, this.callers)
    this.inside = new InsideRequests(context, settings.inside, settings.version)
    const [ofAccount, ofContainer, ofObject] = [
      new AccountRequests(context),
      new SwiftContainers(context),
      new SwiftObjects(context, this.callers),
    ]
    this.bulk = new BulkRequests(context, ofObject, ofContainer)
    this.websites = new StaticWebsites(context, ofObject)
    this.ofAccount = {
      GET: request => ofAccount.get(request),
      HEAD: request => ofAccount.head(request),
      POST: request => ofAccount.post(request),
      PUT: request => ofAccount.put(request),
      DELETE: request => ofAccount.delete(request),
    }
    this.ofContainer = {
      GET: request => ofContainer.get(request),
      HEAD: request => ofContainer.head(request),
      PUT: request => ofContainer.put(request),
      POST: request => ofContainer.post(request),
      DELETE: request => ofContainer.delete(request),
    }
    this.ofObject = {
      GET: request => ofObject.get(request),
      HEAD: request => ofObject.head(request),
      PUT: request => ofObject.put(request),
      POST: request => ofObject.post(request),
      DELETE: request => ofObject.delete(request),
      COPY: request => ofObject.copy(request),
    }
  }

  private openCallers(containers: S3SettingReader<SwiftContainer>): SwiftCallers {
    const { accounts, audit, clock, keystone, rootAccount, services, swiftAccounts } = this.settings
    const known = new KnownCallers(this.settings)
    const grants = new SwiftGrants(containers, swiftAccounts, this.calls.context)
    const ofKeystone = keystone && new Keystone(keystone, keystone.web, clock, accounts, known)
    const shared = {
      signIn: this.signIn,
      keystone: ofKeystone,
      accounts,
      buckets: services.buckets,
      clock,
      rootAccount,
    }
    return new SwiftCallers({ ...shared, known, grants, services: new SwiftServices({ ...shared, audit }) })
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

  /** Throws `accessDenied`, `signatureMismatch`. */
  private info({ method }: Exchange, rawQuery: string): S3Answer {
    const { version, allowSha1, info, clock } = this.settings
    const request = { method, query: new RequestQuery(parseQuery(rawQuery)), nowMs: clock.wallMs() }
    const shown = {
      version,
      allowSha1,
      realms: this.settings.realms,
      hidden: info.hidden,
      isForAdmin: isForAdmin(request, info.adminKey, allowSha1),
    }
    return textAnswer(200, "application/json; charset=utf-8", infoDocument(shown))
  }

  private handlesOf(target: SwiftTarget) {
    return { account: this.ofAccount, container: this.ofContainer, object: this.ofObject }[resourceOf(target)]
  }

  private serve(request: S3Request): Soon<S3Answer> {
    const { exchange } = request
    const { path, rawQuery } = pathOf(exchange.rawTarget)
    if (path === "/healthcheck") return textAnswer(200, "text/plain", "OK")
    if (path === "/info") return this.info(exchange, rawQuery)
    const auth = AUTH_PATH.exec(path)
    if (auth !== null && exchange.method === "GET") return this.signedIn(exchange, auth[1] ?? auth[2])
    const inside = this.inside.answerTo(path)
    if (inside !== undefined) return this.answerInside(request, inside)
    const target = targetOfPath(path)
    if (target === undefined) throw fail("invalidUri", { message: "the path begins with none of /v1, /auth, /info" })
    const resource = resourceOf(target)
    const handles = this.handlesOf(target)
    const isKnown = isForm(exchange, target) || exchange.method === "OPTIONS" || Object.hasOwn(handles, exchange.method)
    exchange.note({
      operation: `Swift ${isKnown ? exchange.method : "?"} ${resource}`,
      bucket: target.container?.slice(0, 64),
    })
    if (!isKnown) throw notAllowed(exchange.method, resource, Object.keys(handles))
    return after(this.refuseDeleted(exchange, target), () => this.answer(request, target, { path, rawQuery }))
  }

  /** Refuses every request to a deleted account except the one that brings it back. Throws `accountDeleted`. */
  private refuseDeleted({ method }: Exchange, { account, container }: SwiftTarget): Soon<void> {
    if (container === undefined && method === "PUT") return undefined
    return after(accountAt(this.settings.accounts, account), known =>
      after(known && this.settings.swiftAccounts.of(known.id), ofSwift => requireUndeleted(ofSwift, account)),
    )
  }

  private answer(
    request: S3Request,
    target: SwiftTarget,
    { path, rawQuery }: { readonly path: string; readonly rawQuery: string },
  ): Soon<S3Answer> {
    const { exchange } = request
    if (!this.settings.serviceAccounts) refuseServiceAccount(target.account)
    if (isForm(exchange, target)) return this.forms.post(request, target, path)
    if (exchange.method === "OPTIONS") return this.options(exchange, target, Object.keys(this.handlesOf(target)))
    // Clients write a space in the query as "+", the same as in a form.
    const query = new RequestQuery(parseQuery(rawQuery.replaceAll("+", "%20")))
    refuseUnbuilt(exchange.headers)
    const tempUrl = readTempUrl(rawQuery)
    const sync = exchange.header("x-container-sync-auth")
    const admitting =
      sync !== undefined
        ? admitSync(this.context, this.callers, { exchange, target, path }, sync)
        : tempUrl === undefined
          ? this.callers.of(exchange, target)
          : this.admit(exchange, target, tempUrl)
    return after(admitting, known =>
      after(this.calls.enter(request, known.caller), () =>
        this.dispatch({ repeats: undefined, ...known, exchange, request, target, query, tempUrl }),
      ),
    )
  }

  private answerInside(
    request: S3Request,
    { operation, answer }: NonNullable<ReturnType<InsideRequests["answerTo"]>>,
  ): Soon<S3Answer> {
    const { exchange } = request
    exchange.note({ operation })
    if (exchange.method !== "GET") throw notAllowed(exchange.method, "store", ["GET"])
    const target = { account: "", container: undefined, object: undefined }
    return after(this.callers.of(exchange, target), known =>
      after(this.calls.enter(request, known.caller), () =>
        answer({
          ...known,
          exchange,
          request,
          target,
          query: new RequestQuery([]),
          tempUrl: undefined,
          repeats: undefined,
        }),
      ),
    )
  }

  /**
   * Admits a request with a temporary URL, which may do what its method does with the object, as the setter of the key, and
   * nothing else. Throws `signatureMismatch`.
   */
  private admit(exchange: Exchange, target: SwiftTarget, tempUrl: TempUrl): Soon<SwiftCaller> {
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
      const { signer } = admitTempUrl(tempUrl, request, known)
      const actions = ACTIONS_OF_URLS[method] ?? []
      return after(containerAt(this.context, account, container ?? ""), bucket => {
        const scope = signedScope(bucket.name, actions, signer.scope === "account" ? bucket.owner : undefined)
        return this.callers.ofSetter(signer.setter, scope, exchange, target)
      })
    })
  }

  private dispatch(request: SwiftRequest): Soon<S3Answer> {
    return recover(
      () => this.answerTo(request),
      error => hideAbsence(this.context, request, error),
    )
  }

  private answerTo(request: SwiftRequest): Soon<S3Answer> {
    const { exchange, target, query } = request
    if (query.has("bulk-delete") && (exchange.method === "POST" || exchange.method === "DELETE"))
      return this.bulk.delete(request)
    if (query.has("extract-archive") && exchange.method === "PUT") return this.bulk.extract(request)
    const { container, object } = target
    if (container === undefined) return this.ofAccount[exchange.method]?.(request) ?? emptyAnswer(405)
    const ofContainer = { ...request, target: { ...target, container } }
    return after(this.containerOf(target), found =>
      after(this.websites.answer(ofContainer, found?.metadata ?? []), page => {
        if (page !== undefined) return page
        if (object === undefined) return this.ofContainer[exchange.method]?.(ofContainer) ?? emptyAnswer(405)
        const ofObject = { ...request, target: { ...target, container, object } }
        if (exchange.method === "DELETE" && asksForManifest(request, "delete")) return this.bulk.deleteLarge(ofObject)
        return this.quoting(found, () => this.ofObject[exchange.method]?.(ofObject) ?? emptyAnswer(405))
      }),
    )
  }

  /** Answers with the ETag in quotes if the container or its account wants that. */
  private quoting(found: FoundContainer | undefined, answer: () => Soon<S3Answer>): Soon<S3Answer> {
    if (found === undefined) return answer()
    const chosen = found.quotesEtags ?? after(this.settings.swiftAccounts.of(found.owner), own => own.quotesEtags)
    return after(chosen, quotes => {
      if (quotes !== true) return answer()
      return recover(
        () => after(answer(), withQuotedEtag),
        error => {
          throw isFailure(error, "notModified") ? fail(error.kind, { ...error.details, quotesEtags: true }) : error
        },
      )
    })
  }

  private signedIn(exchange: Exchange, account: string | undefined): Soon<S3Answer> {
    exchange.note({ operation: "Swift sign-in" })
    const host = exchange.header("host") ?? ""
    const origin = `${exchange.tlsVersion === undefined ? "http" : "https"}://${host}`
    return after(this.signIn.signIn(exchange, account), (signed: SignedIn) => {
      const { token, expiresInSeconds, storagePath } = signed
      return emptyAnswer(200, [
        ["X-Auth-Token", token],
        ["X-Storage-Token", token],
        ["X-Storage-Url", `${origin}${storagePath}`],
        ["X-Auth-Token-Expires", String(expiresInSeconds)],
      ])
    })
  }

  /** Answers the question that a browser asks before a request; it carries no token. */
  private options({ headers }: Exchange, target: SwiftTarget, methods: readonly string[]): Soon<S3Answer> {
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

  /** Returns the metadata of the container that a request addresses; empty if there is none. */
  private metadataOf(target: SwiftTarget): Soon<SwiftMetadata> {
    return after(this.containerOf(target), found => found?.metadata ?? [])
  }

  /** The container that a request addresses; undefined: there is none. */
  private containerOf({ account, container }: SwiftTarget): Soon<FoundContainer | undefined> {
    if (container === undefined) return undefined
    return recover<FoundContainer | undefined>(
      () =>
        after(containerAt(this.context, account, container), bucket =>
          after(this.context.containers.of(bucket), found => ({
            ...(found ?? EMPTY_SWIFT_CONTAINER),
            owner: bucket.owner,
          })),
        ),
      error => {
        if (isFailure(error, "noSuchBucket")) return undefined
        throw error
      },
    )
  }

  /** A page of another origin may read the answer if the container allows its origin. */
  private respondTo(exchange: Exchange, answer: S3Answer): Soon<void> {
    const origin = exchange.header("origin")
    if (origin === undefined || exchange.method === "OPTIONS") return this.respond(exchange, answer)
    const target = targetOfPath(pathOf(exchange.rawTarget).path)
    if (target === undefined) return this.respond(exchange, answer)
    // A container that cannot be read allows no page to read the answer.
    const known = recover<SwiftMetadata>(
      () => this.metadataOf(target),
      () => [],
    )
    return after(known, metadata => {
      const names = answer.headers.flat().filter((_, at) => at % 2 === 0)
      const fields = corsFields(metadata, origin, names)
      return this.respond(exchange, { ...answer, headers: answer.headers.and(headerLinesOf(fields)) })
    })
  }

  private respond(exchange: Exchange, answer: S3Answer): Soon<void> {
    const { requestId } = exchange
    const common = headerLinesOf(idFields(requestId))
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
    const failure = answerable(exchange, error)
    const answer = swiftErrorOf(failure, caller?.account === undefined || caller.scope !== undefined)
    const { status, title } = answer
    const claimed = () => this.signIn.claimedKey(exchange.header("x-auth-token") ?? "")?.id
    this.calls.noteRefusal(request, failure, { service: "swift", status, title }, claimed)
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

const notAllowed = (method: string, resource: Resource | "store", allowed: readonly string[]) =>
  fail("methodNotAllowed", {
    method: method.slice(0, 32),
    resourceType: resource.toUpperCase(),
    allow: allowed.join(", "),
  })
