/**
 * Two nodes in tests: a server with a few methods, and a peer that calls it, on a simulated network.
 */
import type { Tracer } from "@hayloft/base/trace.js"
import { parseStoreId } from "@hayloft/base/ids.js"
import { KIB } from "@hayloft/base/limits.js"
import type { LentBytes } from "@hayloft/base/memory/pieces.js"
import { TEST_SEED } from "@hayloft/base/testing-seed.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimNetwork, type SimNetOptions } from "@hayloft/base/seams/net/sim.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import type { Handler, RpcMethod } from "./contract.js"
import { RPC_LIMITS, type RpcLimits } from "./limits.js"
import { RpcMetrics } from "./metrics.js"
import { Peer } from "./peer.js"
import { RpcServer } from "./server.js"

const text = {
  encode: (value: string): Uint8Array => Buffer.from(value),
  decode: (bytes: Uint8Array): string => Buffer.from(bytes).toString(),
}

const method = (number: number, name: string, changes: boolean): RpcMethod<string, string> => ({
  number,
  name,
  changes,
  request: text,
  response: text,
})

export const METHODS = {
  /** Answers with its request. */
  echo: method(1, "echo", false),
  /** Has an effect. */
  add: method(2, "add", true),
  /** Reads a body, and answers with its length. */
  put: method(3, "put", true),
  /** Answers with a body of as many bytes as the request says. */
  get: method(4, "get", false),
  /** Never registered. */
  unknown: method(99, "unknown", true),
}

export const OWN = { storeId: parseStoreId("00112233445566778899aabbccddeeff"), incarnation: 1 }
export const ADDRESS = { host: "server", port: 7000 }

/** Memory that is lent once for each piece, and whose bytes depend on their place in the body. */
export class LentMemory {
  given = 0
  taken = 0

  body(lengthBytes: number, pieceBytes?: number) {
    return { lengthBytes, pieces: this.pieces(lengthBytes, pieceBytes) }
  }

  *pieces(lengthBytes: number, pieceBytes = 100 * KIB): Generator<LentBytes> {
    for (let at = 0; at < lengthBytes; at += pieceBytes) {
      const bytes = patternOf(at, Math.min(pieceBytes, lengthBytes - at))
      this.taken += 1
      let isGiven = false
      yield {
        bytes,
        giveBack: () => {
          if (isGiven) throw new Error("memory is given back twice")
          isGiven = true
          this.given += 1
          // A reader that still has it reads other bytes.
          bytes.fill(0xee)
        },
      }
    }
  }
}

/** After this many bytes the pattern repeats. */
const PERIOD_BYTES = 251 * KIB
const PATTERN = Uint8Array.from({ length: PERIOD_BYTES }, (_, i) => (i * 31 + (i >> 10)) % 251)

/** Bytes that depend on their place in the body. */
export function patternOf(from: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length)
  for (let at = 0; at < length;) {
    const piece = PATTERN.subarray((from + at) % PERIOD_BYTES).subarray(0, length - at)
    bytes.set(piece, at)
    at += piece.length
  }
  return bytes
}

export interface TestNodes {
  readonly clock: SimClock
  readonly network: SimNetwork
  readonly telemetry: SimTelemetry
  readonly limits: RpcLimits
  readonly server: RpcServer
  readonly peer: Peer
  readonly memory: LentMemory
  /** Requests that `add` has carried out. */
  readonly added: string[]
}

interface NodeOptions {
  readonly limits?: Partial<RpcLimits>
  readonly network?: Partial<SimNetOptions>
  readonly seed?: number
  readonly handlers?: ReadonlyMap<RpcMethod<string, string>, Handler<string, string>>
  /** The clock of the server's process; by default the same as the client's. */
  readonly serverClock?: (clock: SimClock) => Clock
  /** The tracer of the server. */
  readonly tracer?: Tracer
}

/** The server listens; the peer connects with its first call. */
export async function testNodes({
  limits: some,
  network: of,
  seed = TEST_SEED,
  handlers,
  serverClock = clock => clock,
  tracer,
}: NodeOptions = {}): Promise<TestNodes> {
  const clock = new SimClock()
  const random = new SimRandom(seed)
  const network = new SimNetwork(clock, random.fork("network"), of)
  const telemetry = new SimTelemetry()
  const metrics = new RpcMetrics(telemetry)
  const limits = { ...RPC_LIMITS, ...some }
  const memory = new LentMemory()
  const added: string[] = []
  const server = new RpcServer(
    { net: network.host("server"), clock: serverClock(clock), metrics, tracer },
    { own: { ...OWN, node: "server" }, limits },
  )
  const defaults = new Map<RpcMethod<string, string>, Handler<string, string>>([
    [METHODS.echo, request => ({ value: request })],
    [
      METHODS.add,
      request => {
        added.push(request)
        return { value: `added ${request}` }
      },
    ],
    [
      METHODS.put,
      async (_, { body }) => {
        let bytes = 0
        for await (const chunk of body) {
          if (!Buffer.from(chunk).equals(patternOf(bytes, chunk.length))) return { value: `wrong bytes at ${bytes}` }
          bytes += chunk.length
        }
        return { value: String(bytes) }
      },
    ],
    [METHODS.get, request => ({ value: request, body: memory.body(Number(request)) })],
  ])
  for (const [served, handler] of new Map([...defaults, ...(handlers ?? [])])) server.handle(served, handler)
  await server.listen(ADDRESS)
  const seams = { net: network.host("client"), clock, random: random.fork("peer"), metrics }
  const peer = new Peer(seams, { address: ADDRESS, own: { ...OWN, node: "client" }, limits })
  return { clock, network, telemetry, limits, server, peer, memory, added }
}
