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
} from "./checkpoint/checkpoint.js"
export { discardSource } from "./checkpoint/checkpoint-discard.js"
export {
  CHECKPOINT_LIMITS,
  Checkpointer,
  type CheckpointLimits,
  type CheckpointRuns,
} from "./checkpoint/checkpointer.js"
export { getThrough, MemoryLayer, rangeThrough, type Layer, type Layered } from "./layers.js"
export { LOG_LIMITS, openLog, type SegmentedLog } from "./log/log.js"
export { openLogReader, type LogReader } from "./log/log-reader.js"
export { CALL_LIMITS, queuedDisk, type CallLimits, type QueuedDisk } from "./calls/call-queue.js"
export * from "./records/control-core.js"
export * from "./records/starts-core.js"
export { oldestKeys, readControlRecord, writeControlRecord, type OldestKeys } from "./records/control.js"
export { Ownership } from "./records/ownership.js"
export { checkPosition, forgetPosition, notePosition } from "./records/position.js"
export { CONTROL_NAMES, readRecordFile, replaceRecordFile, SUPERBLOCK_NAME } from "./records/record-file.js"
export * from "./records/superblock.js"
export { Stalls } from "./calls/stalls.js"
export { SyncReads } from "./calls/sync-reads.js"
export { Rows } from "./rows.js"
export { asideRows, printedRow } from "./checkpoint/rows-aside.js"
export { BALLAST_FOLDER, withBallast } from "./space/ballast.js"
export { Spaces, type DeviceSpace, type Fullness } from "./space/space.js"
export * from "./checkpoint/scrub.js"
export { MetadataScrub, LogScrub, SCRUB_EVERY_MS, type LogExtent } from "./checkpoint/scrub-jobs.js"
export { PayloadUpkeep } from "./checkpoint/payload-upkeep.js"
