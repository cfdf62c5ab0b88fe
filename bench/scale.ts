/** The amount of each work in a run: a few minutes, the targets' full scale (`--full`), or short for tests. */
import { GIB, KIB, MIB } from "@hayloft/base/limits.js"

export interface Scale {
  /** The number of rounds; figures are medians. */
  readonly rounds: number
  /** The duration of each load. */
  readonly seconds: number
  readonly largeBytes: number
  readonly parts: number
  /** Small objects: connections, and keys of the sets that are read and written. */
  readonly connections: number
  readonly smallKeys: readonly number[]
  /** Sizes of the objects that are also reported. */
  readonly otherSizes: readonly number[]
  readonly overwriteKeys: number
  readonly overwriteSeconds: number
  readonly listKeys: readonly number[]
  /** Older versions of each of 1,000 keys. */
  readonly oldVersions: number
  readonly deleteKeys: number
  readonly completeParts: number
  readonly startObjects: number
  readonly idleSeconds: number
  readonly uploads: number
  readonly uploadBytes: number
  readonly idleConnections: number
  readonly soakRequests: number
  readonly tailSeconds: number
  readonly overloadConnections: number
  /** The share that a run does of the numbers that themes name themselves: of keys, of rounds, of bytes. */
  readonly share: number
}

/** This share of a number, and 1 at least. */
export const shareOf = ({ share }: Pick<Scale, "share">, count: number): number =>
  Math.max(1, Math.round(count * share))

export const DEFAULT: Scale = {
  rounds: 3,
  seconds: 1,
  largeBytes: 256 * MIB,
  parts: 16,
  connections: 64,
  smallKeys: [1000, 10_000],
  otherSizes: [64 * KIB, MIB],
  overwriteKeys: 20_000,
  overwriteSeconds: 6,
  listKeys: [1000, 10_000],
  oldVersions: 10,
  deleteKeys: 10_000,
  completeParts: 1000,
  startObjects: 10_000,
  idleSeconds: 30,
  uploads: 64,
  uploadBytes: 8 * MIB,
  idleConnections: 1000,
  soakRequests: 400_000,
  tailSeconds: 8,
  overloadConnections: 2048,
  share: 1,
}

export const FULL: Scale = {
  rounds: 5,
  seconds: 5,
  largeBytes: GIB,
  parts: 16,
  connections: 64,
  smallKeys: [1000, 100_000, 1_000_000],
  otherSizes: [64 * KIB, MIB],
  overwriteKeys: 1_000_000,
  overwriteSeconds: 60,
  listKeys: [1000, 100_000, 10_000_000],
  oldVersions: 1000,
  deleteKeys: 100_000,
  completeParts: 10_000,
  startObjects: 1_000_000,
  idleSeconds: 30,
  uploads: 64,
  uploadBytes: 128 * MIB,
  idleConnections: 10_000,
  soakRequests: 10_000_000,
  tailSeconds: 60,
  overloadConnections: 4096,
  share: 1,
}

export const QUICK: Scale = {
  rounds: 1,
  seconds: 0.05,
  largeBytes: 10 * MIB,
  parts: 2,
  connections: 8,
  smallKeys: [100],
  otherSizes: [64 * KIB],
  overwriteKeys: 100,
  overwriteSeconds: 0.05,
  listKeys: [100],
  oldVersions: 1,
  deleteKeys: 50,
  completeParts: 4,
  startObjects: 50,
  idleSeconds: 0.05,
  uploads: 4,
  uploadBytes: MIB,
  idleConnections: 20,
  soakRequests: 200,
  tailSeconds: 0.2,
  overloadConnections: 32,
  share: 0.02,
}
