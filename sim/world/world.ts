/** A simulated machine with a store's engine, which each process opens with the settings of a test. */
import { CheckpointExecutor } from "@hayloft/node/metadata/checkpoint-job.js"
import { openEngine, type Engine } from "@hayloft/node/engine.js"
import { ReservedNumbers } from "@hayloft/node/front/front-numbers.js"
import { Fronts } from "@hayloft/node/front/fronts.js"
import type { HealthReport } from "@hayloft/node/status/contract.js"
import { firstRecordOf } from "@hayloft/node/testing-engine.js"
import type { ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import { CALL_LIMITS, queuedDisk } from "@hayloft/engine/device/index.js"
import { makeCodec } from "@hayloft/engine/erasure/index.js"
import { FRONT_INCARNATIONS } from "@hayloft/engine/format/needles/upload-id.js"
import { must } from "@hayloft/base/assert.js"
import { parseIncarnation } from "@hayloft/base/ids.js"
import { KIB, MIB } from "@hayloft/base/limits.js"
import type { HotCopyTerms } from "@hayloft/engine/block/index.js"
import type { StoreDays } from "@hayloft/objects/index.js"
import { InlineCompute } from "@hayloft/base/seams/compute/index.js"
import { CheckpointsInTurn } from "./checkpoints.js"
import { ProcessFronts } from "./process-fronts.js"
import { SimMachine, type MachineOptions } from "./machine.js"
import { DEFAULT_BLOCK_BYTES, settingsFor } from "./settings.js"

export interface WorldOptions extends MachineOptions {
  readonly blockBytes?: number
  /** Days may be short. */
  readonly days?: StoreDays
  readonly hotCopies?: HotCopyTerms | undefined
  /** Each process reserves incarnations for front threads. */
  readonly hasFronts?: boolean
}

const READY: HealthReport = { ready: true, reasons: [] }

export class World extends SimMachine {
  /** The control record in effect. */
  private record: ControlRecord
  private running: Promise<unknown>[] = []
  private processFronts: ProcessFronts | undefined

  constructor(private readonly options: WorldOptions) {
    super(options)
    this.record = firstRecordOf(options.devices, options.blockBytes ?? DEFAULT_BLOCK_BYTES)
  }

  /** Opens the store in a new process; its background work runs until `kill`, `crash` or `stop`. */
  async start(): Promise<Engine> {
    const { number, clock, disk, stores, random, signal, watch } = this.begin()
    const { telemetry, options } = this
    const { days, hotCopies } = options
    const incarnation = parseIncarnation(options.hasFronts ? number * (1 + FRONT_INCARNATIONS) : number)
    const fronts = options.hasFronts
      ? new Fronts(clock, new ReservedNumbers(incarnation, FRONT_INCARNATIONS))
      : undefined
    const settings = settingsFor(this.record, incarnation)
    const compute = new InlineCompute(makeCodec, { slabBytes: 512 * KIB, poolBytes: 8 * MIB })
    const queued = () => queuedDisk(disk, clock, CALL_LIMITS, watch, () => undefined)
    const checkpoints = new CheckpointsInTurn(new CheckpointExecutor(queued, stores, random.fork("checkpoints")))
    const engine = await openEngine(
      { clock, random, diskOf: () => disk, stores, compute, telemetry, checkpoints },
      { ...settings, days, hotCopies, fronts },
    )
    engine.recordManager.onChange(record => void (this.record = record))
    this.record = engine.recordManager.record
    this.running = engine.backgroundServices.map(service => service.run(signal).catch(() => undefined))
    const { masterKeys, root } = settings
    fronts?.serve({
      engine,
      status: { health: () => READY, liveness: () => READY },
      masterKeys,
      root,
      nodes: () => undefined,
    })
    const { blockBytes } = this.record
    this.processFronts =
      fronts && new ProcessFronts(fronts, { clock, disk, random, signal }, { blockBytes, days, telemetry })
    return engine
  }

  /** The fronts of the process that runs. */
  get fronts(): ProcessFronts {
    return must(this.processFronts, "the process has fronts")
  }

  /** Ends the process cleanly. */
  stop(engine: Engine): Promise<void> {
    return this.endWith(this.running, async () => {
      await this.processFronts?.stop()
      await engine.stop()
    })
  }
}
