/**
 * Calls between nodes over TCP on loopback, against plain sockets that copy or echo the same bytes. Both sides are in
 * this process, so the processor time is that of both.
 */
import * as net from "node:net"
import { once } from "node:events"
import { MIB } from "@hayloft/base/limits.js"
import { mapBounded } from "@hayloft/base/life/index.js"
import { bytesBody, Peer, RPC_LIMITS, RpcMetrics, RpcServer, type RpcMethod } from "@hayloft/engine/rpc/index.js"
import { parseStoreId } from "@hayloft/base/ids.js"
import { RealNet } from "@hayloft/base/seams/net/real.js"
import { RealRandom } from "@hayloft/base/seams/random/real.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import type { Bench } from "../bench.js"
import type { Measured } from "../row.js"
import { theme, type Fixture, type Theme } from "../theme.js"

const CALLS = 40_000
const CONCURRENT = 64
const SHARD_BYTES = MIB
const HEADER_BYTES = 100
const SHARDS_CONCURRENT = 4

const bytes = { encode: (value: Uint8Array) => value, decode: (value: Uint8Array) => value }
const method = (number: number, name: string): RpcMethod<Uint8Array, Uint8Array> => ({
  number,
  name,
  changes: false,
  request: bytes,
  response: bytes,
})
const ECHO = method(1, "echo")
const PUT = method(2, "put")
const CALL = { callClass: "client", deadlineMs: 60_000 } as const

const cpuSeconds = (): number => {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1e6
}

async function cpuOf(work: () => Promise<unknown>): Promise<number> {
  const before = cpuSeconds()
  await work()
  return cpuSeconds() - before
}

class NodeCalls implements Fixture {
  private constructor(
    private readonly bench: Bench,
    private readonly server: RpcServer,
    private readonly peer: Peer,
  ) {}

  static async open(bench: Bench): Promise<NodeCalls> {
    const metrics = new RpcMetrics(new SimTelemetry())
    const seams = { net: new RealNet(), clock: bench.clock, random: new RealRandom(), metrics }
    const own = { storeId: parseStoreId("0".repeat(32)), incarnation: 1, node: "bench" }
    const server = new RpcServer(seams, { own, limits: RPC_LIMITS })
    server.handle(ECHO, value => ({ value }))
    server.handle(PUT, async (value, { body }) => {
      for (let chunk = await body.read(); chunk !== undefined; chunk = await body.read()) continue
      return { value }
    })
    const address = await server.listen({ host: "127.0.0.1", port: 0 })
    return new NodeCalls(bench, server, new Peer(seams, { address, own, limits: RPC_LIMITS }))
  }

  async close(): Promise<void> {
    this.peer.close()
    await this.server.close()
  }

  async copy(): Promise<Measured> {
    const shards = Math.ceil(this.bench.scale.largeBytes / SHARD_BYTES)
    const shard = new Uint8Array(SHARD_BYTES).fill(7)
    const header = new Uint8Array(HEADER_BYTES)
    const put = () => this.peer.call(PUT, header, { ...CALL, body: bytesBody(shard) })
    await put()
    const own = await cpuOf(() => mapBounded(Array.from({ length: shards }), SHARDS_CONCURRENT, put))
    const plain = await cpuOf(() => plainCopy(shard, shards))
    const megabytes = (shards * SHARD_BYTES) / 1e6
    return { figure: megabytes / own, limit: megabytes / plain, unit: "MB per CPU second" }
  }

  async echo(concurrent: number): Promise<Measured> {
    const header = new Uint8Array(HEADER_BYTES)
    const call = () => this.peer.call(ECHO, header, CALL)
    await call()
    const own = await cpuOf(() => mapBounded(Array.from({ length: CALLS }), concurrent, call))
    const plain = await cpuOf(() => plainEcho(header, concurrent))
    return { figure: CALLS / own, limit: CALLS / plain, unit: "calls per CPU second" }
  }
}

/** A plain server, and a connection to it. */
async function plainPair(onSocket: (socket: net.Socket) => void) {
  const server = net.createServer({ noDelay: true }, onSocket).listen(0, "127.0.0.1")
  await once(server, "listening")
  const address = server.address()
  const port = typeof address === "object" && address !== null ? address.port : 0
  const socket = net.connect({ port, host: "127.0.0.1", noDelay: true })
  await once(socket, "connect")
  const close = (): void => {
    socket.destroy()
    server.close()
  }
  return { socket, close }
}

/** One message after the other on one connection, written as the socket drains. */
async function plainCopy(message: Uint8Array, times: number): Promise<void> {
  const { socket, close } = await plainPair(there => {
    let left = message.length * times
    there.on("data", (chunk: Buffer) => {
      left -= chunk.length
      if (left === 0) there.end("done")
    })
  })
  const done = once(socket, "data")
  for (let i = 0; i < times; i += 1) if (!socket.write(message)) await once(socket, "drain")
  await done
  close()
}

/** So many echoes in progress on as many turns of one connection; there are no frames. */
async function plainEcho(message: Uint8Array, concurrent: number): Promise<void> {
  const { socket, close } = await plainPair(there => there.on("data", (chunk: Buffer) => there.write(chunk)))
  let [sent, receivedBytes] = [0, 0]
  const send = (count: number): void => {
    socket.cork()
    for (let i = 0; i < count && sent < CALLS; i += 1, sent += 1) socket.write(message)
    socket.uncork()
  }
  await new Promise<void>(resolve => {
    socket.on("data", (chunk: Buffer) => {
      const before = Math.floor(receivedBytes / message.length)
      receivedBytes += chunk.length
      if (receivedBytes === CALLS * message.length) resolve()
      else send(Math.floor(receivedBytes / message.length) - before)
    })
    send(concurrent)
  })
  close()
}

export const NODE_CALLS: Theme = theme<NodeCalls>({
  name: "node-calls",
  isOnRequest: true,
  open: bench => NodeCalls.open(bench),
  rows: () => [
    { work: "bodies of 1 MiB, against a plain copy", measure: it => it.copy() },
    { work: "calls one by one, against a plain echo", measure: it => it.echo(1) },
    { work: `calls, ${CONCURRENT} concurrent, against a plain echo`, measure: it => it.echo(CONCURRENT) },
  ],
})
