/**
 * Space and repair: how much fits, what an object takes, and how long a lost device takes to rebuild. Formulas F8 to F11
 * of docs/design/durability.md.
 */
import { roundUp } from "@hayloft/base/text/round.js"

const SECONDS_PER_HOUR = 3600

interface LostDevice {
  /** Bytes in use on it. */
  readonly bytes: number
  /** Until the rebuild begins. */
  readonly waitHours: number
}

/** F8: one spare takes the place of the device. */
export const hoursOntoSpare = ({ bytes, waitHours }: LostDevice, bytesPerSecond: number): number =>
  waitHours + bytes / (bytesPerSecond * SECONDS_PER_HOUR)

interface Rebuilders {
  /** Devices of the layout, the lost one included. */
  readonly devices: number
  /** The bandwidth of each device. */
  readonly bytesPerSecond: number
  /** The share of the bandwidth for repair. */
  readonly share: number
  /** Bytes read for each that is rebuilt. */
  readonly readsPerByte: number
}

/** F9: all other devices rebuild the lost one together, onto their free space. */
export function hoursOntoOthers(lost: LostDevice, others: Rebuilders): number {
  const { devices, bytesPerSecond, share, readsPerByte } = others
  return (
    lost.waitHours + (lost.bytes * (readsPerByte + 1)) / ((devices - 1) * bytesPerSecond * share * SECONDS_PER_HOUR)
  )
}

/** F10, for devices that all fill up together. */
export const usableBytesOf = (rawBytes: number, fill: number, metadataShare: number, factor: number): number =>
  (rawBytes * fill * (1 - metadataShare)) / factor

/** F11: bytes on all disks of one object that is a single block. */
export const bytesOnDisk = (
  objectBytes: number,
  { shards, needed }: { readonly shards: number; readonly needed: number },
  headerBytes: number,
  alignBytes: number,
): number => shards * roundUp(Math.ceil(objectBytes / needed) + headerBytes, alignBytes)

interface Zone {
  /** Bytes of each of its devices. */
  readonly deviceBytes: readonly number[]
}

/** Halvings of the range that contains the result. */
const STEPS = 64
const ROUNDING = 1e-12

/**
 * Returns the raw bytes that blocks of so many shards can use: a block has each shard on another device, and no zone
 * takes more shards of it than an even spread requires. These are all raw bytes, unless devices or zones differ much in
 * size.
 */
export function placeableBytes(zones: readonly Zone[], shards: number): number {
  const caps = zoneCaps(zones, shards)
  const raw = zones.flatMap(({ deviceBytes }) => deviceBytes).reduce((sum, bytes) => sum + bytes, 0)
  // Returns true if so many blocks with a byte a shard fit.
  const fits = (blocks: number): boolean => {
    const places = zones.map(({ deviceBytes }, at) => {
      const onDevices = deviceBytes.reduce((sum, bytes) => sum + Math.min(bytes, blocks), 0)
      return Math.min(onDevices, (caps[at] ?? 0) * blocks)
    })
    return places.reduce((sum, place) => sum + place, 0) >= blocks * shards * (1 - ROUNDING)
  }
  let [low, high] = [0, raw / shards]
  if (fits(high)) return raw
  for (let step = 0; step < STEPS; step += 1) {
    const middle = (low + high) / 2
    if (fits(middle)) low = middle
    else high = middle
  }
  return low * shards
}

/** The most shards of a block in each zone: as even as possible, but more if the others have too few devices. */
function zoneCaps(zones: readonly Zone[], shards: number): readonly number[] {
  const even = Math.ceil(shards / zones.length)
  const takes = zones.map(({ deviceBytes }) => Math.min(even, deviceBytes.length))
  const all = takes.reduce((sum, take) => sum + take, 0)
  return takes.map(take => Math.max(even, shards - (all - take)))
}
