/**
 * Space, decided: how much of a file system is kept back, who may still write, and when it will be full.
 *
 * Space is refused before it is used. Of what is left, the reserve is for those who make room or keep
 * promises (deletes, settings, repair, compaction, checkpoints): needles stop where it begins, other new
 * rows at half of it, copies that compaction makes where only the checkpoint's share is left: without a
 * checkpoint no space ever comes back. Left is what is free and what the ballast can give back, without what is already
 * on its way: written since the last look, or owed by the log to the next checkpoint.
 */
import { GIB, KIB, MIB } from "../base/limits.js"

export const SPACE_LIMITS = {
  reserveShare: 0.02,
  reserveBytesMin: 64 * MIB,
  reserveBytesMax: 8 * GIB,
  /** Where the folder is no mount point of its own: a laptop must not lose gigabytes at its first start. */
  reserveBytesMaxShared: 64 * MIB,
  /** A very small file system keeps no more than this share. */
  reserveShareMax: 1 / 4,
  /** Of the reserve, for one checkpoint and one merge step of the metadata store; less on small disks. */
  checkpointShare: 1 / 8,
  /** While only the reserve is left a checkpoint begins at this share of it in log, and writers wait at twice that. */
  logShareWhenShort: 1 / 16,
  /** A small disk's log takes at least this much. */
  logBytesMinWhenShort: 512 * KIB,
  /** A device with less than this to take needles in shows as full. */
  fullBytes: 4 * MIB,
  checkEveryMs: 1_000,
  /** The ballast is given back a file at a time: the reserve is so many files, none larger than the next line. */
  ballastFiles: 16,
  ballastFileBytesMax: 256 * MIB,
  /** How it is written: in pieces, so many after each look. */
  ballastPieceBytes: MIB,
  ballastPiecesPerCheck: 8,
  /** After some was given back, nothing is taken again for this long. */
  regrowMs: 30_000,
  /** Over how long the rate of filling is taken. */
  rateMs: 300_000,
} as const

export type SpaceLimits = { readonly [Name in keyof typeof SPACE_LIMITS]: number }

/** What is known of a file system. */
export interface SpaceFacts {
  readonly totalBytes: number
  /** As the file system said it last. */
  readonly freeBytes: number
  /** Written since. */
  readonly grownBytes: number
  /** To be written by the next checkpoints. */
  readonly owedBytes: number
  readonly ballastBytes: number
  readonly reserveBytes: number
}

export function reserveOf(totalBytes: number, isMountPoint: boolean, limits: SpaceLimits = SPACE_LIMITS): number {
  const most = isMountPoint ? limits.reserveBytesMax : Math.min(limits.reserveBytesMax, limits.reserveBytesMaxShared)
  const wanted = Math.min(Math.max(limits.reserveShare * totalBytes, limits.reserveBytesMin), most)
  return Math.floor(Math.min(wanted, limits.reserveShareMax * totalBytes))
}

const onItsWay = ({ grownBytes, owedBytes }: SpaceFacts): number => grownBytes + owedBytes

/** What could be written if all of the reserve were used. */
export const remainingBytes = (facts: SpaceFacts): number =>
  Math.max(0, facts.freeBytes + facts.ballastBytes - onItsWay(facts))

/** What needles may still take. */
export const usableBytes = (facts: SpaceFacts): number => Math.max(0, remainingBytes(facts) - facts.reserveBytes)

export const mayTakeNeedles = (facts: SpaceFacts, bytes: number): boolean =>
  remainingBytes(facts) - bytes >= facts.reserveBytes

/** For rows that make the store larger; deletes, settings and bookkeeping are always let in. */
export const mayTakeMetadata = (facts: SpaceFacts, bytes: number): boolean =>
  remainingBytes(facts) - bytes >= facts.reserveBytes / 2

/**
 * Space that one checkpoint and one merge step of the metadata store need, beside the log that they contain. Kept
 * free of copies; a merge step is chosen to fit in it.
 */
export const checkpointRoomBytes = (reserveBytes: number, limits: SpaceLimits = SPACE_LIMITS): number =>
  Math.floor(reserveBytes * limits.checkpointShare)

/** What copies that give space back later may take now. */
export const copyRoomBytes = (facts: SpaceFacts, limits: SpaceLimits): number =>
  Math.max(0, remainingBytes(facts) - checkpointRoomBytes(facts.reserveBytes, limits))

/**
 * What one merge step may write: all but the half of that which is the checkpoint's. Where copies have left the other
 * half, a step has that at least.
 */
export const mergeRoomBytes = (facts: SpaceFacts, limits: SpaceLimits): number =>
  Math.max(0, remainingBytes(facts) - checkpointRoomBytes(facts.reserveBytes, limits) / 2)

/** With only the reserve left the log is short, so that its checkpoint finds the room it needs. */
export const logBytesMaxWhenShort = (reserveBytes: number, limits: SpaceLimits): number =>
  Math.max(limits.logBytesMinWhenShort, Math.floor(reserveBytes * limits.logShareWhenShort))

/** How large one file of the ballast is. */
export const ballastFileBytes = (reserveBytes: number, limits: SpaceLimits): number =>
  Math.max(
    limits.ballastPieceBytes,
    Math.min(Math.ceil(reserveBytes / limits.ballastFiles), limits.ballastFileBytesMax),
  )

/** How much may be added to the ballast now: never so much that the next writer would need it back. */
export function ballastRoomBytes(facts: SpaceFacts, limits: SpaceLimits): number {
  const marginBytes = ballastFileBytes(facts.reserveBytes, limits)
  const spareBytes = facts.freeBytes - onItsWay(facts) - marginBytes
  return Math.max(0, Math.min(facts.reserveBytes - facts.ballastBytes, spareBytes))
}

interface Sample {
  readonly atMs: number
  readonly usableBytes: number
}

/** How fast a file system fills, from what was usable over the last minutes. */
export class FillRate {
  private samples: Sample[] = []

  constructor(private readonly windowMs: number) {}

  add(atMs: number, usable: number): void {
    const spacingMs = this.windowMs / SAMPLES_MAX
    const last = this.samples.at(-1)
    const before = this.samples.at(-2)
    // The latest is always kept; those before it stand some way apart.
    if (last && before && last.atMs - before.atMs < spacingMs) this.samples.pop()
    this.samples.push({ atMs, usableBytes: usable })
    this.samples = this.samples.filter(sample => atMs - sample.atMs <= this.windowMs)
  }

  /** Undefined where it does not fill, or too little has been seen. */
  get secondsUntilFull(): number | undefined {
    const [first, last] = [this.samples[0], this.samples.at(-1)]
    if (!first || !last || last.atMs - first.atMs < this.windowMs / SAMPLES_MAX) return undefined
    const filledBytes = first.usableBytes - last.usableBytes
    if (filledBytes <= 0) return undefined
    return (last.usableBytes / filledBytes) * ((last.atMs - first.atMs) / 1000)
  }
}

const SAMPLES_MAX = 30
