/**
 * The real network: TCP, or TLS with the options that `Security` supplies.
 *
 * Without `Security` nothing is encrypted and nobody is authenticated: that is for tests and loopback only.
 * Limits    ACCEPTS_WAITING_MAX connections that wait to be accepted, HANDSHAKES_MAX that have not proved who they are: a
 *           further one ends that which has waited longest, since a peer needs a moment for its handshake.
 */
import * as net from "node:net"
import * as tls from "node:tls"
import { fail } from "../../failures.js"
import { breakSocket } from "./real-break.js"
import type { Connection, ConnectionEvents, Listener, Net, NetAddress } from "./contract.js"

const ACCEPTS_WAITING_MAX = 511
export const HANDSHAKES_MAX = 256

/** Decides who may speak: it supplies the options of TLS, and judges each peer. */
interface Security {
  /** Requests a certificate from clients. */
  serverOptions(): tls.TlsOptions
  clientOptions(): tls.ConnectionOptions
  /**
   * Called within the event that ends the handshake. The peer's fingerprint; undefined if the peer is not admitted,
   * whose connection is closed without a byte.
   */
  admit(socket: tls.TLSSocket, expected?: string): string | undefined
}

const codeOf = (error: Error): string => ("code" in error ? String(error.code) : error.message)

class RealConnection implements Connection {
  readonly remote: string
  private reason: string | undefined

  constructor(
    private readonly socket: net.Socket,
    readonly fingerprint: string | undefined,
  ) {
    this.remote = `${socket.remoteAddress ?? "?"}:${socket.remotePort ?? "?"}`
    socket.setNoDelay(true)
    socket.on("error", error => (this.reason ??= codeOf(error)))
  }

  start(events: ConnectionEvents): void {
    this.socket.on("data", (chunk: Buffer) => events.bytes(chunk))
    const closed = (): void => events.closed(this.reason)
    if (this.socket.closed) queueMicrotask(closed)
    else this.socket.once("close", closed)
  }

  write(buffers: readonly Uint8Array[], written: () => void): void {
    const { socket } = this
    const last = buffers.length - 1
    const onWritten = (error?: Error | null): void => {
      if (error === undefined || error === null) written()
    }
    if (last > 0) socket.cork()
    for (let i = 0; i < last; i += 1) socket.write(buffers[i] ?? NO_BYTES)
    socket.write(buffers[last] ?? NO_BYTES, onWritten)
    if (last > 0) socket.uncork()
  }

  pause(): void {
    this.socket.pause()
  }

  resume(): void {
    this.socket.resume()
  }

  end(): void {
    this.socket.end()
  }

  reset(): void {
    breakSocket(this.socket)
  }
}

const NO_BYTES = new Uint8Array(0)

export class RealNet implements Net {
  constructor(private readonly security?: Security) {}

  listen(at: NetAddress, accept: (connection: Connection) => void): Promise<Listener> {
    const { security } = this
    const server = security === undefined ? plainServer(accept) : secureServer(security, accept)
    return new Promise((resolve, reject) => {
      server.once("error", (error: Error) => {
        const message = `cannot listen on ${at.host}:${at.port}`
        reject(fail("invalidConfig", { message, code: codeOf(error) }, error))
      })
      server.listen({ host: at.host, port: at.port, backlog: ACCEPTS_WAITING_MAX }, () => {
        const address = server.address()
        const port = typeof address === "object" && address !== null ? address.port : at.port
        // An error of one accepted connection must not end the process.
        server.on("error", () => undefined)
        resolve({ address: { host: at.host, port }, close: async () => void server.close() })
      })
    })
  }

  connect(to: NetAddress, signal: AbortSignal, expected?: string): Promise<Connection> {
    if (signal.aborted) return Promise.reject(signal.reason)
    const { security } = this
    const { promise, resolve, reject } = settledLater<Connection>()
    const socket =
      security === undefined
        ? net.connect({ host: to.host, port: to.port, noDelay: true })
        : tls.connect({ ...security.clientOptions(), host: to.host, port: to.port })
    const refuse = (code: string, cause?: unknown): void => {
      signal.removeEventListener("abort", onAbort)
      socket.destroy()
      reject(fail("peerUnreachable", { address: `${to.host}:${to.port}`, code }, cause))
    }
    const onAbort = (): void => {
      socket.destroy()
      reject(signal.reason)
    }
    const onError = (error: Error): void => refuse(codeOf(error), error)
    const onClose = (): void => refuse("closed")
    const onReady = (): void => {
      const fingerprint = security === undefined ? undefined : admitted(security, socket, expected)
      if (security !== undefined && fingerprint === undefined) {
        refuse("notAdmitted")
        return
      }
      signal.removeEventListener("abort", onAbort)
      socket.off("error", onError)
      socket.off("close", onClose)
      resolve(new RealConnection(socket, fingerprint))
    }
    signal.addEventListener("abort", onAbort, { once: true })
    socket.on("error", onError)
    socket.once("close", onClose)
    socket.once(security === undefined ? "connect" : "secureConnect", onReady)
    return promise
  }
}

function plainServer(accept: (connection: Connection) => void): net.Server {
  const server = net.createServer({ noDelay: true })
  server.on("connection", (socket: net.Socket) => accept(new RealConnection(socket, undefined)))
  return server
}

function secureServer(security: Security, accept: (connection: Connection) => void): net.Server {
  const server = tls.createServer(security.serverOptions())
  boundHandshakes(server)
  server.on("secureConnection", (socket: tls.TLSSocket) => {
    const fingerprint = admitted(security, socket)
    if (fingerprint !== undefined) accept(new RealConnection(socket, fingerprint))
  })
  // A handshake that fails ends its connection; its sender learns no more.
  server.on("tlsClientError", (_error: Error, socket: tls.TLSSocket) => socket.destroy())
  return server
}

/** The name of a connection's peer, which is unique while the connection is open. */
const nameOf = ({ remoteAddress, remotePort }: net.Socket): string => `${remoteAddress} ${remotePort}`

/** Ends connections whose handshake has not ended, the oldest first, while there are more than `HANDSHAKES_MAX`. */
function boundHandshakes(server: tls.Server): void {
  /** By the names of their peers, in the order in which they came. */
  const pending = new Map<string, net.Socket>()
  server.on("connection", (socket: net.Socket) => {
    const name = nameOf(socket)
    pending.set(name, socket)
    socket.once("close", () => {
      if (pending.get(name) === socket) pending.delete(name)
    })
    const [oldest] = pending.values()
    if (pending.size > HANDSHAKES_MAX) oldest?.destroy()
  })
  server.on("secureConnection", (socket: tls.TLSSocket) => pending.delete(nameOf(socket)))
}

function settledLater<T>() {
  let resolve: (value: T) => void = () => undefined
  let reject: (reason: unknown) => void = () => undefined
  const promise = new Promise<T>((onValue, onReason) => {
    resolve = onValue
    reject = onReason
  })
  return { promise, resolve, reject }
}

function admitted(security: Security, socket: net.Socket, expected?: string): string | undefined {
  const fingerprint = socket instanceof tls.TLSSocket ? security.admit(socket, expected) : undefined
  if (fingerprint === undefined) socket.destroy()
  return fingerprint
}
