/** Which version of TLS a connection has, in the digits by which policies ask for it. */
import type { Socket } from "node:net"
import { TLSSocket } from "node:tls"

/** `1.3`; undefined for a connection without TLS. */
export const tlsVersionOf = (socket: Socket): string | undefined =>
  socket instanceof TLSSocket ? (socket.getProtocol()?.replace(/^TLSv/, "") ?? "") : undefined
