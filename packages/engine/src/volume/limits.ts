/** Limits of this module, each with its reason. */
import { GIB, KIB, MIB } from "@hayloft/base/limits.js"

export interface VolumeLimits {
  /** A new volume is begun before one grows beyond this. A single group may be larger, alone in its volume. */
  readonly volumeBytesMax: number
  /** Needles waiting for their write; above, appends are refused with `tooManyInFlight`. */
  readonly appendsQueuedMax: number
  /** Bytes of those needles. They are in the slab pool, which is smaller than this: a second line of defense. */
  readonly appendBytesQueuedMax: number
  /** One write. Larger groups make those behind them wait longer without writing faster. */
  readonly groupBytesMax: number
  /** Each needle is two buffers of a `writev`, which takes 1,024. */
  readonly groupNeedlesMax: number
  /** Bytes that compaction and repair may add to one write while others append: they wait that much longer. */
  readonly copyBytesPerGroupMax: number
  /** Volumes kept open for reading, least recently used closed first. */
  readonly filesOpenMax: number
}

export const VOLUME_LIMITS: VolumeLimits = {
  volumeBytesMax: 1 * GIB,
  appendsQueuedMax: 4096,
  appendBytesQueuedMax: 512 * MIB,
  groupBytesMax: 16 * MIB,
  groupNeedlesMax: 500,
  copyBytesPerGroupMax: 1 * MIB,
  filesOpenMax: 64,
}

/**
 * The limits of the volumes of one class of needles that end: there are several classes beside the ordinary volumes.
 */
export const EXPIRING_LIMITS = {
  filesOpenMax: 16,
  /** Share of what the page cache is assumed to keep of the device. */
  cachedShare: 1 / 8,
} as const

/** Smaller volumes would be mostly first pages and files. */
const SMALL_VOLUME_BYTES = 4 * MIB

/** Half of a device's reserve at most, so that a volume can always be copied on a full disk. */
export const volumeBytesMaxFor = (reserveBytes: number): number =>
  Math.min(Math.max(Math.floor(reserveBytes / 2), SMALL_VOLUME_BYTES), 4 * GIB)

/** Volumes of payloads are small, so that one that is mostly dead is read and moved within a few checkpoints. */
export const PAYLOAD_VOLUME_BYTES_MAX = 64 * MIB

/** On a small disk as for needles: its reserve is a quarter of it. */
export const payloadLimitsFor = (totalBytes: number): VolumeLimits => ({
  ...VOLUME_LIMITS,
  volumeBytesMax: Math.min(Math.max(Math.floor(totalBytes / 8), SMALL_VOLUME_BYTES), PAYLOAD_VOLUME_BYTES_MAX),
})

export interface CompactionLimits {
  /** A volume is compacted when more than this share of it is dead, and a device is kept below it. */
  readonly deadShareMax: number
  /** The same while the device is short of space: sixteen bytes at most are copied for one that comes back. */
  readonly deadShareMaxWhenShort: number
  /** Fewer bytes are not worth the work: a few pages of padding are in every volume. */
  readonly deadBytesMin: number
  /** Copies are written when they reach this size or this number. */
  readonly copyBytes: number
  readonly copyNeedlesMax: number
  /** Needles read in one step, live or not. */
  readonly stepNeedlesMax: number
  /** Rows of the index read in one step. */
  readonly stepRowsMax: number
  /** The open volume is not touched until nothing was appended for this long. */
  readonly quietMs: number
  /** Volumes copied and not yet removed. */
  readonly pendingMax: number
  /** A copy of more needles is not undone. */
  readonly undoNeedlesMax: number
}

export const COMPACTION_LIMITS: CompactionLimits = {
  deadShareMax: 0.25,
  deadShareMaxWhenShort: 1 / 16,
  deadBytesMin: 64 * KIB,
  copyBytes: 1 * MIB,
  copyNeedlesMax: 500,
  stepNeedlesMax: 200,
  stepRowsMax: 500,
  quietMs: 5_000,
  pendingMax: 16,
  undoNeedlesMax: 20_000,
}

export interface NeedleScrubLimits {
  /**
   * Bytes verified in one step (to the end of the current group), needles checked in one step, and rows of the index
   * read in one step.
   */
  readonly stepBytes: number
  readonly stepNeedlesMax: number
  readonly stepRowsMax: number
  /** Needles found bad that are saved over restarts. */
  readonly damagedKeptMax: number
}

export const NEEDLE_SCRUB_LIMITS: NeedleScrubLimits = {
  stepBytes: 4 * MIB,
  stepNeedlesMax: 200,
  stepRowsMax: 500,
  damagedKeptMax: 10_000,
}

/** Inline payloads are written in pieces of about this size, so that a checkpoint does not hold the disk for long. */
export const PAYLOAD_PIECE_BYTES = 1 * MIB
/** Header and body of a needle are fetched with one read while they are no longer than this. */
export const READ_AT_ONCE_BYTES = 256 * 1024
/** Index entries that recovery applies at a time. */
export const RECOVERY_BATCH_ROWS = 1000
/** Needles known to be bad and not yet rebuilt. A device with more of them should be replaced, not repaired. */
export const SUSPECT_MAX = 100_000
