/** The TLS version of a connection, with the digits that policies use. */
import type { Socket } from "node:net"
import { TLSSocket } from "node:tls"

/** `1.3`; undefined for a connection without TLS. */
export const tlsVersionOf = (socket: Socket): string | undefined =>
  socket instanceof TLSSocket ? (socket.getProtocol()?.replace(/^TLSv/, "") ?? "") : undefined
