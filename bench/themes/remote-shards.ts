/**
 * Shards of 1 MiB through a device of another node, over TCP and TLS on loopback, against bodies of the same length that
 * the same calls carry, and which are not examined. The device keeps nothing, so that the figures are those of the way to it.
 * Both nodes are in this process, and the processor time is that of both.
 */
import { createPublicKey, generateKeyPairSync, randomBytes, sign, X509Certificate } from "node:crypto"
import { must } from "@hayloft/base/assert.js"
import { objectKeyOfText, parseBucketId, parseDeviceId, parseStoreId, parseUploadId } from "@hayloft/base/ids.js"
import { MIB } from "@hayloft/base/limits.js"
import { parsePolicy } from "@hayloft/base/policy.js"
import type { ShardStore } from "@hayloft/engine/block/index.js"
import { encodeCertificate, encodeCertificateToSign } from "@hayloft/engine/format/nodes/node-certificate.js"
import { needleSeed } from "@hayloft/engine/format/needles/needle.js"
import { partitionOf } from "@hayloft/engine/format/needles/partition.js"
import { mapBounded } from "@hayloft/base/life/index.js"
import { RemoteNode, serveShards } from "@hayloft/engine/remote/index.js"
import { bytesBody, Peer, RPC_LIMITS, RpcMetrics, RpcServer, type RpcMethod } from "@hayloft/engine/rpc/index.js"
import { PeerConnections, tlsClientOptions, tlsServerOptions } from "@hayloft/base/seams/net/real-tls.js"
import { RealNet } from "@hayloft/base/seams/net/real.js"
import { RealRandom } from "@hayloft/base/seams/random/real.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { subBlockChecksums } from "@hayloft/base/simd/sub-block.js"
import type { Needle, ShardHeader } from "@hayloft/engine/volume/contract.js"
import type { Bench } from "../bench.js"
import type { Measured } from "../row.js"
import { theme, type Fixture, type Theme } from "../theme.js"

const SHARD_BYTES = MIB
const CONCURRENT = 4
const DEVICE = parseDeviceId("00000000000000d1")

const bytes = { encode: (value: Uint8Array) => value, decode: (value: Uint8Array) => value }
const method = (number: number, name: string): RpcMethod<Uint8Array, Uint8Array> => ({
  number,
  name,
  changes: false,
  request: bytes,
  response: bytes,
})
const PLAIN_PUT = method(60_001, "plain put")
const PLAIN_GET = method(60_002, "plain get")
const CALL = { callClass: "client", deadlineMs: 60_000 } as const

function shardOf(): Needle {
  const uploadId = parseUploadId("1".repeat(32))
  const id = { partition: partitionOf(uploadId, 0, 0), uploadId, part: 0, block: 0, generation: 0, slot: 0 }
  const body = randomBytes(SHARD_BYTES)
  return {
    id,
    owner: { bucketId: parseBucketId(1), key: objectKeyOfText("key") },
    policy: parsePolicy("ec:4+2"),
    blockLengthBytes: 4 * MIB,
    recoveryHeader: undefined,
    body,
    checksums: subBlockChecksums(body, needleSeed(id)),
  }
}

/** A device with one shard, which accepts others and forgets them. */
function forgetfulStore({ body, id, owner, policy, blockLengthBytes, recoveryHeader, checksums }: Needle): ShardStore {
  const shape = { id, owner, policy, blockLengthBytes, recoveryHeader, checksums }
  const header: ShardHeader = { kind: "shard", ...shape, bodyBytes: body.length }
  return {
    append: () => Promise.resolve(),
    read: (_, range, ifSlow, allocate = length => new Uint8Array(length)) =>
      ifSlow(() => {
        const memory = allocate(range.lengthBytes)
        memory.set(body.subarray(range.offsetBytes, range.offsetBytes + range.lengthBytes))
        return Promise.resolve(memory)
      }),
    fetch: (_, bodyBytes, allocate) => {
      const memory = allocate(bodyBytes)
      memory.set(body)
      return Promise.resolve({ header, body: memory, memory })
    },
    headerOf: () => Promise.resolve(header),
    has: () => true,
    remove: () => Promise.resolve(),
    markSuspect: () => undefined,
    indexed: () => [],
    refusing: undefined,
  }
}

/** TLS between nodes with a key of its own. */
function secureNet(): RealNet {
  const { privateKey } = generateKeyPairSync("ed25519")
  const publicKey = createPublicKey(privateKey).export({ format: "der", type: "spki" })
  const toSign = encodeCertificateToSign(publicKey, randomBytes(16))
  const certificate = new X509Certificate(encodeCertificate(toSign, sign(null, toSign, privateKey)))
  const identity = {
    certificatePem: certificate.toString(),
    privateKeyPem: privateKey.export({ format: "pem", type: "pkcs8" }).toString(),
  }
  const connections = new PeerConnections(() => true)
  return new RealNet({
    serverOptions: () => tlsServerOptions(identity),
    clientOptions: () => tlsClientOptions(identity),
    admit: socket => connections.admit(socket),
  })
}

const cpuSeconds = (): number => {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1e6
}

/** Two nodes, one with a device. */
interface Pair {
  readonly server: RpcServer
  readonly peer: Peer
  readonly store: ShardStore
}

async function openPair(bench: Bench, net: RealNet, shard: Needle): Promise<Pair> {
  const seams = { net, clock: bench.clock, random: new RealRandom(), metrics: new RpcMetrics(new SimTelemetry()) }
  const own = { storeId: parseStoreId("0".repeat(32)), incarnation: 1, node: "bench" }
  const server = new RpcServer(seams, { own, limits: RPC_LIMITS })
  const device = { id: DEVICE, volumes: forgetfulStore(shard), isWritable: true }
  serveShards(server, new Map([[DEVICE, device]]))
  server.handle(PLAIN_PUT, async (value, { body }) => {
    for (let chunk = await body.read(); chunk !== undefined; chunk = await body.read()) continue
    return { value }
  })
  server.handle(PLAIN_GET, value => ({ value, body: bytesBody(shard.body) }))
  const address = await server.listen({ host: "127.0.0.1", port: 0 })
  const peer = new Peer(seams, { address, own, limits: RPC_LIMITS })
  return { server, peer, store: new RemoteNode(bench.clock, peer).shardsOf(DEVICE).volumes }
}

class RemoteShardCalls implements Fixture {
  private readonly memory = Array.from({ length: CONCURRENT }, () => new Uint8Array(SHARD_BYTES))

  private constructor(
    private readonly bench: Bench,
    private readonly shard: Needle,
    private readonly pairs: ReadonlyMap<string, Pair>,
  ) {}

  static async open(bench: Bench): Promise<RemoteShardCalls> {
    const shard = shardOf()
    const pairs = new Map([
      ["TCP", await openPair(bench, new RealNet(), shard)],
      ["TLS", await openPair(bench, secureNet(), shard)],
    ])
    return new RemoteShardCalls(bench, shard, pairs)
  }

  async close(): Promise<void> {
    for (const { peer, server } of this.pairs.values()) {
      peer.close()
      await server.close()
    }
  }

  /** MB of PUT and GET together for each second of processor time; the limit is the same over plain calls. */
  async putAndGet(over: string): Promise<Measured> {
    const { peer, store } = must(this.pairs.get(over), "a pair for each transport")
    const { shard } = this
    const shards = Math.ceil(this.bench.scale.largeBytes / SHARD_BYTES)
    const own = await this.cpuOf(shards, async memory => {
      await store.append(shard)
      await store.fetch(shard.id, SHARD_BYTES, () => memory)
    })
    const plain = await this.cpuOf(shards, async memory => {
      const put = await peer.call(PLAIN_PUT, new Uint8Array(100), { ...CALL, body: bytesBody(shard.body) })
      put.body.discard()
      const { body } = await peer.call(PLAIN_GET, new Uint8Array(100), CALL)
      let at = 0
      for await (const chunk of body) {
        memory.set(chunk, at)
        at += chunk.length
      }
    })
    const megabytes = (2 * shards * SHARD_BYTES) / 1e6
    return { figure: megabytes / own, limit: megabytes / plain, unit: "MB per CPU second" }
  }

  private async cpuOf(shards: number, work: (memory: Uint8Array) => Promise<void>): Promise<number> {
    const free = [...this.memory]
    const one = async (): Promise<void> => {
      const memory = must(free.pop(), "one for each concurrent shard")
      await work(memory)
      free.push(memory)
    }
    await one()
    const before = cpuSeconds()
    await mapBounded(Array.from({ length: shards }), CONCURRENT, one)
    return cpuSeconds() - before
  }
}

export const REMOTE_SHARDS: Theme = theme<RemoteShardCalls>({
  name: "remote-shards",
  isOnRequest: true,
  open: bench => RemoteShardCalls.open(bench),
  rows: () =>
    ["TCP", "TLS"].map(over => ({
      work: `shards of 1 MiB written and fetched over ${over}, against plain calls`,
      measure: it => it.putAndGet(over),
    })),
})
