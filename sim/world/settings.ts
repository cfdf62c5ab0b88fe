/** What a simulated store is configured as: the defaults of its number of devices, with small limits. */
import { parseIncarnation } from "../../src/base/ids.js"
import { KIB } from "../../src/base/limits.js"
import { CHECKPOINT_LIMITS } from "../../src/device/index.js"
import type { ControlRecord } from "../../src/format/control-record.js"
import type { EngineSettings } from "../../src/main/engine/engine.js"
import { settingsOf } from "../../src/main/engine/testing.js"

export const DEFAULT_BLOCK_BYTES = 128 * KIB
/** Small, so that a short run makes many checkpoints. */
const CHECKPOINTS = {
  ...CHECKPOINT_LIMITS,
  logBytesMax: 256 * KIB,
  rowsMax: 64,
  quietMs: 2_000,
  pollMs: 100,
  confirmMs: 1_000,
  retryMs: 1_000,
}

export const settingsFor = (record: ControlRecord, life: number): EngineSettings => ({
  ...settingsOf(record, parseIncarnation(life)),
  deviceOptions: { checkpointLimits: CHECKPOINTS },
})
