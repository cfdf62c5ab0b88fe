/**
 * Wire: what a connection of the client library is made of, which the library itself does not tell.
 */
import type { Client } from "pg"
import { assert } from "@hayloft/base/assert.js"

/** How a connection is protected; only a verified one excludes a machine in between. */
export type ConnectionProtection = "unixSocket" | "verifiedTls" | "unverifiedTls" | "none"

interface Wire {
  readonly protection: ConnectionProtection
  /** The server's process, as announced at the start of the session: a pooler makes its own number up. */
  readonly announcedProcess: number | undefined
  destroy(): void
}

/** Throws if this version of the library has another shape. */
export function parseWire(client: Client): Wire {
  const { connection, processID, ssl, host } = client as unknown as {
    readonly connection: { readonly stream: { destroy(): void } }
    readonly processID: number | null
    readonly ssl: boolean | { readonly rejectUnauthorized?: boolean; readonly checkServerIdentity?: unknown }
    readonly host: string
  }
  assert(typeof connection.stream.destroy === "function", "the client library's connection has a stream")
  const isVerified =
    ssl === true || (ssl !== false && ssl.rejectUnauthorized !== false && ssl.checkServerIdentity === undefined)
  const encrypted = isVerified ? "verifiedTls" : "unverifiedTls"
  return {
    protection: host.startsWith("/") ? "unixSocket" : ssl === false ? "none" : encrypted,
    announcedProcess: processID ?? undefined,
    destroy: () => connection.stream.destroy(),
  }
}
