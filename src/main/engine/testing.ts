/** A store in a simulated world, for tests of what only shows when all its rooms work together. */
import type { BodySource, Bucket, ObjectBody } from "../../object/index.js"
import { parseAccessKeyId, parseAccountId, parseBucketName, parseDeviceId } from "../../base/ids.js"
import { parseEpoch, parseIncarnation } from "../../base/ids.js"
import { KIB, MIB } from "../../base/limits.js"
import { defaultMetaCopies, defaultPolicy, shardCount } from "../../base/policy.js"
import { CHECKPOINT_LIMITS } from "../../device/index.js"
import { makeCodec } from "../../erasure/index.js"
import { planLayout, type Layout } from "../../placement/index.js"
import { SimClock } from "../../seams/clock/sim.js"
import { InlineCompute } from "../../seams/compute/index.js"
import { SimDisk } from "../../seams/disk/index.js"
import { SimRandom } from "../../seams/random/sim.js"
import { MemoryStores } from "../../seams/store/memory.js"
import { SimTelemetry } from "../../seams/telemetry/sim.js"
import { CheckpointExecutor } from "./checkpoint-job.js"
import { openEngine, type Engine } from "./engine.js"

export const noSignal = new AbortController().signal
const OWNER = parseAccountId("root")
const idOf = (number: number) => parseDeviceId(number.toString(16).padStart(16, "0"))

export interface MachineOptions {
  readonly devices: number
  readonly blockBytes?: number
}

/** A machine with its disk and bases, on which a store is opened again and again. Nothing runs by itself. */
export class Machine {
  readonly clock = new SimClock()
  readonly disk = new SimDisk()
  readonly stores = new MemoryStores()
  readonly telemetry = new SimTelemetry()
  private readonly layout: Layout
  private lives = 0
  /** Of the lives to come. */
  checkpointLimits: Partial<Record<keyof typeof CHECKPOINT_LIMITS, number>> = {}

  constructor(private readonly options: MachineOptions) {
    const devices = Array.from({ length: options.devices }, (_, i) => ({ id: idOf(i + 1), weight: 1 }))
    this.layout = planLayout(devices, shardCount(defaultPolicy(options.devices)))
  }

  /** Opens the store for the next life of the process; end the one before with `disk.kill()` or `engine.stop()`. */
  async open(): Promise<Engine> {
    const { devices, blockBytes = 64 * KIB } = this.options
    const { clock, stores, telemetry, layout } = this
    this.lives += 1
    const disk = this.disk.boot()
    const policy = defaultPolicy(devices)
    const incarnation = parseIncarnation(this.lives)
    const seams = { clock, random: new SimRandom(this.lives), diskOf: () => disk, stores, telemetry }
    const compute = new InlineCompute(makeCodec, { slabBytes: 4 * blockBytes, poolBytes: 8 * MIB })
    return openEngine(
      { ...seams, compute, checkpoints: new CheckpointExecutor(() => disk, stores) },
      {
        devices: layout.devices.map((id, i) => ({ id, path: `/d${i + 1}`, incarnation })),
        layout,
        store: { policy, blockBytes },
        members: layout.devices.slice(0, defaultMetaCopies(devices, policy)),
        epoch: parseEpoch(1),
        incarnation,
        masterKey: new Uint8Array(32),
        root: { accountId: OWNER, accessKeyId: parseAccessKeyId("ROOTKEY"), secret: "secret", createdMs: 0 },
        deviceOptions: { checkpointLimits: { ...CHECKPOINT_LIMITS, ...this.checkpointLimits } },
      },
    )
  }
}

export const createBucket = (engine: Engine): Promise<Bucket> =>
  engine.services.buckets.create({ name: parseBucketName("bucket"), owner: OWNER, location: "" })

export const sourceOf = (bytes: Uint8Array): BodySource => ({
  lengthBytes: bytes.length,
  declaredChecksum: () => undefined,
  async *open() {
    for (let at = 0; at < bytes.length; at += 64 * KIB) yield bytes.subarray(at, at + 64 * KIB)
  },
})

export async function bytesOf(body: ObjectBody): Promise<Buffer> {
  const pieces: Uint8Array[] = []
  for await (const piece of body.read(noSignal)) pieces.push(piece)
  return Buffer.concat(pieces)
}
