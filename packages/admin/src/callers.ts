/**
 * Callers: who sends a request to the admin port, by a bearer token or by the cookie of a session.
 *
 * Promises  A cookie counts only together with what `browser-checks-core.ts` checks. A request that has an Authorization
 *           header is judged by that alone. Nothing but the admin API and what it passes requests to reads the cookie.
 */
import type {
  ConsoleHolder,
  ConsoleSessions,
  OpenSession,
  RequestContext,
  SecretAttempts,
} from "@hayloft/access/index.js"
import { fail } from "@hayloft/base/failures.js"
import { checkCsrf, checkOrigin, cookieLine, findCookie, isOwnHost, SESSION_COOKIE } from "./browser-checks-core.js"
import type { AdminHead, AdminOptions } from "./contract.js"

interface Caller {
  readonly holder: ConsoleHolder
  /** The session of a browser that has signed in. */
  readonly session?: OpenSession["session"]
  /** The cookie to send with the answer, since its use is to be noted. */
  readonly setCookie?: string | undefined
}

export class Callers {
  constructor(
    private readonly sessions: Pick<ConsoleSessions, "claimed" | "of" | "renewed">,
    private readonly attempts: Pick<SecretAttempts, "signIn">,
    private readonly rules: Pick<AdminOptions, "onLoopback" | "hosts">,
  ) {}

  /**
   * Returns undefined if there is no session, or it has ended. Throws `accessForbidden`, and `rateExceeded` after
   * wrong tokens.
   */
  async of(head: AdminHead): Promise<Caller | undefined> {
    const authorization = head.header("authorization")
    if (authorization !== undefined) {
      const [, text] = /^Bearer +(\S{1,512})$/i.exec(authorization) ?? []
      const holder = text === undefined ? undefined : await this.holderOf(text, head)
      return holder && { holder }
    }
    const cookie = findCookie(head.header("cookie"), SESSION_COOKIE, head.isEncrypted)
    if (cookie === undefined) return undefined
    const opened = await this.sessions.of(cookie.value)
    if (opened === undefined) return undefined
    if (!isOwnHost(head.header("host"), this.rules)) throw fail("accessForbidden", { message: NOT_OWN_HOST })
    checkOrigin(head)
    checkCsrf(head, opened.session.csrf)
    const renewed = this.sessions.renewed(opened.session)
    return { ...opened, setCookie: renewed && cookieLine(SESSION_COOKIE, renewed, cookie.isSecure) }
  }

  private async holderOf(text: string, { from }: AdminHead): Promise<ConsoleHolder | undefined> {
    const claimed = await this.sessions.claimed(text)
    return this.attempts.signIn({ ...from, id: claimed.id, operation: "useToken" }, () => claimed.prove())
  }

  /** Throws `accessDenied` if nobody has signed in. */
  async require(head: AdminHead): Promise<Caller> {
    const caller = await this.of(head)
    if (caller !== undefined) return caller
    throw fail("accessDenied", {
      message:
        "sign in, or send the admin token (it is missing, wrong or expired): Authorization: Bearer TOKEN, of hayloft token create or of hayloft env --admin",
    })
  }
}

const NOT_OWN_HOST =
  "the Host of the request is no name of this port; use its address, or name it with hayloft serve --admin-host NAME"

/** Condition keys of a request to the admin API. */
export const adminContextOf = ({ header, isEncrypted, from }: AdminHead): RequestContext => ({
  valuesOf({ name }) {
    switch (name) {
      case "aws:sourceip":
        return from.address
      case "aws:securetransport":
        return String(isEncrypted)
      case "aws:useragent":
        return header("user-agent")
      case "aws:referer":
        return header("referer")
      default:
        return undefined
    }
  },
})
