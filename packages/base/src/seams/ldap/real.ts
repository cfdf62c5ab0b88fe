/**
 * The real LDAP, by the package `ldapts`.
 *
 * Promises  Over `ldap://` nothing but StartTLS is sent before the connection is protected, unless TLS is off; a connection
 *           that breaks is not opened again. Referrals are not followed.
 */
import { readFile } from "node:fs/promises"
import { connect, isIP, type Socket } from "node:net"
import { connect as connectTls } from "node:tls"
import type { Client } from "ldapts"
import { fail, isFailure, type Failure } from "../../failures.js"
import type { Ldap, LdapConnection, LdapEntry, LdapSearch, LdapServer } from "./contract.js"

/** Numbers of results, RFC 4511, appendix A. */
const NO_SUCH_OBJECT = 32
/** Answers to a wrong password, or for an entry that may not sign in. */
const REFUSALS: ReadonlySet<number> = new Set([
  /** A rule of passwords is broken: too many wrong ones. */
  19,
  /** There is no such entry. */
  NO_SUCH_OBJECT,
  /** The entry has no password. */
  48,
  /** The password is wrong. */
  49,
  /** The server is unwilling: the password has expired. */
  53,
])
const REASON_CHARACTERS_MAX = 300

export class RealLdap implements Ldap {
  async connect(server: LdapServer): Promise<LdapConnection> {
    const { url, timeoutMs, tls, caFile } = server
    try {
      const { Client } = await import("ldapts")
      const { protocol, hostname, port } = new URL(url)
      const host = hostname.replace(/^\[(.*)\]$/, "$1")
      const isTls = protocol === "ldaps:"
      const options = {
        host,
        port: port === "" ? (isTls ? 636 : 389) : Number(port),
        ...(isIP(host) === 0 && { servername: host }),
        ...(caFile !== undefined && { ca: await readFile(caFile, "utf8") }),
        rejectUnauthorized: tls === "verified",
      }
      const settings = { url, timeout: timeoutMs, connectTimeout: timeoutMs, strictDN: false }
      if (isTls) {
        const socket = connectTls(options)
        await opened(socket, "secureConnect", timeoutMs)
        return new RealConnection(
          new Client({ ...settings, tlsOptions: options, createSecureConnection: onlyOnce(socket) }),
          url,
        )
      }
      const socket = connect(options)
      await opened(socket, "connect", timeoutMs)
      const client = new Client({ ...settings, createConnection: onlyOnce(socket) })
      if (tls !== "off") await protect(client, options, socket, timeoutMs)
      return new RealConnection(client, url)
    } catch (error) {
      throw unavailable(url, error)
    }
  }
}

/** The client opens no connection of its own: another one would not have the protection of the first. */
function onlyOnce<Kind extends Socket>(socket: Kind): () => Kind {
  let isTaken = false
  return () => {
    if (isTaken) throw fail("directoryUnavailable", { reason: "the connection is closed" })
    isTaken = true
    return socket
  }
}

/** Resolves once the socket is open; otherwise it is destroyed. */
function opened(socket: Socket, event: "connect" | "secureConnect", timeoutMs: number): Promise<void> {
  // The client listens once it has the socket.
  socket.on("error", () => undefined)
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => refuse(new Error("the server does not answer in time")), timeoutMs)
    const refuse = (error: Error): void => {
      clearTimeout(timer)
      socket.destroy()
      reject(error)
    }
    socket.once("error", refuse)
    socket.once(event, () => {
      clearTimeout(timer)
      socket.off("error", refuse)
      resolve()
    })
  })
}

/** Begins TLS on an open connection. */
async function protect(client: Client, options: object, socket: Socket, timeoutMs: number): Promise<void> {
  const timer = setTimeout(() => socket.destroy(new Error("StartTLS is not answered in time")), timeoutMs)
  try {
    await client.startTLS(options)
  } catch (error) {
    socket.destroy()
    throw error
  } finally {
    clearTimeout(timer)
  }
}

class RealConnection implements LdapConnection {
  constructor(
    private readonly client: Client,
    private readonly url: string,
  ) {}

  async bind(dn: string, password: string): Promise<string | undefined> {
    try {
      await this.client.bind(dn, password)
      return undefined
    } catch (error) {
      if (REFUSALS.has(numberOf(error) ?? 0)) return reasonOf(error)
      throw unavailable(this.url, error)
    }
  }

  async search({ base, scope, filter, attributes, entriesMax }: LdapSearch): Promise<readonly LdapEntry[] | undefined> {
    try {
      const { searchEntries } = await this.client.search(base, {
        scope: scope === "itself" ? "base" : "sub",
        derefAliases: "never",
        filter,
        attributes: attributes.length === 0 ? ["1.1"] : [...attributes],
        sizeLimit: entriesMax + 1,
      })
      return searchEntries.map(({ dn, ...found }) => ({ dn, attributes: textsOf(found) }))
    } catch (error) {
      if (numberOf(error) === NO_SUCH_OBJECT) return undefined
      throw unavailable(this.url, error)
    }
  }

  async close(): Promise<void> {
    // There is nothing to do about a connection that is broken already.
    await this.client.unbind().catch(() => undefined)
  }
}

function textsOf(found: Readonly<Record<string, unknown>>): ReadonlyMap<string, readonly string[]> {
  return new Map(
    Object.entries(found).map(([name, value]) => [
      name.toLowerCase(),
      [value].flat().filter(one => typeof one === "string"),
    ]),
  )
}

function numberOf(error: unknown): number | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "number" ? error.code : undefined
}

/** The server's words in one line. */
const reasonOf = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).replace(/\s+/g, " ").slice(0, REASON_CHARACTERS_MAX)

function unavailable(url: string, error: unknown): Failure {
  if (isFailure(error)) return error
  return fail("directoryUnavailable", { url, reason: reasonOf(error) })
}
