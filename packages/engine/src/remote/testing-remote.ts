/** Nodes with devices in memory on a simulated network, for tests of remote shards. */
import { must } from "@hayloft/base/assert.js"
import { parseLogSequence, parseStoreId, parseUploadId, type DeviceId, type UploadId } from "@hayloft/base/ids.js"
import { parsePolicy, shardCount } from "@hayloft/base/policy.js"
import { streamOf } from "@hayloft/base/memory/pieces.js"
import { TEST_SEED } from "@hayloft/base/testing-seed.js"
import type { ShardDevice, WrittenBody } from "../block/contract.js"
import { ALL_NEEDLES, LocalBlocks, type ShardScanPage } from "../block/index.js"
import { OWNER, ShardWorld } from "../block/testing-blocks.js"
import { Rows } from "../device/index.js"
import type { Extent } from "../format/needles/extent.js"
import { Peer, RPC_LIMITS, RpcMetrics, RpcServer } from "../rpc/index.js"
import type { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimNetwork, type SimNetOptions } from "@hayloft/base/seams/net/sim.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { MemoryStores } from "@hayloft/base/seams/store/testing-memory.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { REMOTE_LIMITS, RemoteNode, serveShards, type RemoteLimits } from "./index.js"

export const OWN = { storeId: parseStoreId("00112233445566778899aabbccddeeff"), incarnation: 1 }
/** The node that uses the devices of the others. */
export const HERE = "here"
const PORT = 7000
const noSignal = new AbortController().signal

export interface FarNode {
  readonly name: string
  readonly devices: Map<DeviceId, ShardDevice>
  readonly server: RpcServer
  readonly peer: Peer
  readonly remote: RemoteNode
}

/** A network, and what nodes on it share. */
export class NodeWorld {
  readonly network: SimNetwork
  readonly telemetry = new SimTelemetry()
  readonly nodes = new Map<string, FarNode>()
  private readonly metrics = new RpcMetrics(this.telemetry)
  private readonly stop = new AbortController()
  private readonly keptUp: Promise<void>[] = []

  constructor(
    readonly clock: SimClock,
    readonly random: SimRandom,
    private readonly limits: RemoteLimits = REMOTE_LIMITS,
    options: Partial<SimNetOptions> = {},
  ) {
    this.network = new SimNetwork(clock, random.fork("network"), options)
  }

  /** A node that serves these devices, and the peer that calls it from here. */
  async add(name: string, devices: Iterable<ShardDevice>): Promise<FarNode> {
    const { clock, network, metrics, limits } = this
    const own = new Map(Array.from(devices, device => [device.id, device]))
    const server = new RpcServer(
      { net: network.host(name), clock, metrics },
      { own: { ...OWN, node: name }, limits: RPC_LIMITS },
    )
    serveShards(server, own, limits)
    await server.listen({ host: name, port: PORT })
    const peer = this.peerOf(name, HERE)
    const node = { name, devices: own, server, peer, remote: new RemoteNode(clock, peer, limits) }
    this.nodes.set(name, node)
    this.keptUp.push(node.remote.keepUp(this.stop.signal))
    return node
  }

  /** Another connection to a node. */
  peerOf(name: string, from: string): Peer {
    const { clock, network, metrics } = this
    const seams = { net: network.host(from), clock, random: this.random.fork(`peer ${name} ${from}`), metrics }
    return new Peer(seams, { address: { host: name, port: PORT }, own: { ...OWN, node: from }, limits: RPC_LIMITS })
  }

  node(name: string): FarNode {
    return must(this.nodes.get(name), "a node of this world")
  }

  /** Calls of one method that were sent, whatever became of them. */
  calls(method: string): number {
    let sum = 0
    for (const outcome of [
      "ok",
      "deviceFailed",
      "noSuchNeedle",
      "corruptNeedle",
      "peerUnreachable",
      "malformedFrame",
    ]) {
      for (const callClass of ["client", "background"]) {
        sum += this.telemetry.metric("hayloft_rpc_calls_total", { method, class: callClass, outcome })
      }
    }
    return sum
  }

  /** Time passes until the promise settles. */
  run<T>(promise: Promise<T>): Promise<T> {
    return this.clock.runUntil(promise)
  }

  async close(): Promise<void> {
    this.network.healAll()
    this.stop.abort()
    for (const { peer, server } of this.nodes.values()) {
      peer.close()
      await this.run(server.close())
    }
    await this.run(Promise.all(this.keptUp).then(() => undefined))
    await this.clock.advance(60_000)
  }
}

interface MixedOptions {
  readonly policy: string
  readonly blockBytes: number
  /** The node of each device; "": a local device. */
  readonly nodes: readonly string[]
  readonly limits?: Partial<RemoteLimits>
  readonly network?: Partial<SimNetOptions>
  readonly seed?: number
}

/** Blocks over local and remote devices. */
export class MixedBlocks {
  readonly devices = new Map<DeviceId, ShardDevice>()
  readonly blocks: LocalBlocks
  readonly damaged: DeviceId[] = []
  private uploads = 0

  private constructor(
    readonly shards: ShardWorld,
    readonly nodes: NodeWorld,
    private readonly options: MixedOptions,
  ) {
    const { clock, compute, layouts } = shards
    this.blocks = new LocalBlocks(clock, compute, layouts, this.devices, new SimTelemetry().metrics, {
      onDamage: deviceId => this.damaged.push(deviceId),
    })
  }

  static async open(options: MixedOptions): Promise<MixedBlocks> {
    const makeRows = async () => new Rows(await new MemoryStores().openReader("base"), parseLogSequence(0))
    const policy = parsePolicy(options.policy)
    const { length: devices } = options.nodes
    const shards = await ShardWorld.open(makeRows, policy, { devices, layoutWidth: shardCount(policy) })
    const limits = { ...REMOTE_LIMITS, ...options.limits }
    const random = new SimRandom(options.seed ?? TEST_SEED)
    const world = new MixedBlocks(shards, new NodeWorld(shards.clock, random, limits, options.network), options)
    const all = [...shards.devices.live.values()]
    const nodeOf = (i: number): string => must(options.nodes[i], "each device has a node")
    for (const name of new Set(options.nodes)) {
      if (name !== "")
        await world.nodes.add(
          name,
          all.filter((_, i) => nodeOf(i) === name),
        )
    }
    all.forEach((device, i) => {
      const name = nodeOf(i)
      world.devices.set(device.id, name === "" ? device : world.nodes.node(name).remote.shardsOf(device.id))
    })
    await shards.clock.advance(50)
    return world
  }

  get clock(): SimClock {
    return this.shards.clock
  }

  devicesOn(name: string): readonly DeviceId[] {
    return [...this.nodes.node(name).devices.keys()]
  }

  nextUpload(): UploadId {
    this.uploads += 1
    return parseUploadId(this.uploads.toString(16).padStart(32, "0"))
  }

  /** Not driven: for calls within other work. */
  begin(bytes: Uint8Array, uploadId = this.nextUpload()): Promise<WrittenBody> {
    return this.blocks.write({
      uploadId,
      part: 0,
      owner: OWNER,
      policy: this.shards.policy,
      blockBytes: this.options.blockBytes,
      plan: { md5: false, sha256: false, checksum: undefined },
      source: bytes,
      lengthBytesMax: bytes.length,
      inlineBytesMax: 0,
      recoveryHeader: Uint8Array.of(1),
    })
  }

  async write(bytes: Uint8Array): Promise<{ readonly extent: Extent; readonly hints: WrittenBody["hints"] }> {
    const { content, hints } = await this.nodes.run(this.begin(bytes))
    return { extent: extentOf(content), hints }
  }

  async beginRead(extent: Extent, offsetBytes = 0, lengthBytes = extent.lengthBytes): Promise<Buffer> {
    const pieces: Uint8Array[] = []
    const read = this.blocks.read({ extent, offsetBytes, lengthBytes }, noSignal, "reader")
    for await (const piece of streamOf(read)) pieces.push(Uint8Array.from(piece))
    return Buffer.concat(pieces)
  }

  read(extent: Extent, offsetBytes?: number, lengthBytes?: number): Promise<Buffer> {
    return this.nodes.run(this.beginRead(extent, offsetBytes, lengthBytes))
  }

  async scan(): Promise<ShardScanPage> {
    return this.nodes.run(Promise.resolve(this.blocks.shardScan(ALL_NEEDLES.start)))
  }

  /** Returns what is really on the devices. */
  async truth(): Promise<ShardScanPage> {
    return this.shards.blocks.shardScan(ALL_NEEDLES.start)
  }
}

function extentOf(content: WrittenBody["content"]): Extent {
  if (content.kind === "extent") return content.extent
  throw new Error("bodies of tests are not inline")
}
