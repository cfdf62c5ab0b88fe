/**
 * The admin port: one request in, one reply out. It uses no sockets, so every reply is a value.
 *
 * Promises  `/health/*`, `/`, the documents and the files of the console need no token and contain nothing secret; on
 *           loopback everything except `/health/*` accepts only Host names of this port, or requests with a token. Everything under `/v1` but
 *           `/v1/session` needs a bearer token (that of the data folders, or one whose scopes allow the operation), or the
 *           cookie of somebody who has signed in, whose scopes or policies allow it. The body is read after that.
 * Limits    `BODY_BYTES_MAX` per request body, unless an operation has its own; listings are paged.
 */
import { must } from "@hayloft/base/assert.js"
import { REGION_DEFAULT } from "@hayloft/base/region.js"
import { audited, auditCallerOf, auditText, duplicateMemberIn } from "@hayloft/access/index.js"
import type {
  AdminTokens,
  AuditLog,
  ConsoleHolder,
  ConsoleSessions,
  Denials,
  NamedPolicy,
  SecretAttempts,
} from "@hayloft/access/index.js"
import { fail, isFailure } from "@hayloft/base/failures.js"
import { textOfObjectKey } from "@hayloft/base/ids.js"
import { NEVER } from "@hayloft/base/never.js"
import { parseQuery, percentDecode, splitTarget } from "@hayloft/base/http/uri.js"
import type { Soon } from "@hayloft/base/soon.js"
import { isOwnHost } from "./browser-checks-core.js"
import { Callers, adminContextOf } from "./callers.js"
import type { AdminHead, AdminOptions, AdminRequest, LdapDoor, StaticFiles, WebSignIn } from "./contract.js"
import { consoleReply, wantsHtml } from "./console-files.js"
import type { StoreStatus } from "@hayloft/node/index.js"
import type { Bucket } from "@hayloft/objects/contract.js"
import { openApiText } from "./open-api.js"
import type { OperationInput, RequiredAction } from "@hayloft/features/operator/index.js"
import type { AdminOperation, AdminServices } from "./operation.js"
import { OPERATIONS } from "./operations.js"
import { documentsPage, frontPage } from "./pages.js"
import { segmentFrom, segmentsOf, thingOf, type Segments } from "./path-template-core.js"
import { Permits, type OtherAction } from "./permits.js"
import { SESSION_PATH, SessionEndpoint } from "./session-endpoint.js"
import {
  errorReply,
  healthReply,
  misdirected,
  notFound,
  reply,
  seeOther,
  streamReply,
  withCookies,
  type AdminReply,
} from "./replies.js"
import { LineSource, Streams } from "./streams.js"

export const BODY_BYTES_MAX = 64 * 1024

const PAGE_HEADERS = {
  "content-type": "text/html; charset=utf-8",
  "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
}

/** The parts of the store that the port shows and changes. */
export interface AdminStore extends Omit<
  AdminServices,
  "rootAccount" | "region" | "newBucketSettings" | "audit" | "denials"
> {
  readonly documents: StaticFiles
  /** It is undefined if the console is switched off. */
  readonly console: StaticFiles | undefined
  readonly tokens: Pick<AdminTokens, "create" | "list" | "revoke">
  readonly audit: Pick<AuditLog, "begin" | "list">
  readonly denials: Pick<Denials, "find" | "note">
  readonly sessions: Pick<ConsoleSessions, keyof ConsoleSessions>
  readonly attempts: Pick<SecretAttempts, "signIn" | "signInBy">
  /** The access policy of a bucket; undefined if it has none. */
  readonly policyOfBucket: (bucket: Bucket) => Soon<NamedPolicy | undefined>
  /** The sign-in is undefined if no provider is configured. */
  readonly webSignIn: WebSignIn | undefined
  /** The sign-in is undefined if no directory is configured. */
  readonly ldapDoor: LdapDoor | undefined
}

/** A call of an operation by another protocol, which knows the caller. */
export interface ForeignCall {
  readonly holder: ConsoleHolder
  readonly head: AdminHead
  /** Fires when the client has left. */
  readonly signal: AbortSignal
  /** The caller, as it is later. Throws once its credentials are not valid any more. */
  readonly again: () => Promise<ConsoleHolder>
  readonly segments?: Readonly<Record<string, string>>
  readonly query?: Readonly<Record<string, string>>
  readonly body?: unknown
  /** The action of the protocol's own. */
  readonly other: OtherAction | undefined
}

interface CallTerms extends Pick<ForeignCall, "holder" | "head" | "signal" | "other"> {
  readonly context: ReturnType<typeof adminContextOf>
}

type CallParts = Pick<OperationInput, "query" | "body"> & { readonly segments: Segments }

export class AdminApi {
  /** For requests to other protocols on the admin port. */
  readonly callers: Callers
  readonly #services: AdminServices
  readonly #streams: Streams
  readonly #permits: Permits
  readonly #sessions: SessionEndpoint
  #openApi: string | undefined

  private readonly status: StoreStatus
  private readonly documents: StaticFiles
  private readonly console: StaticFiles | undefined
  private readonly audit: AdminStore["audit"]
  private readonly denials: AdminStore["denials"]

  constructor(
    { documents, console, sessions, attempts, policyOfBucket, webSignIn, ldapDoor, ...services }: AdminStore,
    private readonly options: AdminOptions,
  ) {
    this.status = services.status
    this.documents = documents
    this.console = console
    const { rootAccount, region = REGION_DEFAULT, newBucketSettings } = options
    this.audit = services.audit
    this.denials = services.denials
    this.#services = { ...services, rootAccount, region, newBucketSettings }
    this.#streams = new Streams(options.clock)
    const { clock } = options
    const nowMs = () => clock.wallMs()
    this.callers = new Callers(sessions, attempts, options)
    this.#permits = new Permits({ ...services, rootAccount, policyOfBucket, nowMs })
    const note = (...[operation, holder, head]: Parameters<AdminApi["noteSession"]>) =>
      this.noteSession(operation, holder, head)
    const { callers } = this
    const s3 = (host: string | undefined) => ({ endpoint: services.links.endpoint(host), region })
    const off = () => OPERATIONS.flatMap(each => (each.isOff?.(this.#services) === true ? [each.id] : []))
    const ofSessions = { sessions, callers, permits: this.#permits, attempts, note, s3, off }
    this.#sessions = new SessionEndpoint({ ...ofSessions, operations: OPERATIONS, webSignIn, ldapDoor, nowMs }, options)
  }

  /** Never rejects: every failure becomes a reply. */
  async handle(request: AdminRequest): Promise<AdminReply> {
    try {
      const { rawPath, rawQuery } = splitTarget(request.rawTarget)
      if (rawPath === SESSION_PATH || rawPath.startsWith(`${SESSION_PATH}/`))
        return await this.#sessions.handle(request, rawPath, rawQuery)
      if (rawPath === "/v1" || rawPath.startsWith("/v1/")) return await this.#operation(request, rawPath, rawQuery)
      return await this.#open(request, rawPath)
    } catch (error) {
      return errorReply(error, "unknown")
    }
  }

  /**
   * An operation for a caller that another protocol has recognized, with the same permissions, and the same entry of the audit
   * log. Returns its result; that of one that streams: the pieces of its lines. Throws its failure.
   */
  async call(id: string, asked: ForeignCall): Promise<unknown> {
    const operation = operationOf(id)
    const { holder, head, segments = {}, query = {}, body, signal, other } = asked
    const named = new Map(Object.entries(segments))
    const parts = { segments: named, query: new Map(Object.entries(query)), body }
    const terms = { holder, head, signal, context: adminContextOf(head), other }
    try {
      await this.#permits.checkOperation(holder, operation, terms.context, other)
      const { result, required } = await this.#run(operation, terms, parts)
      if (!(result instanceof LineSource)) return result
      const checkAllowed = async () =>
        this.#permits.checkRequired(await asked.again(), operation, required, terms.context, other)
      return this.#streams.pieces(result, { signal, checkAllowed })
    } catch (error) {
      this.#noteDenial(operation, holder, head, error)
      throw error
    }
  }

  /** Before work for a call of the operation, if the caller may not do it for anything at all. Throws `accessDenied`. */
  async checkCaller(
    id: string,
    { holder, head, other }: Pick<ForeignCall, "holder" | "head" | "other">,
  ): Promise<void> {
    const operation = operationOf(id)
    try {
      await this.#permits.checkOperation(holder, operation, adminContextOf(head), other)
    } catch (error) {
      this.#noteDenial(operation, holder, head, error)
      throw error
    }
  }

  /** Ends all streams. */
  stop(): void {
    this.#streams.stop()
  }

  /** Everything outside `/v1`. */
  async #open(request: AdminRequest, rawPath: string): Promise<AdminReply> {
    if (request.method !== "GET" && request.method !== "HEAD") throw fail("methodNotAllowed", { allowed: "GET, HEAD" })
    const host = request.header("host")
    const isForeignHost = this.options.onLoopback && !isOwnHost(host, this.options) && !rawPath.startsWith("/health/")
    if (isForeignHost && !(await this.#hasBearer(request))) return misdirected(host ?? "")
    switch (rawPath) {
      case "/health/live":
        return healthReply("getLive", this.status.liveness())
      case "/health/ready":
        return healthReply("getReady", this.status.health())
      case "/metrics":
        if (!this.options.onLoopback) {
          const { holder } = await this.callers.require(request)
          await this.#permits.checkOperation(holder, METRICS, adminContextOf(request))
        }
        return reply("getMetrics", "text/plain; version=0.0.4; charset=utf-8", await this.options.metricsText())
      case "/openapi.json":
        this.#openApi ??= openApiText()
        return reply("getOpenApi", "application/json", this.#openApi)
      case "/":
        if (this.console !== undefined && wantsHtml(request.header("accept"))) return seeOther("getPage", "/console/")
        return this.#frontPage()
      case "/about":
        return this.#frontPage()
      case "/console":
        return seeOther("getConsole", "/console/")
      case "/docs":
      case "/docs/":
        return reply("getDocuments", PAGE_HEADERS, documentsPage(await this.documents.list()))
    }
    if (rawPath.startsWith("/console/")) {
      if (this.console === undefined) return notFound("/console/ (it is switched off: hayloft serve --console on)")
      return consoleReply(this.console, rawPath.slice("/console/".length), request.header("accept-encoding"))
    }
    if (rawPath.startsWith("/docs/"))
      return this.#document(percentDecode(rawPath.slice("/docs/".length)), request.header("accept"))
    return notFound(rawPath)
  }

  #frontPage(): AdminReply {
    return reply(
      "getPage",
      PAGE_HEADERS,
      frontPage(this.options.version, this.status.health(), this.console !== undefined),
    )
  }

  /** A page for browsers, and the text itself for other programs. */
  async #document(name: string, accept: string | undefined): Promise<AdminReply> {
    const bytes = await this.documents.read(name)
    if (bytes === undefined) return notFound(`/docs/${name}`)
    if (name.endsWith(".md") && wantsHtml(accept)) {
      const shown = new Set(await this.documents.list())
      // Most processes never show a page, and the renderer's tables take milliseconds to load.
      const { documentPage } = await import("./document-page.js")
      const html = documentPage(name, Buffer.from(bytes).toString(), shown)
      return reply("getDocument", { ...PAGE_HEADERS, vary: "accept" }, html)
    }
    const contentType = name.endsWith(".json") ? "application/json" : "text/plain; charset=utf-8"
    return reply("getDocument", contentType, bytes)
  }

  async #operation(request: AdminRequest, rawPath: string, rawQuery: string): Promise<AdminReply> {
    const caller = await this.callers.require(request)
    const found = route(request.method, rawPath)
    if (found === undefined) return notFound(rawPath)
    const { operation, segments } = found
    const { holder, setCookie } = caller
    const context = adminContextOf(request)
    try {
      await this.#permits.checkOperation(holder, operation, context)
      const query = queryOf(operation, rawQuery)
      const body = await bodyOf(operation, request)
      const { signal = NEVER } = request
      const terms = { holder, head: request, signal, context, other: undefined }
      const { result, required } = await this.#run(operation, terms, { segments, query, body })
      if (result instanceof LineSource) {
        const checkAllowed = async (): Promise<void> => {
          const now = await this.callers.require(request)
          await this.#permits.checkOperation(now.holder, operation, context)
          await this.#permits.checkRequired(now.holder, operation, required, context)
        }
        return withCookies(streamReply(operation.id, this.#streams.pieces(result, { signal, checkAllowed })), setCookie)
      }
      const { status, schema } = operation.response
      const text = schema === undefined ? "" : `${JSON.stringify(result)}\n`
      const accepted = startsJob(operation, result) ? 202 : status
      return withCookies({ ...reply(operation.id, "application/json", text), status: accepted }, setCookie)
    } catch (error) {
      this.#noteDenial(operation, holder, request, error)
      return errorReply(error, "known")
    }
  }

  /** Returns the result, and what a caller with access policies needs for it. Throws `accessDenied`. */
  async #run(
    operation: AdminOperation,
    { holder, head, signal, context, other }: CallTerms,
    { segments, query, body }: CallParts,
  ): Promise<{ readonly result: unknown; readonly required: readonly RequiredAction[] | undefined }> {
    const isAllowed = (actions: readonly RequiredAction[]) => this.#permits.isAllowed(holder, actions, context)
    const who = { caller: starterOf(holder), signer: signerOf(holder), isAllowed, host: head.header("host") }
    const input = { segment: segmentFrom(segments), query, body, signal, ...who }
    const isOfPrincipal = holder.kind === "principal"
    const required = isOfPrincipal ? await operation.permission?.(this.#services, input) : undefined
    const isOwn = isOfPrincipal && (await operation.own?.is(this.#services, input)) === true
    if (!isOwn) await this.#permits.checkRequired(holder, operation, required, context, other)
    const result = isChange(operation, body)
      ? await this.#change(operation, input, holder, { from: head.from, target: [...segments.values()].join("/") })
      : await operation.run(this.#services, input)
    return { result, required }
  }

  /** So that the operator can have it explained. */
  #noteDenial({ id }: AdminOperation, holder: ConsoleHolder, { from }: AdminHead, error: unknown): void {
    if (holder.kind !== "principal" || !isFailure(error, "accessDenied")) return
    const { id: accessKeyId, principal } = holder.key
    const denied = {
      requestId: from.requestId,
      deniedMs: this.options.clock.wallMs(),
      service: "hayloft",
      operation: id,
      status: 403,
      code: error.kind,
      remoteAddress: from.address,
      accessKeyId,
      principal,
      action: undefined,
      resource: undefined,
    }
    this.denials.note(denied, error)
  }

  private async noteSession(
    operation: "signIn" | "signOut",
    holder: ConsoleHolder,
    { from }: AdminHead,
  ): Promise<void> {
    const caller = callerOf(holder, from.address)
    const nothing = async (): Promise<undefined> => undefined
    const { requestId } = from
    const change = await this.audit.begin({ caller, requestId, operation, target: "", request: undefined }, nothing)
    await change.end("done", nothing)
  }

  /** Runs an operation that changes something, and has the audit log say so. */
  async #change(
    operation: AdminOperation,
    input: OperationInput,
    holder: ConsoleHolder,
    { target, from: { requestId, address } }: Pick<AdminRequest, "from"> & { readonly target: string },
  ): Promise<unknown> {
    const state = stateOf(operation)
    const show = (): Promise<unknown> =>
      state === undefined ? Promise.resolve(undefined) : state.run(this.#services, { ...input, body: undefined })
    return audited(
      this.audit,
      {
        caller: callerOf(holder, address),
        requestId,
        operation: operation.id,
        target,
        request: auditText(input.body instanceof Uint8Array ? { bytes: input.body.length } : input.body, HIDDEN),
      },
      {
        before: async () => auditText(await show(), HIDDEN),
        after: async result => auditText(state === undefined ? result : await show(), HIDDEN),
      },
      () => operation.run(this.#services, input),
    )
  }

  /** A page of another site cannot know one. */
  async #hasBearer(head: AdminHead): Promise<boolean> {
    return head.header("authorization") !== undefined && (await this.callers.of(head)) !== undefined
  }
}

const operationOf = (id: string): AdminOperation =>
  must(
    OPERATIONS.find(each => each.id === id),
    "another protocol knows the operations",
  )

/** Returns who asked, as the audit log says it. */
function callerOf(holder: ConsoleHolder, address: string) {
  switch (holder.kind) {
    case "operator":
      return { kind: holder.kind, id: "", name: "", address } as const
    case "token":
      return { kind: holder.kind, id: holder.token.id, name: holder.token.name, address } as const
    case "principal":
      return auditCallerOf(holder.key.principal, holder.key.id, address)
  }
}

/** Secrets of keys and tokens, and addresses of databases and key services, which may contain a password. */
const HIDDEN = /secret|password|^token$|url$|document$/i

/** The caller in the form that jobs record: a principal acts with the rights that its key has at each step. */
function starterOf(holder: ConsoleHolder): OperationInput["caller"] {
  if (holder.kind === "operator") return { kind: "operator", id: "", name: "" }
  if (holder.kind === "token") return { kind: "token", id: holder.token.id, name: holder.token.name }
  return { kind: "key", id: holder.key.id, name: holder.key.principal.arn }
}

function signerOf(holder: ConsoleHolder): OperationInput["signer"] {
  return holder.kind === "principal" ? { key: holder.key, sessionToken: holder.sessionToken } : undefined
}

/** A request that only plans changes nothing. */
const isChange = ({ method, mayPlan, isRead = false }: AdminOperation, body: unknown): boolean =>
  method !== "GET" && !isRead && !(mayPlan === true && isDryRun(body))

const isDryRun = (body: unknown): boolean =>
  typeof body === "object" && body !== null && "dryRun" in body && body.dryRun === true

/**
 * The operation that shows what this one changes: it has the same path, or that of the thing that this one changes a
 * part of. None for what answers with its result alone, which is then what the audit log has.
 */
function stateOf({ path, response }: AdminOperation): AdminOperation | undefined {
  const shows = (shown: string) => OPERATIONS.find(each => each.method === "GET" && each.path === shown)
  const isOfThing = path.includes("{") && response.status !== 201
  if (!isOfThing) return undefined
  return shows(path) ?? (response.schema === undefined ? shows(thingOf(path)) : undefined)
}

/** Returns true if the work that the request asks for goes on in a job. */
const startsJob = ({ mayStartJob = false }: AdminOperation, result: unknown): boolean =>
  mayStartJob && typeof result === "object" && result !== null && "job" in result

const METRICS = { id: "getMetrics", method: "GET", path: "/v1/status" } as const

/** Returns undefined if no operation has the path. Throws `methodNotAllowed`. */
function route(method: string, rawPath: string): { operation: AdminOperation; segments: Segments } | undefined {
  const allowed: string[] = []
  for (const operation of OPERATIONS) {
    const segments = segmentsOf(operation.path, rawPath)
    if (segments === undefined) continue
    if (operation.method === method) return { operation, segments }
    allowed.push(operation.method)
  }
  if (allowed.length > 0) throw fail("methodNotAllowed", { allowed: allowed.join(", ") })
  return undefined
}

/**
 * Values as text: the parser returns byte strings. An empty cursor, as a script has it for the first page, counts as none. Throws
 * `invalidArgument` for a parameter that the operation does not have.
 */
function queryOf(operation: AdminOperation, rawQuery: string): ReadonlyMap<string, string> {
  const query = new Map<string, string>()
  for (const { name, value } of parseQuery(rawQuery)) {
    if (!operation.parameters.some(parameter => parameter.name === name)) {
      throw fail("invalidArgument", { message: `unknown query parameter "${name.slice(0, 80)}"` })
    }
    if (name !== "after" || value !== "") query.set(name, textOfObjectKey(value))
  }
  return query
}

/** Returns undefined if the operation has no body. Throws `entityTooLarge`, `invalidArgument`. */
async function bodyOf(operation: AdminOperation, received: Pick<AdminRequest, "body">): Promise<unknown> {
  const { request, bytesType, isBodyOptional = false, bodyBytesMax = BODY_BYTES_MAX } = operation
  if (request === undefined && bytesType === undefined) return undefined
  const bytes = await received.body(bodyBytesMax)
  if (bytesType !== undefined) return bytes
  return isBodyOptional && bytes.length === 0 ? {} : parseJson(bytes)
}

/** A body, no object of which has a member twice. Throws `invalidArgument`. */
export function parseJson(bytes: Uint8Array): unknown {
  const { text, value } = jsonOf(bytes)
  const twice = duplicateMemberIn(text)
  if (twice === undefined) return value
  throw fail("invalidArgument", { message: `the body has the member "${twice.name}" twice`, where: twice.where })
}

function jsonOf(bytes: Uint8Array): { text: string; value: unknown } {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes)
    return { text, value: JSON.parse(text) }
  } catch {
    throw fail("invalidArgument", { message: "the body is not JSON" })
  }
}
