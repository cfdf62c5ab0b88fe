/**
 * A network between the nodes of a test that can be cut: each node announces a proxy, which finds out which node a
 * connection comes from by the process that owns its socket.
 *
 * Promises  Once `cut` resolves, no byte passes between that node and the others, in either direction, until `heal`.
 * Limits    Linux: it reads `/proc`. TCP over IPv4 on loopback.
 */
import { readdirSync, readFileSync, readlinkSync } from "node:fs"
import { createServer, connect, type AddressInfo, type Server, type Socket } from "node:net"
import { freePort } from "./free-port.js"
import type { TestNode } from "./nodes.js"

interface Pipe {
  readonly between: ReadonlySet<TestNode | undefined>
  readonly ends: readonly Socket[]
}

interface Proxy {
  readonly server: Server
  /** The port on which its node listens. */
  readonly port: number
}

export class PeerNetwork {
  private readonly proxies = new Map<TestNode, Proxy>()
  private readonly pipes = new Set<Pipe>()
  private readonly isCut = new Set<TestNode>()

  /** Arguments of `serve` for a node whose peers reach it through this network. */
  async argsOf(node: TestNode): Promise<readonly string[]> {
    const known = this.proxies.get(node) ?? (await this.proxyOf(node))
    const { port } = known.server.address() as AddressInfo
    return ["--node-listen", `127.0.0.1:${known.port}`, "--node-address", `127.0.0.1:${port}`]
  }

  private async proxyOf(node: TestNode): Promise<Proxy> {
    const port = await freePort()
    const server = createServer(socket => this.accept(node, port, socket))
    await new Promise<void>(resolve => server.listen(0, "127.0.0.1", resolve))
    const proxy = { server, port }
    this.proxies.set(node, proxy)
    return proxy
  }

  private accept(node: TestNode, port: number, from: Socket): void {
    const caller = [...this.proxies.keys()].find(each => ownsPort(each, from.remotePort ?? 0))
    const between = new Set([node, caller])
    if ([...between].some(each => each === undefined || this.isCut.has(each))) {
      from.destroy()
      return
    }
    const to = connect(port, "127.0.0.1")
    const pipe = { between, ends: [from, to] }
    this.pipes.add(pipe)
    for (const socket of pipe.ends) {
      socket.on("error", () => socket.destroy())
      socket.on("close", () => this.end(pipe))
    }
    from.pipe(to).pipe(from)
  }

  private end(pipe: Pipe): void {
    this.pipes.delete(pipe)
    for (const socket of pipe.ends) socket.destroy()
  }

  /** Cuts the node off from all others. */
  cut(node: TestNode): void {
    this.isCut.add(node)
    for (const pipe of this.pipes) if (pipe.between.has(node)) this.end(pipe)
  }

  heal(node: TestNode): void {
    this.isCut.delete(node)
  }

  close(): void {
    for (const pipe of this.pipes) this.end(pipe)
    for (const { server } of this.proxies.values()) server.close()
  }
}

/** Returns true if the process of the node has the socket whose port on loopback this is. */
function ownsPort({ process: running }: TestNode, port: number): boolean {
  if (running === undefined) return false
  const local = `0100007F:${port.toString(16).toUpperCase().padStart(4, "0")}`
  const rows = readFileSync("/proc/net/tcp", "latin1").split("\n")
  const inode = rows.map(row => row.trim().split(/\s+/)).find(([, address]) => address === local)?.[9]
  const folder = `/proc/${running.pid}/fd`
  return filesIn(folder).some(file => linkOf(`${folder}/${file}`) === `socket:[${inode}]`)
}

/** None if the process has ended meanwhile. */
function filesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

/** Empty if the file has been closed meanwhile. */
function linkOf(path: string): string {
  try {
    return readlinkSync(path)
  } catch {
    return ""
  }
}
