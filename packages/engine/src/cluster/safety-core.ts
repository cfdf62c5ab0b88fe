/**
 * How safe a store is: which disks may fail now without losing a byte, which may not, and why. Pure.
 *
 * A group is a set of copies with a shared fate: the shards of a block, of which `k` must remain, or the copies of
 * the metadata, of which one must remain. Devices on one file system are one disk, and fail together; so do the devices
 * of a machine, and those of a zone, if the devices have homes. r disks can lose a group if the r disks that hold most of its shards hold more than it can spare; the store
 * survives what its weakest group survives.
 *
 * Assumes    an `active` device has all that the layout assigns to it, except in partitions that it is known
 *            to lack; a `rebuilding` one has nothing, except in partitions that it is known to have; an
 *            `offline` or unknown one has nothing. While shards move between
 *            layouts, an older shard is where the current layout places it if that device
 *            held the slot before or is known to have the partition, else where the previous layout
 *            placed it; a newer one is at its current place.
 * Groups placed in any other way (written while devices were offline, lacking single shards) are passed in as
 * misplaced groups, one for each set of devices, with their bytes.
 */
import { equalBytes } from "@hayloft/base/bytes.js"
import type { DeviceId } from "@hayloft/base/ids.js"
import { shardCount, shardsNeeded, type Policy } from "@hayloft/base/policy.js"
import type { ControlDeviceState } from "../format/device/control-record.js"
import type { Layout } from "../placement/index.js"
import { BlocksEvaluator, Findings, Group, ownDisks, UNTOUCHED } from "./safety-blocks-core.js"
import { domainsAsDisks } from "./safety-blocks-core.js"
import type { BlockPlaces, PlacementShape, Survival } from "./safety-blocks-core.js"
import { hasShard, partitionsOf, type PlacedDevice } from "./slot-words-core.js"
import { namedDomains, type DomainLevelName, type DomainSafety, type NamedLevel } from "./safety-domains-core.js"

export const RISKIEST_MAX = 16

export interface SafetyDevice {
  readonly id: DeviceId
  readonly state: ControlDeviceState
  /** The file system: equal for devices that fail together. Undefined if unknown because the device is offline. */
  readonly disk: string | undefined
  /** If the device has a home: names are unique within the next wider domain. Devices without a zone share one. */
  readonly zone?: string
  readonly machine?: string
}

/** A policy that stored blocks have, or that new ones are written under. */
export interface StoragePolicyUse {
  readonly policy: Policy
  /** Bytes of objects, not of shards; without those of misplaced groups. */
  readonly bytes: number
  /** Its blocks are being re-encoded: it does not count for what the store survives when complete. */
  readonly isDecommissioning: boolean
  /**
   * No block of it was written before the current layout. Always so for a policy that needs more shards than
   * the previous layout has slots.
   */
  readonly isNew?: boolean
}

/** Blocks of one partition whose shards are on exactly these devices; if there are none, they cannot be read. */
export interface MisplacedGroup {
  readonly partition: number
  /** Shards that a read needs. */
  readonly needed: number
  readonly devices: readonly DeviceId[]
  readonly bytes: number
}

interface SafetyMetadata {
  /** Devices that hold all metadata. */
  readonly replicas: readonly DeviceId[]
  /** Devices that are becoming replicas. */
  readonly learners: readonly DeviceId[]
  /** How many devices should hold metadata. */
  readonly copiesWanted: number
}

export interface SafetyInput {
  readonly devices: readonly SafetyDevice[]
  readonly layout: Layout
  /** While shards move from it to `layout`. */
  readonly previousLayout: Layout | undefined
  readonly policies: readonly StoragePolicyUse[]
  /** It is undefined if the metadata is in a database, and no disk matters to it. */
  readonly metadata: SafetyMetadata | undefined
  /**
   * By device, a byte for each partition: not 0 if it may lack shards that a layout assigns to it.
   * If absent, a `rebuilding` device lacks everything, any other device nothing.
   */
  readonly lacking: ReadonlyMap<DeviceId, Uint8Array>
  readonly misplacedGroups: readonly MisplacedGroup[]
}

/** Bytes of blocks (before coding) that survive the loss of any `losses` more disks; -1: not readable now. */
interface SafetyLevel {
  readonly losses: number
  readonly bytes: number
}

interface RiskyPartition {
  readonly partition: number
  /** Disks that may fail; -1 if some of it is not readable now. */
  readonly losses: number
  /** Devices of the current layout that lack some of its shards. */
  readonly lacking: readonly DeviceId[]
}

interface Losses {
  /** How many arbitrary disks may fail without a loss; -1 if something is not readable now. */
  readonly disks: number
  /** The same, if each device were a separate disk. */
  readonly devices: number
}

export interface Safety {
  readonly devices: number
  /** Devices that are offline. */
  readonly offline: number
  /** Disks of devices that are online; an offline folder does not count. */
  readonly disks: number
  readonly now: Losses
  /** Once every device is back or replaced and has all that the layout assigns to it. */
  readonly whole: Losses
  /** How many disks may be missing at an unattended start, which needs more than half of the online devices. */
  readonly opensWithout: number
  /** The part that limits `now`: metadata or blocks. */
  readonly weakest: "metadata" | "blocks"
  /** Devices on a disk that must not fail now: its loss alone loses something. */
  readonly critical: readonly DeviceId[]
  /** It is absent if no device has a home. */
  readonly machines?: DomainSafety
  /** It is absent if no zone is named. */
  readonly zones?: DomainSafety
  /** Ascending, without duplicates, only levels with bytes. */
  readonly levels: readonly SafetyLevel[]
  /** The partitions that lack something, lowest first, then by number; at most `RISKIEST_MAX`. */
  readonly riskiest: readonly RiskyPartition[]
  readonly causes: SafetyCauses
}

/** The reasons why the store is not complete; all empty, false and 0 if it is. */
export interface SafetyCauses {
  /** No scan of the blocks has finished yet: their placement is an assumption. */
  readonly isUnseen: boolean
  readonly offline: readonly DeviceId[]
  readonly rebuilding: readonly DeviceId[]
  /** Devices that are neither offline nor rebuilding, but lack shards. */
  readonly lacking: readonly DeviceId[]
  readonly isMoving: boolean
  /** Bytes of blocks that are not where the layout places them. */
  readonly misplacedBytes: number
  /** Bytes of blocks that cannot be read. */
  readonly lostBytes: number
  /** Bytes of blocks under a policy that is being replaced. */
  readonly decommissioningBytes: number
  readonly metadataCopiesMissing: number
}

interface PolicyShape extends PlacementShape {
  readonly policy: Policy
  readonly bytes: number
}

/** The evaluation of all groups, with devices that share a disk taken together or apart. */
class Evaluation {
  private readonly now: Findings
  /** By losses + 1. */
  private readonly bytesAt: number[] = []
  private readonly byId: ReadonlyMap<DeviceId, PlacedDevice>
  private readonly group: Group
  private readonly lowest: Uint8Array
  private readonly lacks: Uint8Array
  readonly ofBlocks: number
  readonly ofMetadata: number
  readonly whole: number

  constructor(
    input: SafetyInput,
    private readonly places: BlockPlaces,
    shapes: readonly PolicyShape[],
    survival: Survival,
    lacks: Uint8Array,
  ) {
    const { misplacedGroups, devices, metadata } = input
    this.byId = new Map(places.devices.map(device => [device.id, device]))
    this.group = new Group(places.disks, places.devices.length)
    this.now = new Findings(places.disks)
    this.now.losses = survival.losses
    this.now.critical.addAll(survival.critical)
    // The evaluator caches the survival, so it must not be changed.
    const isMisplaced = misplacedGroups.length > 0
    this.lowest = isMisplaced ? survival.lowest.slice() : survival.lowest
    this.lacks = isMisplaced ? lacks.slice() : lacks
    shapes.forEach(({ bytes }, i) => {
      survival.partitionsAt[i]?.forEach((count, at) => this.addBytes(at, (bytes * count) / this.lowest.length))
    })
    this.misplaced(misplacedGroups)
    this.ofBlocks = this.now.losses
    this.ofMetadata = metadata ? this.now.take(this.groupOf(metadata.replicas, isHere), 1) : Infinity
    const everywhere = metadata && this.groupOf(holdersWhenWhole(devices, metadata), () => true)
    this.whole = Math.min(survival.whenWhole, everywhere?.losses(1) ?? Infinity)
  }

  /** Counts blocks that are not where the layouts place them. */
  private misplaced(misplacedGroups: readonly MisplacedGroup[]): void {
    for (const { partition, needed, devices, bytes } of misplacedGroups) {
      const level = this.now.take(this.groupOf(devices, isHere), needed) + 1
      this.addBytes(level, bytes)
      this.lowest[partition] = Math.min(this.lowest[partition] ?? 0, level)
      this.lacks[partition] = 1
    }
  }

  private addBytes(level: number, bytes: number): void {
    this.bytesAt[level] = (this.bytesAt[level] ?? 0) + bytes
  }

  /** The group with one shard on each device that counts. */
  private groupOf(ids: readonly DeviceId[], counts: (device: PlacedDevice) => boolean): Group {
    const disks = ids.flatMap(id => {
      const device = this.byId.get(id)
      return device !== undefined && counts(device) ? [device.disk] : []
    })
    return this.group.set(Uint16Array.from(disks))
  }

  private lackingIn(partition: number): DeviceId[] {
    const { layout } = this.places
    const lacks = (id: DeviceId): boolean => {
      const device = this.byId.get(id)
      return device === undefined || !hasShard(device, partition)
    }
    const indexes = layout.table.subarray(partition * layout.width, (partition + 1) * layout.width)
    return Array.from(indexes)
      .flatMap(index => layout.devices[index] ?? [])
      .filter(lacks)
  }

  riskiest(): readonly RiskyPartition[] {
    const { lowest, lacks } = this
    const atLevel = Array.from({ length: UNTOUCHED }, (): number[] => [])
    for (let partition = 0; partition < lacks.length; partition += 1) {
      if (lacks[partition] !== 1) continue
      const found = atLevel[lowest[partition] ?? UNTOUCHED]
      if (found !== undefined && found.length < RISKIEST_MAX) found.push(partition)
    }
    return atLevel
      .flatMap((partitions, level) => partitions.map(partition => ({ partition, losses: level - 1 })))
      .slice(0, RISKIEST_MAX)
      .map(risky => ({ ...risky, lacking: this.lackingIn(risky.partition) }))
  }

  levels(): readonly SafetyLevel[] {
    return this.bytesAt.flatMap((bytes, at) => (bytes > 0 ? [{ losses: at - 1, bytes: Math.round(bytes) }] : []))
  }

  opensWithout(): number {
    const group = this.groupOf(
      this.places.devices.map(({ id }) => id),
      isHere,
    )
    return Math.max(0, group.losses(Math.floor(group.shards / 2) + 1))
  }

  /** The numbers of the disks that must not fail. */
  criticalDisks(): readonly number[] {
    return Array.from({ length: this.places.disks }, (_, disk) => disk).filter(disk => this.now.critical.has(disk))
  }

  critical(): readonly DeviceId[] {
    const critical = this.places.devices.filter(({ disk, isHere }) => isHere && this.now.critical.has(disk))
    return critical.map(({ id }) => id)
  }
}

/** In ascending order of slots. */
function shapesOf({ policies, layout: { width }, previousLayout }: SafetyInput): readonly PolicyShape[] {
  const shapes = policies.map(({ policy, bytes, isNew, isDecommissioning }) => ({
    slots: Math.min(shardCount(policy), width),
    needed: shardsNeeded(policy),
    isNew: previousLayout !== undefined && (isNew === true || previousLayout.width < shardsNeeded(policy)),
    isStaying: !isDecommissioning,
    policy,
    bytes,
  }))
  return shapes.sort((a, b) => a.slots - b.slots)
}

const isHere = (device: PlacedDevice): boolean => device.isHere

function placesOf(
  { layout, previousLayout, devices, lacking }: SafetyInput,
  levels: readonly NamedLevel[],
): BlockPlaces {
  const diskNames = diskNamesOf(devices)
  const numbers = new Map([...new Set(diskNames)].map((name, number) => [name, number]))
  const nothing = new Uint8Array(partitionsOf(layout))
  const lacksOf = ({ id, state }: SafetyDevice): PlacedDevice["lacks"] => {
    const flags = lacking.get(id)
    if (state === "offline" || (state === "rebuilding" && flags === undefined)) return "everything"
    return flags === undefined || equalBytes(flags, nothing) ? "nothing" : flags
  }
  return {
    layout,
    previousLayout,
    devices: devices.map((device, at) => ({
      id: device.id,
      disk: numbers.get(diskNames[at] ?? "") ?? 0,
      isHere: device.state !== "offline",
      isKnown: lacking.has(device.id),
      lacks: lacksOf(device),
    })),
    disks: numbers.size,
    levels,
  }
}

/**
 * By device. A home names the disk, or the device has one of its own. Without a home, the disk of an offline device may
 * be unknown. If other devices share disks, the device is assumed to be on the disk with the most of them, the worst
 * case; else on a disk of its own.
 */
function diskNamesOf(devices: readonly SafetyDevice[]): readonly string[] {
  const devicesOn = new Map<string, number>()
  for (const { disk, machine } of devices) {
    if (disk !== undefined && machine === undefined) devicesOn.set(disk, (devicesOn.get(disk) ?? 0) + 1)
  }
  const [fullest] = [...devicesOn].filter(([, count]) => count > 1).sort(([, a], [, b]) => b - a)
  return devices.map(({ id, disk, zone = "", machine }) => {
    if (machine !== undefined) return `${zone}/${machine}/${disk ?? `of ${id}`}`
    return disk ?? fullest?.[0] ?? `of ${id}`
  })
}

/** The devices that hold metadata, and those that would join them to reach the wanted number. */
function holdersWhenWhole(devices: readonly SafetyDevice[], metadata: SafetyMetadata): readonly DeviceId[] {
  const holders = [...metadata.replicas, ...metadata.learners]
  const mayJoin = ({ state }: SafetyDevice) => state !== "draining" && state !== "decommissioning"
  const others = devices.filter(device => mayJoin(device) && !holders.includes(device.id)).map(({ id }) => id)
  return [...holders, ...others.slice(0, Math.max(0, metadata.copiesWanted - holders.length))]
}

function causesOf(input: SafetyInput, places: BlockPlaces): SafetyCauses {
  const { devices, previousLayout, policies, metadata, misplacedGroups } = input
  const idsOf = (is: (state: SafetyDevice["state"], at: number) => boolean) =>
    devices.filter(({ state }, at) => is(state, at)).map(({ id }) => id)
  const isComplete = (at: number) => places.devices[at]?.lacks === "nothing"
  const here = new Set(places.devices.filter(isHere).map(({ id }) => id))
  const holding = metadata?.replicas.filter(id => here.has(id)).length ?? 0
  return {
    isUnseen: false,
    offline: idsOf(state => state === "offline"),
    rebuilding: idsOf(state => state === "rebuilding"),
    lacking: idsOf((state, at) => state !== "offline" && state !== "rebuilding" && !isComplete(at)),
    isMoving: previousLayout !== undefined,
    misplacedBytes: bytesOf(misplacedGroups.filter(({ devices }) => devices.length > 0)),
    lostBytes: bytesOf(misplacedGroups.filter(({ devices }) => devices.length === 0)),
    decommissioningBytes: policies.reduce(
      (sum, { bytes, isDecommissioning }) => sum + (isDecommissioning ? bytes : 0),
      0,
    ),
    metadataCopiesMissing: Math.max(0, Math.min(metadata?.copiesWanted ?? 0, devices.length) - holding),
  }
}

const bytesOf = (groups: readonly MisplacedGroup[]): number => groups.reduce((sum, { bytes }) => sum + bytes, 0)

function domainSafety(
  { names }: NamedLevel,
  evaluation: Evaluation,
  shapes: readonly PolicyShape[],
  mostTogether: readonly number[],
): DomainSafety {
  const { ofBlocks, ofMetadata, whole } = evaluation
  const [worst] = shapes
    .map(({ policy, slots, needed, isStaying }, i) => {
      return { policy, shards: mostTogether[i] ?? 0, spare: slots - needed, isStaying }
    })
    .filter(({ isStaying, shards, spare }) => isStaying && shards > spare)
    .sort((a, b) => b.shards - b.spare - (a.shards - a.spare))
  return {
    count: names.length,
    now: Math.min(ofBlocks, ofMetadata),
    whole,
    critical: evaluation.criticalDisks().map(number => names[number] ?? ""),
    ...(worst === undefined ? {} : { crowded: { policy: worst.policy, shards: worst.shards, spare: worst.spare } }),
  }
}

/**
 * Evaluates a store repeatedly: it walks the partitions only if more than bytes, misplaced groups and metadata replicas
 * changed since the last call. A walk takes a few milliseconds of CPU; with 1,000 devices that have homes, up to 0.2 s.
 */
export class SafetyEvaluator {
  private readonly blocks = new BlocksEvaluator()

  evaluate(input: SafetyInput): Safety {
    const domains = namedDomains(input.devices)
    const [places, shapes] = [placesOf(input, domains), shapesOf(input)]
    const { together, apart, levels, lacks } = this.blocks.evaluate(places, shapes)
    const evaluation = new Evaluation(input, places, shapes, together, lacks)
    const single = apart === together ? evaluation : new Evaluation(input, ownDisks(places), shapes, apart, lacks)
    const byLevel = domains.flatMap((level, i): [DomainLevelName, DomainSafety][] => {
      const survived = levels[i]
      if (survived === undefined) return []
      const ofLevel = new Evaluation(input, domainsAsDisks(places, level), shapes, survived.survival, lacks)
      return [[level.name, domainSafety(level, ofLevel, shapes, survived.mostTogether)]]
    })
    const online = places.devices.filter(isHere).map(({ disk }) => disk)
    return {
      devices: input.devices.length,
      offline: input.devices.length - online.length,
      disks: new Set(online).size,
      now: {
        disks: Math.min(evaluation.ofBlocks, evaluation.ofMetadata),
        devices: Math.min(single.ofBlocks, single.ofMetadata),
      },
      whole: { disks: evaluation.whole, devices: single.whole },
      // A store with homes has its configuration in a database: no device votes.
      opensWithout: domains.length === 0 ? evaluation.opensWithout() : new Set(online).size,
      weakest: evaluation.ofMetadata < evaluation.ofBlocks ? "metadata" : "blocks",
      critical: evaluation.critical(),
      ...Object.fromEntries(byLevel),
      levels: evaluation.levels(),
      riskiest: evaluation.riskiest(),
      causes: causesOf(input, places),
    }
  }
}

export const evaluateSafety = (input: SafetyInput): Safety => new SafetyEvaluator().evaluate(input)
