/**
 * The admin port: one request in, one reply out. It uses no sockets, so every reply is a value.
 *
 * Promises  `/health/*`, `/` and the documents need no token and contain nothing secret; on loopback everything except
 *           `/health/*` accepts only loopback Host names, or requests with a token. Everything under `/v1` needs a
 *           bearer token, read from the `Authorization` header only: that of the data folders, or one whose scopes allow
 *           the operation. It is checked before the body is read.
 * Limits    `BODY_BYTES_MAX` per request body; listings are paged.
 */
import {
  equalInConstantTime,
  sha256Hex,
  type AdminTokens,
  type AuditLog,
  type ShownAdminToken,
} from "../access/index.js"
import { asFailure, fail } from "../base/failures.js"
import { textOfObjectKey } from "../base/ids.js"
import { parseQuery, percentDecode, splitTarget } from "../base/uri.js"
import { isLoopbackHost } from "../http/index.js"
import { auditText } from "./audit-core.js"
import type { AdminOptions, Documents } from "./contract.js"
import type { StoreStatus } from "../node/index.js"
import { openApiText } from "./open-api.js"
import type { Operation, OperationInput, Services } from "./operation.js"
import { OPERATIONS } from "./operations.js"
import { documentsPage, frontPage } from "./pages.js"
import { mayUse, scopesFor } from "./scopes-core.js"
import { errorReply, healthReply, misdirected, notFound, reply, type AdminReply } from "./replies.js"

export const BODY_BYTES_MAX = 64 * 1024

interface AdminRequest {
  readonly method: string
  /** Path and query as on the wire. */
  readonly rawTarget: string
  /** By lower-case name. */
  header(name: string): string | undefined
  /** For the audit log. */
  readonly from?: { readonly requestId: string; readonly address: string }
  /** Reads the body. Throws `entityTooLarge` above the limit. */
  body(bytesMax: number): Promise<Uint8Array>
}

const PAGE_HEADERS = {
  "content-type": "text/html; charset=utf-8",
  "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
}

/** The parts of the store that the port shows and changes. */
export interface AdminStore extends Omit<Services, "rootAccount" | "newBucketSettings" | "tokens" | "audit"> {
  readonly documents: Documents
  readonly tokens: Pick<AdminTokens, "create" | "list" | "revoke" | "verify">
  readonly audit: Pick<AuditLog, "begin" | "list">
}

/** Who sends a request: the operator, with the token of the data folders, or the holder of a token with scopes. */
type AdminCaller = { readonly kind: "operator" } | { readonly kind: "token"; readonly token: ShownAdminToken }

export class AdminApi {
  readonly #services: Services
  readonly #tokenHash: string
  #openApi: string | undefined

  private readonly status: StoreStatus
  private readonly documents: Documents
  private readonly tokens: AdminStore["tokens"]
  private readonly audit: AdminStore["audit"]

  constructor(
    { documents, ...services }: AdminStore,
    private readonly options: AdminOptions,
  ) {
    this.status = services.status
    this.documents = documents
    const { rootAccount, newBucketSettings } = options
    this.tokens = services.tokens
    this.audit = services.audit
    this.#services = { ...services, rootAccount, newBucketSettings }
    this.#tokenHash = sha256Hex(options.token)
  }

  /** Never rejects: every failure becomes a reply. */
  async handle(request: AdminRequest): Promise<AdminReply> {
    try {
      const { rawPath, rawQuery } = splitTarget(request.rawTarget)
      if (rawPath === "/v1" || rawPath.startsWith("/v1/")) return await this.#operation(request, rawPath, rawQuery)
      return await this.#open(request, rawPath)
    } catch (error) {
      return errorReply(error)
    }
  }

  /** Everything outside `/v1`. */
  async #open(request: AdminRequest, rawPath: string): Promise<AdminReply> {
    if (request.method !== "GET" && request.method !== "HEAD") throw fail("methodNotAllowed", { allowed: "GET, HEAD" })
    const host = request.header("host")
    const isForeignHost = this.options.onLoopback && !isLoopbackHost(host) && !rawPath.startsWith("/health/")
    if (isForeignHost && (await this.#caller(request)) === undefined) return misdirected(host ?? "")
    switch (rawPath) {
      case "/health/live":
        return healthReply("getLive", { ready: true, reasons: [] })
      case "/health/ready":
        return healthReply("getReady", this.status.health())
      case "/metrics":
        if (!this.options.onLoopback) checkScope(await this.#requireCaller(request), METRICS)
        return reply("getMetrics", "text/plain; version=0.0.4; charset=utf-8", this.options.metricsText())
      case "/openapi.json":
        this.#openApi ??= openApiText()
        return reply("getOpenApi", "application/json", this.#openApi)
      case "/":
        return reply("getPage", PAGE_HEADERS, frontPage(this.options.version, this.status.health()))
      case "/docs":
      case "/docs/":
        return reply("getDocuments", PAGE_HEADERS, documentsPage(await this.documents.list()))
    }
    if (rawPath.startsWith("/docs/")) return this.#document(percentDecode(rawPath.slice("/docs/".length)))
    return notFound(rawPath)
  }

  async #document(name: string): Promise<AdminReply> {
    const bytes = await this.documents.read(name)
    if (bytes === undefined) return notFound(`/docs/${name}`)
    const contentType = name.endsWith(".json") ? "application/json" : "text/plain; charset=utf-8"
    return reply("getDocument", contentType, bytes)
  }

  async #operation(request: AdminRequest, rawPath: string, rawQuery: string): Promise<AdminReply> {
    const caller = await this.#requireCaller(request)
    const found = route(request.method, rawPath)
    if (found === undefined) return notFound(rawPath)
    const { operation, target } = found
    checkScope(caller, operation)
    const query = queryOf(operation, rawQuery)
    const body = operation.request && bodyOf(operation, await request.body(BODY_BYTES_MAX))
    const input = { target, query, body }
    const result = isChange(operation, body)
      ? await this.#change(operation, input, caller, request)
      : await operation.run(this.#services, input)
    const { status, schema } = operation.response
    const text = schema === undefined ? "" : `${JSON.stringify(result)}\n`
    return { ...reply(operation.id, "application/json", text), status }
  }

  /** Runs an operation that changes something, and has the audit log say so. */
  async #change(
    operation: Operation,
    input: OperationInput,
    caller: AdminCaller,
    { from = { requestId: "", address: "" } }: AdminRequest,
  ): Promise<unknown> {
    const { requestId, address } = from
    const { kind, id, name } = { id: "", name: "", ...caller, ...(caller.kind === "token" ? caller.token : {}) }
    const state = stateOf(operation)
    // What cannot be shown now is not there, or the change will say why.
    const show = (): Promise<unknown> =>
      state === undefined
        ? Promise.resolve(undefined)
        : state.run(this.#services, { ...input, body: undefined }).catch(() => undefined)
    const change = await this.audit.begin(
      {
        ...{ caller: { kind, id, name, address }, requestId, operation: operation.id, target: input.target },
        request: auditText(input.body),
      },
      async () => auditText(await show()),
    )
    try {
      const result = await operation.run(this.#services, input)
      await change.end("done", async () => auditText(state === undefined ? result : await show()))
      return result
    } catch (error) {
      await change.end(asFailure(error).kind, async () => undefined)
      throw error
    }
  }

  async #caller(request: AdminRequest): Promise<AdminCaller | undefined> {
    const [, text] = /^Bearer +(\S{1,512})$/i.exec(request.header("authorization") ?? "") ?? []
    if (text === undefined) return undefined
    // Hashes are compared, so that timing does not reveal even the length of the token.
    if (equalInConstantTime(sha256Hex(text), this.#tokenHash)) return { kind: "operator" }
    const token = await this.tokens.verify(text)
    return token && { kind: "token", token }
  }

  async #requireCaller(request: AdminRequest): Promise<AdminCaller> {
    const caller = await this.#caller(request)
    if (caller !== undefined) return caller
    throw fail("accessDenied", {
      message:
        "the admin token is missing, wrong or expired: Authorization: Bearer TOKEN, of hayloft token create or of hayloft env --admin",
    })
  }
}

/** A request that only plans changes nothing. */
const isChange = ({ method, mayPlan }: Operation, body: unknown): boolean =>
  method !== "GET" && !(mayPlan === true && isDryRun(body))

const isDryRun = (body: unknown): boolean =>
  typeof body === "object" && body !== null && "dryRun" in body && body.dryRun === true

/** The operation that shows what this one changes: it has the same path. */
const stateOf = ({ path }: Operation): Operation | undefined =>
  OPERATIONS.find(each => each.method === "GET" && each.path === path && each.path.includes("{"))

const METRICS = { method: "GET", path: "/v1/status" } as const

/** Throws `outOfScope`. */
function checkScope(caller: AdminCaller, operation: Pick<Operation, "method" | "path">): void {
  if (caller.kind === "operator" || mayUse(caller.token.scopes, operation)) return
  const [scope = "all"] = scopesFor(operation)
  throw fail("outOfScope", { message: `the token "${caller.token.name}" lacks the scope ${scope}` })
}

/** The path segment that matches the template's braces, "" if it has none; undefined if the path does not match. */
function targetOf(template: string, rawPath: string): string | undefined {
  const [wanted, actual] = [template.split("/"), rawPath.split("/")]
  if (wanted.length !== actual.length) return undefined
  const target = wanted.findIndex(segment => segment.startsWith("{"))
  if (!wanted.every((segment, i) => (i === target ? actual[i] !== "" : segment === actual[i]))) return undefined
  return actual[target] ?? ""
}

/** Undefined if no operation has the path. Throws `methodNotAllowed`. */
function route(method: string, rawPath: string): { operation: Operation; target: string } | undefined {
  const allowed: string[] = []
  for (const operation of OPERATIONS) {
    const rawTarget = targetOf(operation.path, rawPath)
    if (rawTarget === undefined) continue
    if (operation.method === method) return { operation, target: percentDecode(rawTarget) }
    allowed.push(operation.method)
  }
  if (allowed.length > 0) throw fail("methodNotAllowed", { allowed: allowed.join(", ") })
  return undefined
}

/** Values as text: the parser returns byte strings. Throws `invalidArgument` for a parameter that the operation does not have. */
function queryOf(operation: Operation, rawQuery: string): ReadonlyMap<string, string> {
  const query = new Map<string, string>()
  for (const { name, value } of parseQuery(rawQuery)) {
    if (!operation.parameters.some(parameter => parameter.name === name)) {
      throw fail("invalidArgument", { message: `unknown query parameter "${name.slice(0, 80)}"` })
    }
    query.set(name, textOfObjectKey(value))
  }
  return query
}

const bodyOf = ({ isBodyOptional = false }: Operation, bytes: Uint8Array): unknown =>
  isBodyOptional && bytes.length === 0 ? {} : parseJson(bytes)

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes))
  } catch {
    throw fail("invalidArgument", { message: "the body is not JSON" })
  }
}
