/** One owned folder on one disk: log, rows, checkpoints. */
export type {
  AppliedWrite,
  CheckpointSource,
  CommitLog,
  DeviceRow,
  DeviceRows,
  LoggedRecord,
  LogPlace,
  ReplicaIncarnations,
  PayloadPlace,
  PayloadShelf,
  PayloadSink,
} from "./contract.js"
export {
  containedPosition,
  containedSequence,
  readSourceMark,
  runCheckpoint,
  runMerge,
  type CheckpointRequest,
  type CheckpointResult,
  type MergeOutcome,
} from "./checkpoint.js"
export { discardSource } from "./checkpoint-discard.js"
export { CHECKPOINT_LIMITS, Checkpointer, type CheckpointLimits, type CheckpointRuns } from "./checkpointer.js"
export { getThrough, MemoryLayer, rangeThrough, type Layer, type Layered } from "./layers.js"
export { LOG_LIMITS, openLog, type SegmentedLog } from "./log.js"
export { openLogReader, type LogReader } from "./log-reader.js"
export { CALL_LIMITS, queuedDisk, type CallLimits, type QueuedDisk } from "./call-queue.js"
export * from "./control-core.js"
export { oldestKeys, readControlRecord, writeControlRecord, type OldestKeys } from "./control.js"
export { Ownership } from "./ownership.js"
export { checkPosition, forgetPosition, notePosition } from "./position.js"
export { CONTROL_NAMES, readRecordFile, replaceRecordFile, SUPERBLOCK_NAME } from "./record-file.js"
export * from "./superblock.js"
export { Stalls } from "./stalls.js"
export { SyncReads } from "./sync-reads.js"
export { Rows } from "./rows.js"
export { asideRows, printedRow } from "./rows-aside.js"
export { BALLAST_FOLDER, withBallast } from "./ballast.js"
export { Spaces, type DeviceSpace, type Fullness } from "./space.js"
export { behindDamage, scrubRowsStep, scrubLogStep, SCRUB_LIMITS } from "./scrub.js"
export type { RowScrubCursor, RowsScrubbed, LogScrubbed, RowFinding } from "./scrub.js"
export { MetadataScrub, LogScrub, SCRUB_EVERY_MS, type LogExtent } from "./scrub-jobs.js"
export { PAYLOAD_UPKEEP_LIMITS, type PayloadUpkeepLimits } from "./payload-upkeep-core.js"
export { PayloadUpkeep } from "./payload-upkeep.js"
