/**
 * The session of a browser with the admin port: `/v1/session`, and the way by a provider of OpenID Connect.
 *
 *   GET     who has signed in, until when, what the pages may show, and how one can sign in; needs no session
 *   POST    signs in: by a token, by an account's key, by a name and a password of a directory, or begins the way by the provider
 *   DELETE  signs out
 *   GET     …/oidc: the browser comes back from the provider
 *
 * Promises  No other origin can begin, use or end a session. A failed sign-in does not tell what was wrong. The answer to
 *           one contains no secret: the session is in the cookie.
 * Limits    `SecretAttempts` slows guesses; bodies have `BODY_BYTES_MAX`.
 */
import type { ConsoleHolder, ConsoleSessions, OpenSession, SecretAttempts } from "@hayloft/access/index.js"
import { asFailure, fail } from "@hayloft/base/failures.js"
import { textOfObjectKey } from "@hayloft/base/ids.js"
import { parseQuery } from "@hayloft/base/http/uri.js"
import {
  checkOrigin,
  cookieLine,
  findCookie,
  isBehindTls,
  isOwnHost,
  SESSION_COOKIE,
  SIGN_IN_COOKIE,
} from "./browser-checks-core.js"
import type { SignInState } from "@hayloft/engine/format/accounts/console-session.js"
import { adminContextOf, type Callers } from "./callers.js"
import type { AdminHead, AdminOptions, AdminRequest, LdapDoor, WebSignIn } from "./contract.js"
import { parseBody } from "@hayloft/features/operator/index.js"
import type { Permits, Permitted } from "./permits.js"
import { misdirected, notFound, reply, withCookies, type AdminReply } from "./replies.js"
import { SIGN_IN } from "./session-schemas.js"

const BODY_BYTES_MAX = 16 * 1024
export const SESSION_PATH = "/v1/session"
const RETURN_PATH = "/v1/session/oidc"
const CONSOLE = "/console/"
/** A page of the console: no other host, and nothing that a browser takes for one. */
const OWN_PAGE = /^\/console\/(?:[A-Za-z0-9_.~!$&'()*+,;=:@%/?#-]*)$/

type Sessions = Pick<
  ConsoleSessions,
  "beginByToken" | "beginByKey" | "cookieOf" | "cookieOfSignIn" | "signInOf" | "idleEndOf" | "end"
>

/** A line of the audit log beside those of operations. */
type NoteSession = (operation: "signIn" | "signOut", holder: ConsoleHolder, head: AdminHead) => Promise<void>

interface EndpointParts {
  readonly sessions: Sessions
  readonly callers: Pick<Callers, "of">
  readonly permits: Pick<Permits, "mayUse" | "depends">
  readonly operations: readonly Permitted[]
  readonly attempts: Pick<SecretAttempts, "signIn" | "signInBy">
  readonly note: NoteSession
  readonly webSignIn: WebSignIn | undefined
  /** How clients of the one who reached this port by the Host header `host` reach S3. */
  readonly s3: (host: string | undefined) => { readonly endpoint: string; readonly region: string }
  /** The ids of operations that the store has switched off. */
  readonly off: () => readonly string[]
  readonly ldapDoor: LdapDoor | undefined
  readonly nowMs: () => number
}

export class SessionEndpoint {
  constructor(
    private readonly parts: EndpointParts,
    private readonly options: Pick<AdminOptions, "onLoopback" | "hosts" | "version">,
  ) {}

  async handle(request: AdminRequest, rawPath: string, rawQuery: string): Promise<AdminReply> {
    const host = request.header("host")
    if (!isOwnHost(host, this.options)) return misdirected(host ?? "")
    if (rawPath === RETURN_PATH && request.method === "GET") return this.comeBack(request, rawQuery)
    if (rawPath !== SESSION_PATH) return notFound(rawPath)
    switch (request.method) {
      case "GET":
        return this.show(request)
      case "POST":
        return this.signIn(request)
      case "DELETE":
        return this.signOut(request)
      default:
        throw fail("methodNotAllowed", { allowed: "GET, POST, DELETE" })
    }
  }

  private async show(request: AdminHead): Promise<AdminReply> {
    const caller = await this.parts.callers.of(request)
    const shown = await this.shown(request, caller?.holder, caller?.session)
    return withCookies(json("getSession", shown), caller?.setCookie)
  }

  private async shown(head: AdminHead, holder?: ConsoleHolder, session?: OpenSession["session"]): Promise<unknown> {
    const { permits, operations, sessions, webSignIn, ldapDoor } = this.parts
    const allowed: string[] = []
    const depends: string[] = []
    for (const operation of holder === undefined ? [] : operations) {
      if (holder === undefined || !(await permits.mayUse(holder, operation, adminContextOf(head)))) continue
      allowed.push(operation.id)
      if (permits.depends(holder, operation)) depends.push(operation.id)
    }
    return {
      ...(holder && { who: whoOf(holder) }),
      ...(session && { csrf: session.csrf, idleEndMs: sessions.idleEndOf(session), endMs: session.expiresMs }),
      operations: allowed,
      depends,
      methods: {
        token: true,
        key: true,
        ldap: ldapDoor !== undefined,
        ...(webSignIn && { oidc: { issuer: webSignIn.issuer } }),
      },
      isEncrypted: isBehindTls(head),
      version: this.options.version,
      ...(holder && { s3: this.parts.s3(head.header("host")), off: this.parts.off() }),
    }
  }

  private async signIn(request: AdminRequest): Promise<AdminReply> {
    checkOrigin(request)
    const asked = parseBody(SIGN_IN, await bodyOf(request))
    if ("oidc" in asked) return this.leave(request, asked.oidc.returnTo)
    const { attempts, sessions } = this.parts
    if ("ldap" in asked) {
      const { username, password } = asked.ldap
      const by = { ...signingIn(request), target: username }
      return this.entered(request, await attempts.signInBy(by, () => this.openedByLdap(username, password)))
    }
    const claimed =
      "token" in asked
        ? await sessions.beginByToken(asked.token)
        : await sessions.beginByKey({
            accessKeyId: asked.accessKeyId,
            secret: asked.secretAccessKey,
            token: asked.sessionToken,
          })
    return this.entered(request, await attempts.signIn(signingIn(request), () => claimed))
  }

  private async openedByLdap(username: string, password: string): Promise<OpenSession | undefined> {
    const { ldapDoor, sessions, nowMs } = this.parts
    if (ldapDoor === undefined) {
      const message = "no LDAP directory is configured for the console: hayloft serve --ldap-server URL"
      throw fail("notImplemented", { message })
    }
    const { accessKeyId, secret, token } = await ldapDoor.begin(username, password, nowMs())
    return sessions.beginByKey({ accessKeyId, secret, token })
  }

  /** Throws `accessDenied`. */
  private async entered(request: AdminRequest, opened: OpenSession | undefined): Promise<AdminReply> {
    if (opened === undefined) {
      throw fail("accessDenied", {
        message: "the token or the key is not valid: it is wrong, disabled or expired, or does not exist",
      })
    }
    const cookie = await this.accepted(request, opened)
    const shown = await this.shown(request, opened.holder, opened.session)
    return withCookies({ ...json("signIn", shown), status: 201 }, cookie)
  }

  /** The cookie of a session that begins. Throws `invalidRequest`. */
  private async accepted(head: AdminHead, { session, holder }: OpenSession, isSecure = isBehindTls(head)) {
    const cookie = this.parts.sessions.cookieOf(session)
    if (cookie === undefined) {
      const message = "the session token is too long for a cookie: sign in with fewer or shorter session policies"
      throw fail("invalidRequest", { message })
    }
    await this.parts.note("signIn", holder, head)
    return cookieLine(SESSION_COOKIE, cookie, isSecure)
  }

  private async signOut(request: AdminHead): Promise<AdminReply> {
    checkOrigin(request)
    const caller = await this.parts.callers.of(request)
    if (caller?.session !== undefined) {
      await this.parts.sessions.end(caller.session)
      await this.parts.note("signOut", caller.holder, request)
    }
    const found = findCookie(request.header("cookie"), SESSION_COOKIE, request.isEncrypted)
    const gone = found && cookieLine(SESSION_COOKIE, "", found.isSecure)
    return withCookies({ ...reply("signOut", "application/json", ""), status: 204 }, gone)
  }

  /** Sends the browser to the provider. */
  private async leave(request: AdminHead, returnTo = CONSOLE): Promise<AdminReply> {
    const web = this.web()
    if (!OWN_PAGE.test(returnTo)) {
      throw fail("invalidArgument", { message: "oidc.returnTo: it must be a page of the console: /console/…" })
    }
    const isSecure = isBehindTls(request)
    const redirectUri = `${isSecure ? "https" : "http"}://${request.header("host") ?? ""}${RETURN_PATH}`
    const { location, state } = await web.begin(redirectUri, this.parts.nowMs())
    const cookie = this.parts.sessions.cookieOfSignIn({ ...state, returnTo })
    const shown = json("signIn", { location })
    return withCookies(shown, cookieLine(SIGN_IN_COOKIE, cookie, isSecure, SIGN_IN_SECONDS))
  }

  /** The provider has sent the browser back. A failure is shown by the console: a person reads this. */
  private async comeBack(request: AdminHead, rawQuery: string): Promise<AdminReply> {
    const found = findCookie(request.header("cookie"), SIGN_IN_COOKIE, request.isEncrypted)
    const gone = found && cookieLine(SIGN_IN_COOKIE, "", found.isSecure)
    try {
      const { location, cookie } = await this.ended(request, found, rawQuery)
      return withCookies(redirection(location), gone, cookie)
    } catch (error) {
      const failure = asFailure(error)
      if (failure.kind === "internal") throw error
      const answer = redirection(`${CONSOLE}?signInFailed=${encodeURIComponent(failure.kind)}`)
      return withCookies({ ...answer, failure }, gone)
    }
  }

  private async ended(request: AdminHead, found: ReturnType<typeof findCookie>, rawQuery: string) {
    const state = found && this.parts.sessions.signInOf(found.value)
    if (state === undefined) {
      throw fail("requestExpired", { message: "this browser began no sign-in by the provider, or too long ago" })
    }
    const { attempts } = this.parts
    const opened = await attempts.signInBy(signingIn(request), () => this.openedBy(state, request, rawQuery))
    if (opened === undefined) throw fail("accessDenied", { message: "the role has changed meanwhile" })
    const cookie = await this.accepted(request, opened, found?.isSecure)
    return { location: state.returnTo, cookie }
  }

  /** The session of whom the provider has signed in; undefined if the role has changed meanwhile. */
  private async openedBy(state: SignInState, request: AdminHead, rawQuery: string): Promise<OpenSession | undefined> {
    const query = new Map(parseQuery(rawQuery).map(({ name, value }) => [name, textOfObjectKey(value)]))
    const { accessKeyId, secret, token } = await this.web().end(
      state,
      query,
      this.parts.nowMs(),
      adminContextOf(request),
    )
    return this.parts.sessions.beginByKey({ accessKeyId, secret, token })
  }

  /** Throws `notImplemented`. */
  private web(): WebSignIn {
    const { webSignIn } = this.parts
    if (webSignIn !== undefined) return webSignIn
    throw fail("notImplemented", {
      message: "no provider of OpenID Connect is configured for the console: hayloft serve --console-oidc-issuer URL",
    })
  }
}

const SIGN_IN_SECONDS = 600

/** Attempts count by address alone: a person may try any key or token. */
const signingIn = ({ from }: AdminHead) => ({ ...from, id: undefined, operation: "signIn" })

function whoOf(holder: ConsoleHolder): unknown {
  switch (holder.kind) {
    case "operator":
      return { kind: "operator" }
    case "token": {
      const { id, name, scopes } = holder.token
      return { kind: "token", id, name, scopes }
    }
    case "principal": {
      const { id: accessKeyId, account, principal } = holder.key
      const arn = principal.kind === "session" ? principal.sessionArn : principal.arn
      const isRoot = principal.kind === "root"
      return { kind: "principal", accessKeyId, accountId: account.id, accountNumber: account.number, arn, isRoot }
    }
  }
}

const json = (operation: string, value: unknown): AdminReply =>
  reply(operation, "application/json", `${JSON.stringify(value)}\n`)

/** To a page of this port. */
function redirection(location: string): AdminReply {
  const answer = reply("signInByProvider", "text/plain; charset=utf-8", "")
  return { ...answer, status: 303, headers: { ...answer.headers, location } }
}

async function bodyOf(request: AdminRequest): Promise<unknown> {
  const bytes = await request.body(BODY_BYTES_MAX)
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes))
  } catch {
    throw fail("invalidArgument", { message: "the body is not JSON" })
  }
}
