/**
 * Load balancers on loopback in front of several servers, for tests whose clients know a single address: one request, or
 * one connection, after another goes to the next server.
 *
 * Promises  A front for connections passes every byte as it is. A front for requests passes heads and bodies as they were
 *           sent (names of headers, order and targets included), and a broken connection as a broken connection.
 */
import { createServer as createHttpServer, request, type IncomingMessage, type ServerResponse } from "node:http"
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net"

export interface Front {
  readonly port: number
  /** How often each server had its turn. */
  readonly turns: readonly number[]
  close(): void
}

/** Whose turn it is. */
class Turns {
  readonly taken: number[]
  private next = 0

  constructor(private readonly ports: readonly number[]) {
    this.taken = ports.map(() => 0)
  }

  take(): number {
    const at = this.next++ % this.ports.length
    this.taken[at] = (this.taken[at] ?? 0) + 1
    return this.ports[at] ?? 0
  }
}

async function opened(server: Server, turns: readonly number[]): Promise<Front> {
  const sockets = new Set<Socket>()
  server.on("connection", (socket: Socket) => {
    sockets.add(socket)
    socket.on("close", () => sockets.delete(socket))
  })
  await new Promise<void>(resolve => server.listen(0, "127.0.0.1", resolve))
  const { port } = server.address() as AddressInfo
  const close = () => {
    server.close()
    for (const socket of sockets) socket.destroy()
  }
  return { port, turns, close }
}

export function frontOfConnections(ports: readonly number[]): Promise<Front> {
  const turns = new Turns(ports)
  const server = createServer({ allowHalfOpen: true }, from => {
    const to = connect({ port: turns.take(), host: "127.0.0.1", allowHalfOpen: true })
    for (const [one, other] of [
      [from, to],
      [to, from],
    ] as const) {
      one.setNoDelay(true)
      one.on("error", () => one.destroy())
      one.on("close", () => other.destroySoon())
      one.pipe(other)
    }
  })
  return opened(server, turns.taken)
}

/** For clients that keep their connections. */
export function frontOfRequests(ports: readonly number[]): Promise<Front> {
  const turns = new Turns(ports)
  const forward = (from: IncomingMessage, answer: ServerResponse): void => {
    const { method = "GET", url: path = "/", rawHeaders: headers } = from
    // A connection for each request: a kept one may be closed by the server at the moment in which it is used again.
    const to = request({ host: "127.0.0.1", port: turns.take(), method, path, headers, setHost: false, agent: false })
    to.on("continue", () => answer.writeContinue())
    to.on("response", response => {
      answer.sendDate = false
      answer.writeHead(response.statusCode ?? 0, response.statusMessage, headersOf(response))
      answer.flushHeaders()
      response.on("error", () => answer.destroy())
      response.pipe(answer)
    })
    to.on("error", () => answer.destroy())
    answer.on("close", () => to.destroy())
    from.pipe(to)
  }
  const server = createHttpServer({ keepAliveTimeout: 0, requestTimeout: 0 }, forward)
  server.on("checkContinue", forward)
  return opened(server, turns.taken)
}

/** The client's connection is this front's own. */
function headersOf({ rawHeaders }: IncomingMessage): string[] {
  return rawHeaders.flatMap((name, i) => {
    const isOfHop = /^(connection|keep-alive)$/i.test(name)
    return i % 2 === 1 || isOfHop ? [] : [name, rawHeaders[i + 1] ?? ""]
  })
}
