/** Limits of this module, each with its reason. */
import { GIB, MIB } from "@hayloft/base/limits.js"
import { NEEDLE_BODY_BYTES_MAX } from "../format/needles/needle.js"
import { COMPACTION_LIMITS } from "../volume/index.js"

/** A key is a part of its needle's header, which is in memory whole. */
export const KEY_BYTES_MAX = 1_024
/** A value is one body. */
export const VALUE_BYTES_MAX = NEEDLE_BODY_BYTES_MAX
/** Smaller volumes would be mostly first pages and files. */
export const VOLUME_BYTES_LEAST = 1 * MIB
/** Offsets in a volume are numbers of 32 bits. */
export const VOLUME_BYTES_MOST = 4 * GIB
/** Rows of the index that `keys` reads in one turn of the event loop. */
export const KEYS_STEP_ROWS = 500
/** Findings that an fsck lists; it counts all. */
export const FINDINGS_MAX = 1_000
/** Steps of a compaction in a row that find nothing to do, with a checkpoint between them, end it. */
export const QUIET_STEPS = 3
/** A caller has asked for the compaction: it does not wait for a pause of the appends. */
export const COMPACTION = { ...COMPACTION_LIMITS, quietMs: 0 }
