/**
 * A simulated machine: an engine over a crashable disk, bases in memory, virtual time and one seed.
 *
 * `crash` cuts the power (what was not synced is left to chance), `restart` opens what is left. Calls of
 * the life before never settle; abandoned work dies with it.
 */
import { defaultMetaCopies, defaultPolicy, shardCount } from "../../src/base/policy.js"
import { parseAccessKeyId, parseAccountId, parseDeviceId, parseEpoch, parseIncarnation } from "../../src/base/ids.js"
import { KIB, MIB } from "../../src/base/limits.js"
import { makeCodec } from "../../src/erasure/index.js"
import { CheckpointExecutor } from "../../src/main/engine/checkpoint-job.js"
import { openEngine, type Engine, type EngineSettings, type Seams } from "../../src/main/engine/engine.js"
import { planLayout } from "../../src/placement/index.js"
import { SimClock } from "../../src/seams/clock/sim.js"
import { InlineCompute } from "../../src/seams/compute/index.js"
import { SimDisk } from "../../src/seams/disk/index.js"
import { SimRandom } from "../../src/seams/random/sim.js"
import { MemoryStores } from "../../src/seams/store/memory.js"
import { SimTelemetry } from "../../src/seams/telemetry/sim.js"

export interface WorldOptions {
  readonly seed: number
  readonly devices: number
  readonly blockBytes?: number
  /** Swaps a seam or an engine setting: how bugs are planted. */
  readonly plant?: (seams: Seams) => Seams
}

const CHECKPOINTS = { logBytesMax: 256 * KIB, rowsMax: 64, quietMs: 2_000, pollMs: 100, retryMs: 1_000 }

export class World {
  readonly clock = new SimClock()
  readonly random: SimRandom
  readonly disk = new SimDisk()
  readonly stores = new MemoryStores()
  readonly telemetry = new SimTelemetry()
  private incarnation = 0
  private life = new AbortController()
  private running: Promise<unknown>[] = []

  constructor(private readonly options: WorldOptions) {
    this.random = new SimRandom(options.seed)
  }

  /** Opens the store as a new process; its background work runs until `kill`, `crash` or `stop`. */
  async start(): Promise<Engine> {
    this.incarnation += 1
    this.life = new AbortController()
    const disk = this.disk.boot()
    const seams: Seams = {
      clock: this.clock,
      random: this.random.fork(`life ${this.incarnation}`),
      disk,
      stores: this.stores,
      compute: new InlineCompute(makeCodec, { slabBytes: 512 * KIB, poolBytes: 8 * MIB }),
      telemetry: this.telemetry,
      checkpoints: new CheckpointExecutor(disk, this.stores),
    }
    const engine = await openEngine(this.options.plant?.(seams) ?? seams, this.settings())
    this.running = engine.livings.map(living => living.run(this.life.signal).catch(() => undefined))
    return engine
  }

  private settings(): EngineSettings {
    const { devices: count, blockBytes = 128 * KIB } = this.options
    const incarnation = parseIncarnation(this.incarnation)
    const devices = Array.from({ length: count }, (_, i) => {
      const id = parseDeviceId((i + 1).toString(16).padStart(16, "0"))
      return { id, path: `/d${i + 1}`, incarnation }
    })
    const policy = defaultPolicy(count)
    const metaCopies = defaultMetaCopies(count, policy)
    return {
      devices,
      layout: planLayout(
        devices.map(({ id }) => ({ id, weight: 1 })),
        shardCount(policy),
      ),
      store: { policy, blockBytes },
      members: devices.slice(0, metaCopies).map(({ id }) => id),
      epoch: parseEpoch(1),
      incarnation,
      masterKey: new Uint8Array(32),
      root: {
        accountId: parseAccountId("root"),
        accessKeyId: parseAccessKeyId("ROOTKEY"),
        secret: "secret",
        createdMs: 0,
      },
      deviceOptions: { guard: async () => undefined, warmReads: false, checkpointLimits: CHECKPOINTS },
    }
  }

  /** Ends in order. */
  async stop(engine: Engine): Promise<void> {
    this.life.abort()
    await Promise.all(this.running)
    await engine.stop()
  }

  /** The process dies at once; what was written stays. */
  kill(): void {
    this.disk.kill()
    this.life.abort()
  }

  /** The power goes: unsynced writes are kept, dropped or torn by chance. */
  crash(): void {
    this.disk.crash(this.random.fork(`crash ${this.incarnation}`))
    this.life.abort()
  }
}
