/**
 * Census: the location of all shards, partition by partition, as of the latest scan. In memory only: a full scan after
 * each start fills it.
 */
import type { DeviceId } from "@hayloft/base/ids.js"
import { PARTITIONS } from "@hayloft/base/limits.js"
import { parsePolicy, textOfPolicy, type Policy } from "@hayloft/base/policy.js"
import type { RepairCount } from "@hayloft/engine/format/nodes/repair-calls.js"
import type { MisplacedBlocks, ShardScanReport } from "./repair-contract.js"

/** Groups of misplaced blocks, about two for each partition. The report says if it omits further ones. */
export const MISPLACED_GROUPS_MAX = 2 * PARTITIONS

const NONE_MISPLACED: RepairCount["misplaced"] = new Map()

type CensusReport = Omit<ShardScanReport, "beganMs" | "hasScanned">

/** The sums of one scanned partition. */
export class PartitionCount implements RepairCount {
  readonly bytesByPolicy = new Map<string, number>()
  readonly misplaced = new Map<string, MisplacedBlocks>()
  readonly lackingOn = new Set<DeviceId>()
  readonly perhapsLackingOn = new Set<DeviceId>()
  readonly unrebuildableOn = new Set<DeviceId>()
  singles = 0

  constructor(readonly partition: number) {}

  add(policy: Policy, bytes: number): void {
    const text = textOfPolicy(policy)
    this.bytesByPolicy.set(text, (this.bytesByPolicy.get(text) ?? 0) + bytes)
    if (text === "replica:1") this.singles += 1
  }

  addMisplaced(needed: number, holders: readonly DeviceId[], bytes: number): void {
    const devices = [...holders].sort()
    const name = `${needed} ${devices.join(" ")}`
    const before = this.misplaced.get(name)?.bytes ?? 0
    this.misplaced.set(name, { partition: this.partition, needed, devices, bytes: before + bytes })
  }
}

/** Returns true if the device certainly lacks nothing. */
export const isWholeOn = ({ lackingOn, perhapsLackingOn }: RepairCount, device: DeviceId): boolean =>
  !lackingOn.has(device) && !perhapsLackingOn.has(device)

export class Census {
  private version = 0
  private readonly bytesByPolicy = new Map<string, Float64Array>()
  private readonly singles = new Uint32Array(PARTITIONS)
  private readonly misplaced = new Map<number, readonly MisplacedBlocks[]>()
  private misplacedGroups = 0
  /** Partitions whose misplaced blocks exceed `MISPLACED_GROUPS_MAX`. */
  private readonly omitted = new Set<number>()
  private readonly lacking = new Map<DeviceId, Uint8Array>()
  private readonly doubtful = new Map<number, ReadonlySet<DeviceId>>()
  private report: CensusReport | undefined

  /** Replaces the count of the partition. */
  set(count: RepairCount): void {
    const { partition } = count
    for (const [text, bytes] of this.bytesByPolicy) bytes[partition] = count.bytesByPolicy.get(text) ?? 0
    for (const [text, bytes] of count.bytesByPolicy) {
      if (this.bytesByPolicy.has(text)) continue
      const fresh = new Float64Array(PARTITIONS)
      fresh[partition] = bytes
      this.bytesByPolicy.set(text, fresh)
    }
    this.singles[partition] = count.singles
    this.setMisplaced(count)
    for (const [device, flags] of this.lacking) flags[partition] = count.lackingOn.has(device) ? 1 : 0
    for (const device of count.lackingOn) this.flagsOf(device)[partition] = 1
    this.doubtful.delete(partition)
    if (count.perhapsLackingOn.size > 0) this.doubtful.set(partition, count.perhapsLackingOn)
    this.changed()
  }

  /** The partitions from `first` up to `end`, without it, have no blocks. */
  clear(first: number, end: number): void {
    if (first >= end) return
    for (const bytes of this.bytesByPolicy.values()) bytes.fill(0, first, end)
    this.singles.fill(0, first, end)
    for (const flags of this.lacking.values()) flags.fill(0, first, end)
    for (let partition = first; partition < end; partition += 1) {
      this.setMisplaced({ partition, misplaced: NONE_MISPLACED })
      this.doubtful.delete(partition)
    }
    this.changed()
  }

  private setMisplaced({ partition, misplaced }: Pick<RepairCount, "partition" | "misplaced">): void {
    this.misplacedGroups -= this.misplaced.get(partition)?.length ?? 0
    this.misplaced.delete(partition)
    this.omitted.delete(partition)
    if (misplaced.size === 0) return
    if (this.misplacedGroups + misplaced.size > MISPLACED_GROUPS_MAX) {
      this.omitted.add(partition)
      return
    }
    this.misplaced.set(partition, [...misplaced.values()])
    this.misplacedGroups += misplaced.size
  }

  /** The device may lack shards of the partition. */
  lacks(device: DeviceId, partition: number): void {
    this.flagsOf(device)[partition] = 1
    this.changed()
  }

  /** The device may lack anything until it is scanned. */
  lacksAll(device: DeviceId): void {
    this.flagsOf(device).fill(1)
    this.changed()
  }

  /** Drops devices that no longer belong to the store. */
  keep(devices: ReadonlySet<DeviceId>): void {
    for (const device of this.lacking.keys()) if (!devices.has(device)) this.lacking.delete(device)
    this.changed()
  }

  /** Returns true if the device certainly lacks nothing: doubtful shards count as missing. */
  hasAll(device: DeviceId): boolean {
    for (const devices of this.doubtful.values()) if (devices.has(device)) return false
    return !(this.lacking.get(device)?.includes(1) ?? false)
  }

  private flagsOf(device: DeviceId): Uint8Array {
    const flags = this.lacking.get(device) ?? new Uint8Array(PARTITIONS)
    this.lacking.set(device, flags)
    return flags
  }

  private changed(): void {
    this.version += 1
    this.report = undefined
  }

  /** The current report; the same object while nothing changes. Its arrays belong to the census. */
  current(isComplete: boolean): CensusReport {
    if (this.report?.isComplete === isComplete) return this.report
    const policies = [...this.bytesByPolicy].flatMap(([text, of]) => {
      const bytes = of.reduce((sum, each) => sum + each, 0)
      return bytes > 0 ? [{ policy: parsePolicy(text), bytes }] : []
    })
    this.report = {
      version: this.version,
      isComplete,
      policies,
      lacking: this.lacking,
      misplacedBlocks: [...this.misplaced.values()].flat(),
      omitsMisplaced: this.omitted.size > 0,
      singleCopyBlocks: this.singles.reduce((sum, each) => sum + each, 0),
    }
    return this.report
  }
}
