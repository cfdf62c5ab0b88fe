/**
 * `hayloft/placement`: where the shards of a key go, and how durable a layout is (docs/guide/placement-library.md).
 *
 * The public types of packages/engine/src/placement/library.ts, as programs see them; a test has the compiler compare the two.
 */

export interface PlacementError extends Error {
  readonly code:
    | "invalidDevice"
    | "duplicateDevice"
    | "tooManyDevices"
    | "tooFewDevices"
    | "invalidWidth"
    | "invalidPolicy"
    | "invalidLayout"
    | "invalidKey"
    | "invalidPartition"
    | "invalidRequest"
}

export interface Device {
  /** A name that no other device has. */
  readonly id: string
  /** More than 0. The share of a device is in proportion to it. */
  readonly capacityBytes: number
  /** Devices of one zone, machine or disk fail together. A machine is one of its zone, and a disk of its machine. */
  readonly zone?: string | undefined
  readonly machine?: string | undefined
  readonly disk?: string | undefined
}

export interface SavedLayout {
  /** A whole number from 1. */
  readonly version: number
  readonly devices: readonly Device[]
  /** JSON does not keep it: `Buffer.from(table).toString("base64")` does. */
  readonly table: Uint8Array
}

export interface Movement {
  /** Slots that both layouts have, on another device. */
  readonly moved: number
  /** Slots that only the next, wider layout has. */
  readonly added: number
  /** Slots that only the former, wider layout had. */
  readonly dropped: number
  /** Moved slots as a fraction of those that both layouts have. */
  readonly share: number
  /** Slots by device, of every device of either layout. */
  readonly devices: ReadonlyMap<string, { readonly gained: number; readonly lost: number }>
}

/** A table of devices. It never changes; `next` makes another. Methods with a key throw `invalidKey` for other values. */
export interface Layout {
  /** 1 of a first layout, and one more with each `next`. */
  readonly version: number
  /** The shards of each key. */
  readonly width: number
  /** Copies of those that it was made with, frozen. */
  readonly devices: readonly Device[]
  /** 0 to 65,535. */
  partitionOf(key: string | Uint8Array): number
  /** The devices of shard 0, 1, 2 … of the key, each another one. */
  devicesOf(key: string | Uint8Array): string[]
  /** The same for the keys of a partition, 0 to 65,535; throws `invalidPartition`. */
  devicesOfPartition(partition: number): string[]
  /** How many slots each device has, of 65,536 times the width. */
  slots(): Map<string, number>
  /** The layout for other devices: as few shards as possible move. Throws as `planLayout` does. */
  next(devices: readonly Device[], options?: { readonly width?: number | undefined }): Layout
  movementTo(next: Layout): Movement
  /** Returns true if shards are spread over zones, machines and disks as evenly as the devices allow. */
  isSpreadEvenly(): boolean
  /** The most shards of any key that are in one zone, in one machine or on one disk. */
  mostTogether(domain: "zone" | "machine" | "disk"): number
  /** Bytes that fit before the first device is full; a policy is `replica:3` or `ec:4+2`. Throws `invalidPolicy`. */
  usableBytes(policy: string): number
  /** Returns what `openLayout` takes. */
  save(): SavedLayout
}

/**
 * A first layout, in which each key has `width` shards, 1 to 32. Throws `invalidWidth`, `tooFewDevices`,
 * `tooManyDevices`, `invalidDevice`, `duplicateDevice`.
 */
export function planLayout(devices: readonly Device[], options: { readonly width: number }): Layout

/** The layout that `save` has described. Throws `invalidLayout`, and what `planLayout` throws for devices. */
export function openLayout(saved: SavedLayout): Layout

/**
 * Each has a default; docs/design/durability.md explains each, and has the formulas. An assumption that is out of its
 * bounds is refused as `invalidRequest`, with the bounds in the message.
 */
export interface Assumptions {
  readonly annualFailureRate?: number | undefined
  readonly repairHours?: number | undefined
  readonly repairOrder?: "parallel" | "serial" | undefined
  readonly detectHours?: number | undefined
  readonly replaceHours?: number | undefined
  readonly diskBytesPerSecond?: number | undefined
  readonly networkBytesPerSecond?: number | undefined
  readonly repairShare?: number | undefined
  readonly unreadableBitRate?: number | undefined
  readonly fill?: number | undefined
  readonly metadataShare?: number | undefined
  readonly deviceAvailability?: number | undefined
  readonly zoneLossesPerYear?: number | undefined
  readonly zoneRepairHours?: number | undefined
  readonly objects?: number | undefined
  readonly objectBytes?: number | undefined
  readonly blockBytes?: number | undefined
  readonly headerBytes?: number | undefined
  readonly alignBytes?: number | undefined
}

export interface PolicyDurability {
  readonly policy: string
  readonly shards: number
  /** Shards that suffice. */
  readonly needed: number
  /** −log₁₀ of `annualLossChance`. */
  readonly nines: number
  /** The nines of one object. */
  readonly objectNines: number
  /** The chance that anything is lost in a year. */
  readonly annualLossChance: number
  readonly yearsToLoss: number
  readonly lostObjectsPerYear: number
  /** How many arbitrary zones, machines or devices may be lost. */
  readonly zonesTolerated: number
  readonly machinesTolerated: number
  readonly devicesTolerated: number
  /** Until a lost device is rebuilt, and the bytes that are read and written for it. */
  readonly rebuildHours: number
  readonly rebuildBytes: number
  /** Bytes on disk for each byte that is stored. */
  readonly storageFactor: number
  readonly usableBytes: number
  /** Shares of the time in which too few devices answer. */
  readonly readUnavailable: number
  readonly writeUnavailable: number
  /** The mean time to loss of one group of shards: by the formula, and by random runs with their standard error. */
  readonly groupYears: number
  readonly groupYearsByRuns: number
  readonly groupYearsError: number
}

/** A policy that these devices cannot have, with the reason. */
export interface ImpossiblePolicy {
  readonly policy: string
  readonly problem: string
}

/**
 * By policy, in their order. Policies are those of `hayloft simulate`: `replica:3`, `ec:4+2`, `garage`, `minio:12+4`.
 * Devices have 1 byte to 1e18. Throws `invalidRequest`.
 */
export function compareDurability(
  devices: readonly Pick<Device, "capacityBytes" | "zone" | "machine">[],
  policies: readonly string[],
  options?: {
    readonly assumptions?: Assumptions | undefined
    /** Cycles of the random runs: 10,000 if absent, 2 to 100,000. */
    readonly cycles?: number | undefined
    /** 1 if absent. */
    readonly seed?: number | undefined
  },
): (PolicyDurability | ImpossiblePolicy)[]
