/** Devices in memory that are added, removed, fail and fill up, for tests above the block layer. */
import { assert, must } from "@hayloft/base/assert.js"
import { fail } from "@hayloft/base/failures.js"
import { objectKeyOfText, parseBucketId, parseDeviceId, parseIncarnation, parseUploadId } from "@hayloft/base/ids.js"
import type { DeviceId } from "@hayloft/base/ids.js"
import { KIB, MIB } from "@hayloft/base/limits.js"
import { shardCount, type Policy } from "@hayloft/base/policy.js"
import { streamOf } from "@hayloft/base/memory/pieces.js"
import { waitIfSlow } from "../volume/contract.js"
import { makeCodec } from "../erasure/index.js"
import type { Extent } from "../format/needles/extent.js"
import { partitionOf } from "../format/needles/partition.js"
import type { Layout } from "../placement/index.js"
import { firstLayout } from "../placement/testing-plans.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { InlineCompute } from "@hayloft/base/seams/compute/index.js"
import { SimDisk, type Disk } from "@hayloft/base/seams/disk/index.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { openVolumes, type NeedleId, type Volumes } from "../volume/index.js"
import type { KeyRange } from "@hayloft/base/rows/key-range.js"
import type { IndexedNeedle } from "../volume/contract.js"
import { LocalBlocks } from "./blocks.js"
import type { ShardCopy, ShardDevice, WriteRequest, WrittenBody } from "./contract.js"
import type { HotCopyTerms } from "./hot-copies-core.js"
import { Layouts } from "./layouts.js"
import type { ShardStore } from "./shard-store.js"
import { ALL_NEEDLES } from "./shard-scan-core.js"

const noSignal = new AbortController().signal
/** The owner of the blocks of tests. */
export const OWNER = { bucketId: parseBucketId(1), key: objectKeyOfText("key") }
export const deviceIdOf = (number: number): DeviceId => parseDeviceId(number.toString(16).padStart(16, "0"))

export const SHARD_MEMORY_BYTES = 1 * MIB

/** A test's hook into a shard read or write: throws, or waits. */
type Meddle = (what: "append" | "read", id: NeedleId, device: DeviceId) => void | Promise<void>

/** The rows of an index. */
type MakeRows = () => Promise<Parameters<typeof openVolumes>[1]>

/** Its store is the volumes themselves. */
export interface LocalDevice extends ShardDevice {
  readonly volumes: Volumes
}

export class TestDevices {
  readonly disk = new SimDisk()
  /** The devices in use. */
  readonly live = new Map<DeviceId, LocalDevice>()
  /** Devices that accept no new needles. */
  readonly down = new Set<DeviceId>()
  readonly full = new Set<DeviceId>()
  meddle: Meddle = () => undefined
  private readonly all = new Map<DeviceId, LocalDevice>()

  constructor(
    private readonly makeRows: MakeRows,
    private readonly behind: (disk: Disk) => Disk = disk => disk,
  ) {}

  /** An empty device, in a folder of its own. */
  async add(number: number): Promise<DeviceId> {
    return this.open(number, 1)
  }

  /** Like a restart: the state in memory is lost. */
  async reopen(id: DeviceId): Promise<void> {
    await must(this.all.get(id), "it is open").volumes.close()
    await this.open(parseInt(id, 16), 2)
  }

  private async open(number: number, incarnationNumber: number): Promise<DeviceId> {
    const id = deviceIdOf(number)
    const place = { folder: `/d${number}`, deviceId: id, incarnation: parseIncarnation(incarnationNumber) }
    const volumes = await openVolumes(this.behind(this.disk.boot()), await this.makeRows(), place, undefined)
    const { down, full } = this
    const device: LocalDevice = {
      id,
      volumes: meddled(volumes, (what, needle) => this.meddle(what, needle, id)),
      get isWritable() {
        return !down.has(id)
      },
      get isFull() {
        return full.has(id)
      },
    }
    this.all.set(id, device)
    this.live.set(id, device)
    return id
  }

  takeOffline(id: DeviceId): void {
    this.live.delete(id)
  }

  /** Brings a device back as it was. */
  bringBack(id: DeviceId): void {
    this.live.set(id, must(this.all.get(id), "it was here before"))
  }

  /** The number of needles on a device, whether it is in use or not. */
  needlesOn(id: DeviceId): number {
    const { volumes } = must(this.all.get(id), "it was here before")
    return [...volumes.indexed(ALL_NEEDLES)].length
  }
}

interface ShardWorldOptions {
  readonly devices?: number
  /** Default: a slot of each partition on every device. */
  readonly layoutWidth?: number
  readonly refuseSingleCopy?: boolean
  readonly blockBytes?: number
  readonly hotCopies?: HotCopyTerms
  /** Wraps each device's disk; default: unchanged. */
  readonly behind?: (disk: Disk) => Disk
}

/** Blocks over devices in memory. */
export class ShardWorld {
  readonly clock = new SimClock()
  readonly random = new SimRandom(11)
  readonly compute = new InlineCompute(makeCodec, {
    slabBytes: 512 * KIB,
    poolBytes: 4 * MIB,
    shardMemoryBytes: SHARD_MEMORY_BYTES,
  })
  readonly layout: Layout
  readonly layouts: Layouts
  readonly blocks: LocalBlocks
  readonly damaged: ShardCopy[] = []
  singleCopies = 0
  /** Devices that are expected back if they do not answer. */
  readonly expected = new Set<DeviceId>()
  /** Devices that may return with their shards. */
  readonly mayReturn = new Set<DeviceId>()
  uploads = 0

  constructor(
    readonly policy: Policy,
    readonly devices: TestDevices,
    private readonly options: ShardWorldOptions,
  ) {
    const { refuseSingleCopy = false } = options
    this.layout = firstLayout([...devices.live.keys()], options.layoutWidth)
    this.layouts = new Layouts(this.layout)
    const { metrics } = new SimTelemetry()
    this.blocks = new LocalBlocks(this.clock, this.compute, this.layouts, devices.live, metrics, {
      refuseSingleCopy,
      onSingleCopy: () => (this.singleCopies += 1),
      onDamage: (of, id) => this.damaged.push({ deviceId: of, id }),
      isExpectedBack: id => this.expected.has(id),
      mayReturn: id => this.mayReturn.has(id),
      hotCopies: options.hotCopies,
    })
  }

  static async open(makeRows: MakeRows, policy: Policy, options: ShardWorldOptions = {}): Promise<ShardWorld> {
    const devices = new TestDevices(makeRows, options.behind)
    for (let i = 1; i <= (options.devices ?? shardCount(policy)); i += 1) await devices.add(i)
    return new ShardWorld(policy, devices, options)
  }

  get disk(): SimDisk {
    return this.devices.disk
  }

  get down(): Set<DeviceId> {
    return this.devices.down
  }

  set meddle(meddle: Meddle) {
    this.devices.meddle = meddle
  }

  write(
    bytes: Uint8Array,
    source: Uint8Array | AsyncIterable<Uint8Array> = piecesOf(bytes),
    signal = noSignal,
    how: Partial<Pick<WriteRequest, "seal" | "statedBytes" | "lengthBytesMax" | "inlineBytesMax" | "payer">> = {},
  ): Promise<WrittenBody> {
    this.uploads += 1
    return this.blocks.write({
      uploadId: parseUploadId(this.uploads.toString(16).padStart(32, "0")),
      part: 0,
      owner: OWNER,
      policy: this.policy,
      blockBytes: this.options.blockBytes ?? 128 * KIB,
      plan: { md5: true, sha256: false, checksum: undefined },
      source,
      lengthBytesMax: 64 * MIB,
      inlineBytesMax: 0,
      recoveryHeader: undefined,
      signal,
      ...how,
    })
  }

  async writeExtent(bytes: Uint8Array): Promise<Extent> {
    const { content } = await this.write(bytes)
    assert(content.kind === "extent", "bodies of tests are not inline")
    return content.extent
  }

  async read(extent: Extent, offsetBytes = 0, lengthBytes = extent.lengthBytes): Promise<Buffer> {
    const pieces: Uint8Array[] = []
    const read = this.blocks.read({ extent, offsetBytes, lengthBytes }, noSignal)
    for await (const piece of streamOf(read)) pieces.push(piece.slice())
    return Buffer.concat(pieces)
  }

  /** The number of needles of an upload on all devices. */
  async held(uploadId: string, blocks: number): Promise<number> {
    let count = 0
    for (let block = 0; block < blocks; block += 1) {
      const partition = partitionOf(parseUploadId(uploadId), 0, block)
      for (const { shards } of await this.blocks.shardScanOf(partition)) count += shards.length
    }
    return count
  }
}

/** A body in pieces of 50,000 bytes; it may break off. */
export async function* piecesOf(bytes: Uint8Array, failsAfter = Infinity): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 50_000) {
    if (at >= failsAfter) throw fail("incompleteBody")
    yield bytes.subarray(at, at + 50_000)
  }
}

/** The same volumes, with a hook that is called before each append and read. */
const meddled = (volumes: Volumes, meddle: (what: "append" | "read", id: NeedleId) => void | Promise<void>): Volumes =>
  changed(volumes, {
    append: async needle => {
      await meddle("append", needle.id)
      await volumes.append(needle)
    },
    read: (id, range, ifSlow, allocate) =>
      ifSlow(async () => {
        await meddle("read", id)
        return volumes.read(id, range, waitIfSlow, allocate)
      }),
    fetch: async (id, ...how) => {
      await meddle("read", id)
      return volumes.fetch(id, ...how)
    },
  })

/** The wrong answers of a remote device. */
export interface WrongAnswers {
  has?: (id: NeedleId, isThere: boolean) => boolean
  indexed?: (needles: readonly IndexedNeedle[], range: KeyRange) => readonly IndexedNeedle[]
}

/** The same shards on a remote device: it always answers later, with no more of its index than requested. */
export const distant = (volumes: Volumes, wrongAnswers: WrongAnswers = {}): ShardStore => ({
  append: needle => volumes.append(needle),
  read: (id, range, ifSlow, allocate) =>
    ifSlow(async () => (await later(), volumes.read(id, range, waitIfSlow, allocate))),
  fetch: async (...of) => (await later(), volumes.fetch(...of)),
  headerOf: async id => (await later(), volumes.headerOf(id)),
  remove: async ids => (await later(), volumes.remove(ids)),
  markSuspect: async ids => (await later(), volumes.markSuspect(ids)),
  has: async id => {
    await later()
    const isThere = volumes.has(id)
    return wrongAnswers.has?.(id, isThere) ?? isThere
  },
  indexed: async (range, needlesMin) => {
    await later()
    const needles = [...volumes.indexed(range)]
    return (wrongAnswers.indexed?.(needles, range) ?? needles).slice(0, needlesMin)
  },
  // It accepted needles when it was last reached.
  refusing: undefined,
})

/** Waits for a few turns of the event loop. */
async function later(): Promise<void> {
  for (let turn = 0; turn < 3; turn += 1) await Promise.resolve()
}

/** The same volumes with some methods replaced. */
export function changed(volumes: Volumes, changes: Partial<Volumes>): Volumes {
  return new Proxy(volumes, {
    get(of, name): unknown {
      const change: unknown = Reflect.get(changes, name)
      if (change !== undefined) return change
      const value: unknown = Reflect.get(of, name)
      return typeof value === "function" ? value.bind(of) : value
    },
  })
}
