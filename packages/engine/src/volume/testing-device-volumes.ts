/** For tests: a device with volumes of needles that end, over several process incarnations, with its checkpoints. */
import { must } from "@hayloft/base/assert.js"
import type { CheckpointSource } from "../device/contract.js"
import type { StepOutcome } from "@hayloft/base/life/contract.js"
import { NEVER } from "@hayloft/base/never.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { SimDisk } from "@hayloft/base/seams/disk/index.js"
import { VolumeScanSource, VOLUMES_SOURCE } from "./checkpoint-source.js"
import type { NeedleId } from "./contract.js"
import { DeviceCompaction } from "./device-compaction.js"
import { DeviceScrub } from "./device-scrub.js"
import { DeviceVolumes, type DurableVolumes } from "./device-volumes.js"
import { endsByOf, EXPIRING_CLASSES, type ExpiringClass } from "./expiring-core.js"
import { ExpiringRows, ExpiringSource, sourceNameOf } from "./expiring-rows.js"
import type { CompactionLimits, VolumeLimits } from "./limits.js"
import { COMPACTION_FOR_TESTS, MapRows, volumeDirectory } from "./testing-volumes.js"
import { openVolumes } from "./volumes.js"

export const folderOfClass = (ends: ExpiringClass | undefined): string =>
  ends === undefined ? "/device/volumes" : `/device/volumes-${ends.name}`
const nameOf = (ends: ExpiringClass | undefined): string => (ends === undefined ? VOLUMES_SOURCE : sourceNameOf(ends))

interface Opened {
  readonly rows: MapRows
  readonly volumes: DeviceVolumes
  readonly compaction: DeviceCompaction
  readonly scrub: DeviceScrub
}

/** The rows and marks that a checkpoint has written. */
interface Base {
  readonly rows: MapRows
  readonly marks: ReadonlyMap<string, Uint8Array>
}

const copyOf = (rows: MapRows): MapRows => {
  const copy = new MapRows()
  for (const [key, row] of rows.rows) copy.rows.set(key, row)
  return copy
}

export class EndingDevice {
  readonly sim = new SimDisk()
  base: Base = { rows: new MapRows(), marks: new Map() }
  number = 0
  nowMs = 1_700_000_000_000
  /** How often earlier releases were to be refused. */
  refusals = 0
  readonly space = { copySpaceBytes: Infinity, isFull: false, isShort: false }
  placesApart = true
  readonly damaged: NeedleId[] = []
  private opened: Opened | undefined

  constructor(
    private readonly limits: VolumeLimits,
    private readonly compactionLimits: CompactionLimits = COMPACTION_FOR_TESTS,
  ) {}

  get volumes(): DeviceVolumes {
    return must(this.opened, "the device was started").volumes
  }

  get rows(): MapRows {
    return must(this.opened, "the device was started").rows
  }

  get compaction(): DeviceCompaction {
    return must(this.opened, "the device was started").compaction
  }

  get scrub(): DeviceScrub {
    return must(this.opened, "the device was started").scrub
  }

  /** Begins the next incarnation, from the state of the last checkpoint. */
  async start(): Promise<this> {
    this.number += 1
    const rows = copyOf(this.base.rows)
    const disk = this.sim.boot()
    const existing: ExpiringClass[] = []
    for (const ends of EXPIRING_CLASSES) {
      if (this.base.marks.has(nameOf(ends)) || (await disk.exists(folderOfClass(ends)))) existing.push(ends)
    }
    const clock: Clock = {
      wallMs: () => this.nowMs,
      monotonicMs: () => this.nowMs,
      sleep: () => Promise.resolve(),
      alarm: () => () => undefined,
      atEndOfTurn: () => undefined,
    }
    const volumes = await DeviceVolumes.open({
      wallMs: () => this.nowMs,
      open: (ends, mayAppend, began) => {
        const directory = volumeDirectory(this.number, folderOfClass(ends))
        const mark = this.base.marks.get(nameOf(ends))
        const options = { limits: this.limits, mayAppend }
        if (ends === undefined) return openVolumes(disk, rows, directory, mark, options)
        const endsByMs = (): number => {
          began()
          return endsByOf(ends, this.nowMs)
        }
        return openVolumes(disk, new ExpiringRows(rows, ends), { ...directory, endsByMs }, mark, options)
      },
      existing,
      refuseEarlier: () => {
        this.refusals += 1
        return Promise.resolve()
      },
      placesApart: () => this.placesApart,
      mayAppend: () => true,
    })
    const onDamage = (id: NeedleId): void => void this.damaged.push(id)
    const { compactionLimits: limits, space } = this
    const compaction = new DeviceCompaction({ name: "compaction", volumes, clock, onDamage, limits, space })
    this.opened = { rows, volumes, compaction, scrub: new DeviceScrub(volumes, undefined, onDamage) }
    return this
  }

  async stop(): Promise<void> {
    await this.volumes.close()
  }

  private sourcesOf({ ordinary, expiring }: DurableVolumes): readonly CheckpointSource[] {
    const scanOf = (ends: ExpiringClass | undefined, upTo: DurableVolumes["ordinary"]) =>
      new VolumeScanSource(this.sim.boot(), volumeDirectory(this.number, folderOfClass(ends)), upTo)
    const ofClasses = EXPIRING_CLASSES.flatMap(ends => {
      const found = expiring.find(({ number }) => number === ends.number)
      return found === undefined ? [] : [new ExpiringSource(scanOf(ends, found.upTo), ends)]
    })
    return [scanOf(undefined, ordinary), ...ofClasses]
  }

  /** Runs a checkpoint like the wiring: the positions durable at its beginning are contained at its end. */
  async checkpoint(): Promise<void> {
    const upTo = this.volumes.durable()
    const rows = copyOf(this.base.rows)
    const marks = new Map(this.base.marks)
    for (const source of this.sourcesOf(upTo)) {
      for await (const write of source.collect(marks.get(source.name))) rows.apply([write])
      marks.set(source.name, source.markAfter())
    }
    this.base = { rows, marks }
    this.volumes.contained(upTo)
  }

  step(): Promise<StepOutcome> {
    return this.compaction.step(NEVER)
  }

  /** Waits for quiet, and runs compaction and checkpoints until they are idle. */
  async settle(stepsMax = 5000): Promise<void> {
    let idle = 0
    for (let steps = 1; idle <= 3; steps += 1) {
      if (steps > stepsMax) throw new Error(`compaction finds no end: ${this.compaction.progress()}`)
      const outcome = await this.step()
      idle = outcome === "busy" ? 0 : idle + 1
      if (outcome === "busy") continue
      await this.checkpoint()
      this.nowMs += this.compactionLimits.quietMs
    }
  }

  /** The index that a scan of all volumes returns. */
  async rebuilt(): Promise<MapRows> {
    const rows = new MapRows()
    for (const source of this.sourcesOf(this.volumes.durable())) {
      for await (const write of source.collect(undefined)) rows.apply([write])
    }
    return rows
  }

  /** Volume files by class; "" for the ordinary ones. */
  filesOf(ends?: ExpiringClass): readonly string[] {
    return this.sim.medium.namesIn(folderOfClass(ends))
  }
}
