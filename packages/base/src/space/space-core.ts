/**
 * Space: the policy for a full disk (`ENOSPC`, `deviceFull`). It decides how much of a file system is reserved, which writes
 * are still allowed, and when it will be full. Pure.
 *
 * Writes are refused before the space runs out. The reserve is for work that makes space or keeps promises (deletes, settings,
 * compaction, checkpoints), and each use of space leaves a part of it free (`keptBytes`): without a checkpoint no space ever
 * comes back. The remaining space is the free bytes plus those that the ballast can give back, minus pending bytes:
 * written since the last check, or in the log for the next checkpoint. `full-disk-core.ts` classifies the failures of writes
 * that find no space; docs/operate/full-disk.md has the whole policy.
 */
import { GIB, KIB, MIB } from "../limits.js"

export const SPACE_LIMITS = {
  reserveShare: 0.02,
  reserveBytesMin: 64 * MIB,
  reserveBytesMax: 8 * GIB,
  /** If the folder is no mount point of its own: a laptop must not lose gigabytes at its first start. */
  reserveBytesMaxShared: 64 * MIB,
  /** A very small file system reserves no more than this share. */
  reserveShareMax: 1 / 4,
  /** Share of the reserve for one checkpoint and one merge step of the metadata store; less on small disks. */
  checkpointShare: 1 / 8,
  /** While only the reserve remains, a checkpoint begins at this share of it in log, and writers wait at twice that. */
  logShareWhenShort: 1 / 16,
  /** The log of a small disk may have at least this size. */
  logBytesMinWhenShort: 512 * KIB,
  /** A device with less space than this for needles is reported as full. */
  fullBytes: 4 * MIB,
  checkEveryMs: 1_000,
  /** The ballast is given back a file at a time: the reserve is so many files, none larger than the next line. */
  ballastFiles: 16,
  ballastFileBytesMax: 256 * MIB,
  /** It is written in pieces, so many after each check. */
  ballastPieceBytes: MIB,
  ballastPiecesPerCheck: 8,
  /** After some was given back, the ballast does not grow again for this long. */
  regrowMs: 30_000,
  /** Period over which the rate of filling is measured. */
  rateMs: 3_600_000,
} as const

export type SpaceLimits = { readonly [Name in keyof typeof SPACE_LIMITS]: number }

/** Facts about a file system. */
export interface SpaceFacts {
  readonly totalBytes: number
  /** The free bytes that the file system reported last. */
  readonly freeBytes: number
  /** Written since. */
  readonly grownBytes: number
  /** To be written by the next checkpoints. */
  readonly pendingBytes: number
  readonly ballastBytes: number
  readonly reserveBytes: number
}

export function reserveOf(totalBytes: number, isMountPoint: boolean, limits: SpaceLimits = SPACE_LIMITS): number {
  const most = isMountPoint ? limits.reserveBytesMax : Math.min(limits.reserveBytesMax, limits.reserveBytesMaxShared)
  const wanted = Math.min(Math.max(limits.reserveShare * totalBytes, limits.reserveBytesMin), most)
  return Math.floor(Math.min(wanted, limits.reserveShareMax * totalBytes))
}

const onItsWay = ({ grownBytes, pendingBytes }: SpaceFacts): number => grownBytes + pendingBytes

/** Bytes that could be written if all of the reserve were used. */
export const remainingBytes = (facts: SpaceFacts): number =>
  Math.max(0, facts.freeBytes + facts.ballastBytes - onItsWay(facts))

/**
 * A use of space that leaves a part of the reserve free. Others use all of it: deletes, settings, bookkeeping and checkpoints.
 *
 * `needles`: new shards, those of repair and of re-encoding too. `rows`: rows that make the store larger
 * (`Command.grows`). `copies`: copies that give space back later. `merges`: one merge step of the metadata store.
 */
export type SpaceUse = "needles" | "rows" | "copies" | "merges"

/**
 * Space that one checkpoint and one merge step of the metadata store need, beside the log that they contain. Copies
 * leave it free; a merge step is chosen to fit in it.
 */
export const checkpointSpaceBytes = (reserveBytes: number, limits: SpaceLimits = SPACE_LIMITS): number =>
  Math.floor(reserveBytes * limits.checkpointShare)

/** Bytes that a use of space leaves free. */
function keptBytes(use: SpaceUse, reserveBytes: number, limits: SpaceLimits): number {
  switch (use) {
    case "needles":
      return reserveBytes
    case "rows":
      return reserveBytes / 2
    case "copies":
      return checkpointSpaceBytes(reserveBytes, limits)
    case "merges":
      // If copies have left only the checkpoint's share, a step has at least half of it.
      return checkpointSpaceBytes(reserveBytes, limits) / 2
  }
}

/** Returns true if a use may take so many bytes more. */
export const maySpend = (facts: SpaceFacts, use: SpaceUse, bytes: number, limits: SpaceLimits): boolean =>
  remainingBytes(facts) - bytes >= keptBytes(use, facts.reserveBytes, limits)

/** Bytes that a use may take now. */
export const spaceBytesFor = (facts: SpaceFacts, use: SpaceUse, limits: SpaceLimits): number =>
  Math.max(0, remainingBytes(facts) - keptBytes(use, facts.reserveBytes, limits))

/** "full": needles are refused; "critical": rows that make the store larger too, and only work that makes space goes on. */
export type SpaceLevel = "enough" | "full" | "critical"

export function levelOf(facts: SpaceFacts, limits: SpaceLimits): SpaceLevel {
  if (maySpend(facts, "needles", limits.fullBytes, limits)) return "enough"
  return maySpend(facts, "rows", 0, limits) ? "full" : "critical"
}

/** Returns true if another volume of needles, half as large as the reserve, would not fit beside it, or the file system is full. */
export const isShortOfSpace = (facts: SpaceFacts, limits: SpaceLimits): boolean =>
  !maySpend(facts, "needles", Math.max(facts.reserveBytes / 2, limits.fullBytes), limits)

/** The refusals of a level, for people. */
export const REFUSALS_AT: Readonly<Record<Exclude<SpaceLevel, "enough">, string>> = {
  full: "writes of more than 4 KiB are refused until there is space",
  critical: "writes are refused until there is space; deletes work",
}

/** With only the reserve remaining, the log is short, so that its checkpoint finds the space that it needs. */
export const logBytesMaxWhenShort = (reserveBytes: number, limits: SpaceLimits): number =>
  Math.max(limits.logBytesMinWhenShort, Math.floor(reserveBytes * limits.logShareWhenShort))

/** Size of one file of the ballast. */
export const ballastFileBytes = (reserveBytes: number, limits: SpaceLimits): number =>
  Math.max(
    limits.ballastPieceBytes,
    Math.min(Math.ceil(reserveBytes / limits.ballastFiles), limits.ballastFileBytesMax),
  )

/** Bytes that may be added to the ballast now: never so many that the next writer would need them back. */
export function ballastSpaceBytes(facts: SpaceFacts, limits: SpaceLimits): number {
  const marginBytes = ballastFileBytes(facts.reserveBytes, limits)
  const spareBytes = facts.freeBytes - onItsWay(facts) - marginBytes
  return Math.max(0, Math.min(facts.reserveBytes - facts.ballastBytes, spareBytes))
}

interface Sample {
  readonly atMs: number
  readonly usableBytes: number
  /** Bytes that this process has added until then. */
  readonly ownBytes: number
}

/**
 * How fast a file system fills, from the usable space over the last hour. Only what this process adds counts: how much other
 * programs write says nothing about the store.
 */
export class FillRate {
  private samples: Sample[] = []

  constructor(private readonly windowMs: number) {}

  add(atMs: number, usable: number, ownBytes: number): void {
    const spacingMs = this.windowMs / SAMPLES_MAX
    const last = this.samples.at(-1)
    const before = this.samples.at(-2)
    // The latest is always kept; those before it are some time apart.
    if (last && before && last.atMs - before.atMs < spacingMs) this.samples.pop()
    this.samples.push({ atMs, usableBytes: usable, ownBytes })
    this.samples = this.samples.filter(sample => atMs - sample.atMs <= this.windowMs)
  }

  /**
   * Returns undefined if the device does not fill, or if less than the whole window has been seen: a first burst says
   * nothing about the next hours, only that the device may be full in no more time than the burst has lasted.
   */
  get secondsUntilFull(): number | undefined {
    const [first, last] = [this.samples[0], this.samples.at(-1)]
    if (!first || !last || last.atMs - first.atMs < this.windowMs / SAMPLES_MAX) return undefined
    const filledBytes = Math.min(first.usableBytes - last.usableBytes, last.ownBytes - first.ownBytes)
    if (filledBytes <= 0) return undefined
    const seenMs = last.atMs - first.atMs
    const remainingMs = (last.usableBytes / filledBytes) * seenMs
    const isKnown = seenMs >= this.windowMs - this.windowMs / SAMPLES_MAX || remainingMs <= seenMs
    return isKnown ? remainingMs / 1000 : undefined
  }
}

const SAMPLES_MAX = 30
