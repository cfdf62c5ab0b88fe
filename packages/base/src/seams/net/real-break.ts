/** The abrupt end of a connection, for the network of nodes and for the server of requests. */
import type { Socket } from "node:net"
import { TLSSocket } from "node:tls"

/** Breaks the connection at once: its peer sees an error where that is possible, so that nothing partial looks whole. */
export function breakSocket(socket: Socket): void {
  // The system refuses to reset a connection that is ending (libuv: EINVAL), and Node would then never close its descriptor.
  const mayReset = !(socket instanceof TLSSocket) && !socket.destroyed && !socket.writableEnded
  if (mayReset) socket.resetAndDestroy()
  else socket.destroy()
}
