/**
 * Node report, version 1: what a node tells the others about its devices and its background work, for the status of the
 * store. Call 16 (`report`): the request is empty, the response this record. The database (`database-health.ts`), the epoch
 * keys of devices, their master keys and the proof of the next one are its last members; earlier nodes do not send them.
 *
 * A positional MessagePack array, as are the devices, jobs and scrubs in it (`pack.ts`); null stands for unknown. Later
 * releases append members; readers ignore members that they do not know. Flags by partition are packed, one bit each.
 * Refuses   Anything malformed with `corruptRecord`.
 */
import { PARTITIONS } from "@hayloft/base/limits.js"
import { REPORTED_DATABASE } from "./database-health.js"
import {
  appended,
  appendedMap,
  bytesOfLength,
  FLAG,
  listOf,
  mapOf,
  mapped,
  NUMBER,
  oneOf,
  optional,
} from "../encoding/fields.js"
import { OWN_BYTES, record, row, rowsOf, TEXT, type ValueOf } from "../encoding/fields.js"
import { DEVICE_ID, POLICY } from "../encoding/id-fields.js"

export const REPORT_CALL = 16

/** Numbers are on the wire: append only. */
const JOB_STATES = ["busy", "throttled", "idle", "done", "failed"] as const
const SCRUB_STATES = ["running", "waiting", "paused"] as const
const LOST_KINDS = ["object", "version", "part"] as const

const SPACE = row({
  /** Equal for folders that fail together. */
  fileSystemId: TEXT,
  fileSystemKind: TEXT,
  totalBytes: NUMBER,
  freeBytes: NUMBER,
  /** Space for new needles; undefined if there is no reserve. */
  usableBytes: optional(NUMBER),
  reserveBytes: optional(NUMBER),
  /** Accepts no new blocks. */
  isFull: FLAG,
  /** Accepts no new rows either. */
  isCritical: FLAG,
  secondsUntilFull: optional(NUMBER),
})
export type ReportedSpace = ValueOf<typeof SPACE>

/** Open devices of the node. */
const DEVICES = rowsOf({
  id: DEVICE_ID,
  path: TEXT,
  /** The reason to take it offline. */
  trouble: optional(TEXT),
  checkpointError: optional(TEXT),
  deadBytes: optional(NUMBER),
  volumeBytes: NUMBER,
  logBytes: NUMBER,
  memtableRows: NUMBER,
  callsQueued: NUMBER,
  callsMax: NUMBER,
  space: optional(SPACE),
})
export type ReportedDevice = ValueOf<typeof DEVICES>[number]

const JOBS = rowsOf({
  name: TEXT,
  state: oneOf(JOB_STATES),
  progress: TEXT,
  lastError: optional(TEXT),
  throttle: NUMBER,
})

const SCRUBS = rowsOf({
  device: DEVICE_ID,
  state: oneOf(SCRUB_STATES),
  passStartedMs: NUMBER,
  oldestVerifiedMs: NUMBER,
  damagesFound: NUMBER,
  doneBytes: NUMBER,
  remainingBytes: NUMBER,
})

/** Finished and remaining work. */
const WORK = row({ doneBytes: NUMBER, remainingBytes: NUMBER, partitionsDone: NUMBER, partitionsRemaining: NUMBER })

const REPAIR = row({
  isPaused: FLAG,
  /** Since devices or layouts last changed; the remaining work is known once all partitions have been scanned. */
  partitionsScanned: NUMBER,
  /** Missing shards. */
  mending: WORK,
  /** Intact shards at their place in the previous layout; moved after the missing ones are rebuilt. */
  moving: WORK,
  bytesPerSecond: NUMBER,
  /** Seconds until all work is done; undefined if nothing remains, or if unknown. */
  secondsLeft: optional(NUMBER),
  rebuiltShards: NUMBER,
  lostBlocks: NUMBER,
  lostBytes: NUMBER,
  /** Some of the objects that the lost blocks make unreadable. */
  lostObjects: rowsOf({ bucket: TEXT, key: TEXT, what: oneOf(LOST_KINDS) }),
  singleCopyBlocks: NUMBER,
  /** Repair waits for space on full devices. */
  isShortOfSpace: FLAG,
  /** At least so many objects, older versions and parts of uploads are unreadable. */
  lostObjectsMin: appended(NUMBER),
})

export type ReportedRepair = ValueOf<typeof REPAIR>

const REENCODING = row({
  isPaused: FLAG,
  doneBytes: NUMBER,
  remainingBytes: NUMBER,
  secondsLeft: optional(NUMBER),
  /** Uploads that cannot be re-encoded now, because devices or shards are missing. */
  waiting: NUMBER,
})

/** A byte for each partition that is 0 or not, as bits. */
const PARTITION_FLAGS = mapped(bytesOfLength(PARTITIONS / 8), unpackFlags, packFlags)

const CONTENTS = row({
  /** False until this process has scanned the stored blocks. */
  isKnown: FLAG,
  /** An integrity audit checked every block: misplaced groups without devices are unreadable, all others readable. */
  isCounted: FLAG,
  /** Grows with every change of these contents. */
  version: NUMBER,
  /** Policies of stored blocks, with the bytes of blocks before coding; without those of misplaced groups. */
  policies: rowsOf({ policy: POLICY, bytes: NUMBER }),
  /** Policies that buckets set for themselves. */
  bucketPolicies: listOf(POLICY),
  /** By device, a byte for each partition: not 0 if it may lack shards. */
  lacking: mapOf(DEVICE_ID, PARTITION_FLAGS),
  misplacedGroups: rowsOf({
    partition: NUMBER,
    /** Shards that a read needs. */
    needed: NUMBER,
    devices: listOf(DEVICE_ID),
    /** Bytes of the blocks, not of their shards. */
    bytes: NUMBER,
  }),
})

export type ReportedContents = ValueOf<typeof CONTENTS>

const REPAIRER = row({
  contents: optional(CONTENTS),
  repair: optional(REPAIR),
  reencoding: optional(REENCODING),
  orphans: row({
    /** Too many blocks are unreferenced: none is removed until an operator resumes the job. */
    isStopped: FLAG,
    /** Aborted blocks that the node found. */
    abortedBlocks: NUMBER,
    /** The removal stops if there are more. */
    abortedBlocksMax: NUMBER,
    /** Blocks that wait for their removal. */
    waitingBlocks: NUMBER,
  }),
})
export type ReportedRepairer = ValueOf<typeof REPAIRER>

const NODE_REPORT = record("node report", {
  devices: DEVICES,
  jobs: JOBS,
  scrub: SCRUBS,
  /** The node's knowledge of all blocks if it is the one that repairs them. */
  repairer: optional(REPAIRER),
  /** The database is undefined for a node of an earlier release. */
  database: optional(REPORTED_DATABASE),
  /** The oldest epoch key that each open device of the node has; only stores with keys have any. */
  epochs: appendedMap(DEVICE_ID, NUMBER),
  /** The number of the oldest master key under which each open device of the node has a record. */
  masterKeys: appendedMap(DEVICE_ID, NUMBER),
  /** Proves that the node has the master key that the operator has given it as the next one. */
  nextKeyProof: appended(OWN_BYTES),
})
export type NodeReport = ValueOf<typeof NODE_REPORT>
/** Decoding throws `corruptRecord`. */
export const { encode: encodeNodeReport, decode: decodeNodeReport } = NODE_REPORT

function packFlags(flags: Uint8Array): Uint8Array {
  const bits = new Uint8Array(PARTITIONS / 8)
  for (let at = 0; at < PARTITIONS; at += 1) {
    if (flags[at] !== 0) bits[at >> 3] = (bits[at >> 3] ?? 0) | (1 << (at & 7))
  }
  return bits
}

function unpackFlags(bits: Uint8Array): Uint8Array {
  const flags = new Uint8Array(PARTITIONS)
  for (const [at, byte] of bits.entries()) {
    if (byte === 0) continue
    for (let bit = 0; bit < 8; bit += 1) flags[8 * at + bit] = (byte >> bit) & 1
  }
  return flags
}
