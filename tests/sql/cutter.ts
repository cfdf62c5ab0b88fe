/** A proxy before a PostgreSQL server that ends connections before, during and after statements. */
import { once } from "node:events"
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net"
import { TEST_SEED } from "@hayloft/base/testing-seed.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"

/** One commit in so many, and one other message in so many, ends its connection. */
const CUT_ONE_IN = { commit: 4, other: 40 } as const

/** Forwards connections to the server, and cuts them. */
export class Cutter {
  private readonly sockets = new Set<Socket>()
  private readonly random = new SimRandom(TEST_SEED)
  isCutting = false
  /** The next commit reaches the server, and its connection ends. */
  cutsNextCommit = false
  cuts = 0
  /** Nothing that is sent arrives, in either direction, and no connection ends: as if packets were dropped. */
  isSilent = false
  private isAway = false

  private constructor(
    private readonly listener: Server,
    private readonly port: number,
  ) {
    listener.on("connection", client => this.forward(client))
  }

  static async before(port: number): Promise<Cutter> {
    const listener = createServer()
    const cutter = new Cutter(listener, port)
    listener.listen(0, "127.0.0.1")
    await once(listener, "listening")
    return cutter
  }

  urlOf(url: string): string {
    const { port } = this.listener.address() as AddressInfo
    return url.replace(`:${this.port}/`, `:${port}/`)
  }

  /** Ends all connections, and accepts none until `heal`. */
  cut(): void {
    this.isAway = true
    for (const socket of this.sockets) socket.destroy()
  }

  heal(): void {
    this.isAway = false
  }

  private isCut(what: keyof typeof CUT_ONE_IN): boolean {
    if (!this.isCutting || this.random.below(CUT_ONE_IN[what]) > 0) return false
    this.cuts += 1
    return true
  }

  private forward(client: Socket): void {
    if (this.isAway) return void client.destroy()
    const server = connect(this.port, "127.0.0.1")
    for (const socket of [client, server]) {
      this.sockets.add(socket)
      socket.on("error", () => undefined)
      socket.on("close", () => this.sockets.delete(socket))
    }
    client.on("data", chunk => {
      if (this.isSilent) return
      if (this.cutsNextCommit && chunk.includes("commit-")) {
        this.cutsNextCommit = false
        this.cuts += 1
        server.end(chunk)
        return void client.destroy()
      }
      if (!this.isCut(chunk.includes("commit-") ? "commit" : "other")) return void server.write(chunk)
      // Half of the statements that are cut reach the server, which carries them out although nobody waits.
      if (this.random.below(2) === 0) server.end(chunk)
      else server.destroy()
      client.destroy()
    })
    server.on("data", chunk => {
      if (this.isSilent) return
      if (!this.isCut("other")) return void client.write(chunk)
      client.destroy()
      server.destroy()
    })
    client.on("close", () => (this.isSilent ? server.destroy() : server.end()))
    server.on("close", () => client.destroy())
  }

  async stop(): Promise<void> {
    for (const socket of this.sockets) socket.destroy()
    this.listener.close()
    await once(this.listener, "close")
  }
}
