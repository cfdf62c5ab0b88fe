/** Reports of a store and of its nodes, and the plan of a change, for tests of the admin API. */
import { parseBucketId, parseBucketName, parseDeviceId, parseStoreId } from "@hayloft/base/ids.js"
import type { ChangePlan, JobReport, NodesReport, RepairReport, StoreChange, StoreReport } from "@hayloft/node/index.js"

export const NOW_MS = 7

export const ERASURE = {
  bucket: parseBucketName("secrets"),
  bucketId: parseBucketId(3),
  sinceMs: 5,
  keysReplaced: true,
  devices: [{ id: parseDeviceId("00000000000000aa"), path: "/d2", isOffline: true }],
  versions: 4,
  uploads: 0,
}

const DEVICE = parseDeviceId("0123456789abcdef")
const PROGRESS = { doneBytes: 300, remainingBytes: 600, bytesPerSecond: 20, endsInSeconds: 30 }
export const backupJob = (writtenAt: string): JobReport => ({
  name: "metadata-backup",
  state: "idle",
  throttle: 2,
  progress: `the last snapshot is from ${writtenAt}, 900 bytes, 12 min old`,
})

export const REPAIR: RepairReport = {
  isPaused: false,
  partitionsScanned: 65_536,
  partitionsDone: 3,
  partitionsRemaining: 6,
  progress: PROGRESS,
  rebuiltShards: 2,
  lostBlocks: 0,
  lostBytes: 0,
  lostObjects: [],
  singleCopyBlocks: 1,
}

/** Fields that features add. */
const FEATURE_FIELDS = {
  lifecycle: {
    buckets: 2,
    unfinished: 0,
    lastPassEndedMs: 6,
    abandonedUploadDays: 7,
    daySeconds: 86_400,
    removed: { versions: 1, bytes: 5, hidden: 2, markers: 3, uploads: 4, moved: 6, movedBytes: 7 },
  },
  undelete: [{ bucket: "photos", days: 3, objects: 1_200, bytes: 2_048 }, { bucket: "lost" }],
}

const CORE_REPORT: StoreReport = {
  storeId: parseStoreId("0".repeat(32)),
  version: "1.2.3",
  region: "us-east-1",
  startedMs: NOW_MS,
  uptimeSeconds: 60,
  policy: "replica:1",
  isPolicyAutomatic: true,
  blockBytes: 4 * 1024 * 1024,
  isEncryptedAtRest: true,
  bucketsWithoutKeys: 1,
  isShortOfKeys: false,
  compatibility: ["allowAcls"],
  threads: { wanted: 3, running: 2, reason: "Node.js 20.0.0 cannot share a port among threads" },
  safety: {
    sentence: "replica:1 in 1 folder on 1 disk: no disk may fail; a lost disk loses objects",
    mayFail: [{ what: "disk", answer: "no", count: 1, losses: 0, because: "there is only one", critical: ["/data"] }],
    disks: 1,
    safeLosses: 0,
    safeLossesWhenWhole: 0,
    safeFolderLosses: 0,
    safeFolderLossesWhenWhole: 0,
    opensWithout: 0,
    reasons: [],
    critical: [DEVICE],
    levels: [{ losses: 0, bytes: 400 }],
    riskiest: [{ partition: 9, losses: 0, lacking: [DEVICE] }],
  },
  metadata: { isInDatabase: false, copies: 1, copiesWanted: 1, learning: 0 },
  health: { ready: true, reasons: [] },
  devices: [
    {
      id: DEVICE,
      path: "/data",
      state: "active",
      reason: "",
      weight: 1,
      metadataReplica: "yes",
      disk: "2049",
      totalBytes: 1000,
      freeBytes: 600,
      usableBytes: 500,
      reserveBytes: 100,
      fullInSeconds: 86_400,
      fileSystemKind: "ext4",
      queues: [{ name: "calls", depth: 0, limit: 64 }],
    },
  ],
  layout: { version: 2, width: 1, transition: { fromVersion: 1, progress: PROGRESS } },
  repair: REPAIR,
  erasures: [ERASURE],
  keyServices: [{ name: "vault", state: "unreachable", sinceMs: 7, reason: "status 503", running: 1, waiting: 2 }],
  scrub: [
    {
      device: DEVICE,
      state: "running",
      passStartedMs: 1,
      progress: PROGRESS,
      oldestVerifiedMs: 2,
      damagesFound: 0,
    },
  ],
  jobs: [],
  queues: [],
}

export const REPORT: StoreReport = { ...CORE_REPORT, ...FEATURE_FIELDS }

/** The report of a store of two nodes, one of them silent. */
export const NODES_REPORT: NodesReport = {
  own: "n1",
  steward: "n1",
  idleJobs: ["collector"],
  heldBack: ["node n2 has been silent or cut off for 16 min, but …"],
  nodes: [
    {
      name: "n1",
      zone: "a",
      machine: "m1",
      address: "10.0.0.1:7700",
      version: "1.2.3",
      state: "serving",
      reason: "",
      use: "in use",
      devices: [DEVICE],
      cannotReach: ["n2"],
      jobs: ["repair"],
    },
    {
      name: "n2",
      zone: "b",
      machine: "m2",
      address: "10.0.0.2:7700",
      version: "1.2.3",
      state: "silent",
      reason: "no heartbeat for 40 s",
      use: "draining",
      devices: [],
      cannotReach: [],
      jobs: [],
    },
  ],
}

export function planOf(change: StoreChange): ChangePlan {
  return {
    summary: `${change.kind} as asked`,
    policyBefore: "ec:2+1",
    policyAfter: "ec:2+2",
    devices: [{ id: DEVICE, path: "/data", bytesIn: 0, bytesOut: 300 }],
    movedBytes: 300,
    reencodedBytes: 50,
    hours: 0.25,
    survives: { before: 1, during: 1, after: 2 },
    usableBytesBefore: 1000,
    usableBytesAfter: 1200,
    warnings: ["mind the gap"],
  }
}
