/** For tests: rows in a map, needles to order, and a world with one device in it. */
import assert from "node:assert/strict"
import { must } from "@hayloft/base/assert.js"
import type { Family } from "@hayloft/base/rows/families.js"
import type { RowKey } from "@hayloft/base/ids.js"
import {
  objectKeyOfText,
  parseBucketId,
  parseDeviceId,
  parseIncarnation,
  parseUploadId,
  rowKeyOf,
} from "@hayloft/base/ids.js"
import { KIB } from "@hayloft/base/limits.js"
import { visitRows, type RowVisitor } from "@hayloft/base/rows/row-scan.js"
import { subBlockChecksums } from "@hayloft/base/simd/sub-block.js"
import type { AppliedWrite, DeviceRow, DeviceRows } from "../device/contract.js"
import { needleSeed } from "../format/needles/needle.js"
import { partitionOf } from "../format/needles/partition.js"
import type { StepOutcome } from "@hayloft/base/life/contract.js"
import { NEVER } from "@hayloft/base/never.js"
import { SimDisk } from "@hayloft/base/seams/disk/index.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { VolumeScanSource } from "./checkpoint-source.js"
import { Compaction } from "./compaction.js"
import { COMPACTION_LIMITS, type CompactionLimits, type VolumeLimits } from "./limits.js"
import type { Needle, NeedleId } from "./contract.js"
import type { KeptVolumes } from "./upkeep.js"
import { openVolumes } from "./volumes.js"
import type { VolumeDirectory } from "./writer.js"

/** Rows of unlogged families, without a metadata store below. */
export class MapRows implements DeviceRows {
  readonly rows = new Map<string, DeviceRow>()
  /** Nothing has to be read first. */
  areWarm = false

  get(family: Family, key: RowKey): DeviceRow | undefined {
    return this.rows.get(`${family}/${key}`)
  }

  *range(family: Family, range: { start: RowKey; end: RowKey }): Iterable<readonly [RowKey, DeviceRow]> {
    const keys = [...this.rows.keys()].filter(key => key.startsWith(`${family}/`)).sort()
    for (const name of keys) {
      const key = rowKeyOf(name.slice(family.length + 1))
      if (key >= range.start && key < range.end) yield [key, must(this.rows.get(name), "listed a moment ago")]
    }
  }

  scan(family: Family, range: { start: RowKey; end: RowKey }, visitor: RowVisitor): void {
    visitRows(this.range(family, range), visitor)
  }

  warm(): Promise<void> | undefined {
    return this.areWarm ? undefined : Promise.resolve()
  }

  apply(writes: readonly AppliedWrite[]): void {
    for (const { family, key, value } of writes) {
      if (value === undefined) this.rows.delete(`${family}/${key}`)
      else this.rows.set(`${family}/${key}`, { value, payload: undefined })
    }
  }
}

export const volumeDirectory = (number: number, folder = "/device/volumes"): VolumeDirectory => ({
  folder,
  deviceId: parseDeviceId("00000000000000d1"),
  incarnation: parseIncarnation(number),
})

export function needleIdFor(number: number, change: Partial<NeedleId> = {}): NeedleId {
  const uploadId = parseUploadId(number.toString(16).padStart(32, "0"))
  const id = { uploadId, part: 0, block: 0, generation: 0, slot: 0, ...change }
  return { ...id, partition: partitionOf(id.uploadId, id.part, id.block) }
}

export function needleOf(id: NeedleId, body: Uint8Array): Needle {
  return {
    id,
    owner: { bucketId: parseBucketId(1), key: objectKeyOfText(`key of ${id.uploadId}`) },
    policy: { kind: "ec", k: 4, m: 2, matrix: "cauchy" },
    blockLengthBytes: body.length,
    recoveryHeader: undefined,
    body,
    checksums: subBlockChecksums(body, needleSeed(id)),
  }
}

export const needleFor = (number: number, lengthBytes: number, random: Random): Needle =>
  needleOf(needleIdFor(number), random.bytes(lengthBytes))

const copyOf = (rows: MapRows): MapRows => {
  const copy = new MapRows()
  for (const [key, row] of rows.rows) copy.rows.set(key, row)
  return copy
}

export const COMPACTION_FOR_TESTS: CompactionLimits = {
  ...COMPACTION_LIMITS,
  deadBytesMin: 12 * KIB,
  copyBytes: 24 * KIB,
  stepNeedlesMax: 40,
  stepRowsMax: 7,
  quietMs: 1_000,
}

/**
 * One device over several process incarnations, with a metadata store that checkpoints write, and compaction run in
 * steps.
 */
export class CompactedDevice {
  readonly sim = new SimDisk()
  base = new MapRows()
  mark: Uint8Array | undefined
  number = 0
  nowMs = 0
  readonly damaged: NeedleId[] = []
  hasSpace = true
  private opened: { rows: MapRows; volumes: KeptVolumes; compaction: Compaction } | undefined

  constructor(
    private readonly limits: VolumeLimits,
    private readonly compactionLimits = COMPACTION_FOR_TESTS,
  ) {}

  get volumes(): KeptVolumes {
    return must(this.opened, "the device was started").volumes
  }

  get rows(): MapRows {
    return must(this.opened, "the device was started").rows
  }

  get compaction(): Compaction {
    return must(this.opened, "the device was started").compaction
  }

  /** Begins the next incarnation, from the state of the last checkpoint. */
  async start(): Promise<this> {
    this.number += 1
    const rows = copyOf(this.base)
    const { sim, mark, limits, number } = this
    const volumes = await openVolumes(sim.boot(), rows, volumeDirectory(number), mark, {
      limits,
      mayAppend: () => this.hasSpace,
    })
    const clock = {
      wallMs: () => 0,
      monotonicMs: () => this.nowMs,
      sleep: () => Promise.resolve(),
      alarm: () => () => undefined,
      atEndOfTurn: () => undefined,
    }
    const onDamage = (id: NeedleId): void => void this.damaged.push(id)
    const compaction = new Compaction("compaction", volumes.upkeep, clock, onDamage, this.compactionLimits)
    this.opened = { rows, volumes, compaction }
    return this
  }

  async stop(): Promise<void> {
    await this.volumes.close()
  }

  /** Runs a checkpoint like the wiring: the position durable at its beginning is contained at its end. */
  async checkpoint(): Promise<void> {
    const upTo = this.volumes.durable()
    const source = new VolumeScanSource(this.sim.boot(), volumeDirectory(this.number), upTo)
    const base = copyOf(this.base)
    for await (const write of source.collect(this.mark)) base.apply([write])
    this.base = base
    this.mark = source.markAfter()
    this.volumes.contained(upTo)
  }

  step(): Promise<StepOutcome> {
    return this.compaction.step(NEVER)
  }

  /** Waits for quiet, and runs compaction and checkpoints until they are idle; returns how many steps that took. */
  async settle(stepsMax = 5000): Promise<number> {
    let idle = 0
    for (let steps = 1; steps <= stepsMax; steps += 1) {
      const outcome = await this.step()
      if (outcome !== "busy") {
        await this.checkpoint()
        this.nowMs += this.compactionLimits.quietMs
        idle += 1
      } else idle = 0
      if (idle > 3) return steps
    }
    return assert.fail(`compaction finds no end: ${this.compaction.progress()}`)
  }

  /** The index that a scan of all volumes returns. */
  async rebuilt(): Promise<MapRows> {
    const rows = new MapRows()
    const source = new VolumeScanSource(this.sim.boot(), volumeDirectory(this.number), this.volumes.durable())
    for await (const write of source.collect(undefined)) rows.apply([write])
    return rows
  }

  get usedBytes(): number {
    return this.sim.medium.usedBytes
  }
}
