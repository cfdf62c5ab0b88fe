/** The settings of a simulated store: the defaults for its number of devices, with small limits. */
import { parseIncarnation } from "@hayloft/base/ids.js"
import { KIB } from "@hayloft/base/limits.js"
import type { HotCopyTerms } from "@hayloft/engine/block/index.js"
import { SPACE_LIMITS } from "@hayloft/base/space/space-core.js"
import { CHECKPOINT_LIMITS } from "@hayloft/engine/device/index.js"
import type { ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import type { EngineSettings } from "@hayloft/node/engine.js"
import { settingsOf } from "@hayloft/node/testing-engine.js"

export const DEFAULT_BLOCK_BYTES = 128 * KIB
/** Small, so that a short run makes many checkpoints. */
export const CHECKPOINTS = {
  ...CHECKPOINT_LIMITS,
  logBytesMax: 256 * KIB,
  rowsMax: 64,
  quietMs: 2_000,
  pollMs: 100,
  confirmMs: 1_000,
  retryMs: 1_000,
}

/** The size of each drive, bounded because a simulated disk keeps everything in memory. */
const RESERVE_BYTES = 256 * KIB
const SPACES = {
  ...SPACE_LIMITS,
  reserveBytesMin: RESERVE_BYTES,
  reserveBytesMax: RESERVE_BYTES,
  reserveBytesMaxShared: RESERVE_BYTES,
  fullBytes: 64 * KIB,
  ballastPieceBytes: 32 * KIB,
}

/** Copies of everything that was read, in less memory than three of the longest blocks need: they come and go all the time. */
export const FEW_HOT_COPIES: HotCopyTerms = { budgetBytes: 300_000, readsPerMinute: 1 }

/** A day would be long in a simulation of minutes. */
export const ABORTED_WAITS = { removalWaitMs: 60_000, countWaitMs: 2_000 }

export const SMALL_LIMITS = {
  deviceOptions: { checkpointLimits: CHECKPOINTS },
  spaceLimits: SPACES,
  abortedWaits: ABORTED_WAITS,
} as const satisfies Partial<EngineSettings>

export const settingsFor = (record: ControlRecord, incarnation: number): EngineSettings => ({
  ...settingsOf(record, parseIncarnation(incarnation)),
  ...SMALL_LIMITS,
})
