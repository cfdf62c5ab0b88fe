import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { bytesOfHex, hexOf } from "@hayloft/base/bytes.js"
import { isFailure } from "@hayloft/base/failures.js"
import { parseDeviceId } from "@hayloft/base/ids.js"
import { PARTITIONS } from "@hayloft/base/limits.js"
import { parsePolicy } from "@hayloft/base/policy.js"
import { UNKNOWN_HEALTH, type ReportedDatabase } from "./database-health.js"
import { decodeNodeReport, encodeNodeReport, type NodeReport } from "./node-report.js"

const [a, b] = [parseDeviceId("00000000000000a1"), parseDeviceId("00000000000000b2")]
const flags = new Uint8Array(PARTITIONS)
for (const at of [0, 9, 65_535]) flags[at] = 1

const SPACE = {
  fileSystemId: "8:1",
  fileSystemKind: "xfs",
  totalBytes: 2 ** 40,
  freeBytes: 2 ** 39,
  usableBytes: undefined,
  reserveBytes: 2 ** 30,
  isFull: true,
  isCritical: false,
  secondsUntilFull: 60,
}
const DEVICE = {
  id: a,
  path: "/disk",
  trouble: undefined,
  checkpointError: "no space",
  deadBytes: 1,
  volumeBytes: 2,
  logBytes: 3,
  memtableRows: 4,
  callsQueued: 5,
  callsMax: 6,
  space: SPACE,
}
const work = (of: number) => ({ doneBytes: of, remainingBytes: 1, partitionsDone: 2, partitionsRemaining: 3 })
const WHOLE: NodeReport = {
  devices: [DEVICE, { ...DEVICE, id: b, trouble: "it hangs", deadBytes: undefined, space: undefined }],
  jobs: [{ name: "repair", state: "failed", progress: "héron", lastError: "why", throttle: 2 }],
  scrub: [
    {
      device: a,
      state: "paused",
      passStartedMs: 1,
      oldestVerifiedMs: 2,
      damagesFound: 3,
      doneBytes: 4,
      remainingBytes: 5,
    },
  ],
  repairer: {
    contents: {
      isKnown: true,
      isCounted: false,
      version: 7,
      lacking: new Map([[a, flags]]),
      policies: [{ policy: parsePolicy("ec:4+2"), bytes: 100 }],
      bucketPolicies: [parsePolicy("replica:3")],
      misplacedGroups: [{ partition: 5, needed: 4, devices: [a, b], bytes: 9 }],
    },
    repair: {
      isPaused: false,
      partitionsScanned: 65_536,
      mending: work(1),
      moving: work(2),
      bytesPerSecond: 1.5,
      secondsLeft: undefined,
      rebuiltShards: 1,
      lostBlocks: 1,
      lostBytes: 2,
      singleCopyBlocks: 3,
      lostObjects: [{ bucket: "b", key: "k", what: "version" }],
      isShortOfSpace: true,
    },
    reencoding: { isPaused: true, doneBytes: 1, remainingBytes: 2, secondsLeft: 3, waiting: 4 },
    orphans: { isStopped: true, abortedBlocks: 1, abortedBlocksMax: 2, waitingBlocks: 3 },
  },
  database: {
    commits: { count: 3, medianMs: 1.5, slowMs: 20 },
    reads: undefined,
    healthSecondsAgo: 12.5,
    clock: { aheadMs: -1.5, uncertainMs: 0.5 },
    health: {
      version: "PostgreSQL 15.18",
      isInRecovery: false,
      settings: { fsync: "on", autovacuum: "off" },
      bytes: 2 ** 33,
      unfrozenTransactions: 200,
      connectionsMax: 100,
      connectionsLeft: 0,
      tables: [
        { name: "lanes", liveRows: 4, deadRows: 1_000, bytes: 8_192, vacuumedSecondsAgo: 60.5 },
        { name: "rows", liveRows: 4, deadRows: 0, bytes: undefined, vacuumedSecondsAgo: undefined },
      ],
      holders: [
        { kind: "session", name: "123", owner: "héron, psql", seconds: 3.5, transactions: 10 },
        { kind: "slot", name: "standby_1", owner: "", seconds: undefined, transactions: undefined },
      ],
      standbys: [
        { name: "a", state: "streaming", sync: "quorum", lagBytes: 5, lagSeconds: 0.25, goneSeconds: undefined },
        {
          name: "b",
          state: undefined,
          sync: undefined,
          lagBytes: undefined,
          lagSeconds: undefined,
          goneSeconds: 30,
        },
      ],
      unusedSlots: [
        { name: "old", bytes: 2 ** 30 },
        { name: "new", bytes: undefined },
      ],
    },
  },
}
/** A database that says nothing about itself. */
const SILENT: ReportedDatabase = {
  commits: undefined,
  reads: { count: 1, medianMs: 2, slowMs: 2 },
  clock: undefined,
  healthSecondsAgo: 0,
  health: UNKNOWN_HEALTH,
}
const BARE: NodeReport = { devices: [], jobs: [], scrub: [], repairer: undefined, database: undefined }
/** The reports of a node of an earlier release. */
const EARLIER = [BARE, { ...WHOLE, database: undefined }]
const KEYED: NodeReport = {
  ...BARE,
  epochs: new Map([[a, 2]]),
  masterKeys: new Map([[b, 3]]),
  nextKeyProof: new Uint8Array(32).fill(7),
}
const NOW = [BARE, WHOLE, { ...BARE, database: SILENT }, KEYED]
const isCorrupt = (error: unknown): boolean => isFailure(error, "corruptRecord")
const goldenLines = (name: string): readonly string[] =>
  readFileSync(new URL(`../../../../../../packages/engine/src/format/golden/${name}.txt`, import.meta.url), "utf8")
    .trim()
    .split("\n")

const bytesFrom = (hex: string): Uint8Array => must(bytesOfHex(hex), "these are hex digits")

test("node reports v1 are unchanged, byte for byte, and are read back", () => {
  const lines = NOW.map(report => hexOf(encodeNodeReport(report)))
  assert.deepEqual(lines, goldenLines("node-report-v1-database"))
  assert.deepEqual(
    lines.map(line => decodeNodeReport(bytesFrom(line))),
    NOW,
  )
})

test("how many objects are lost at least is a member that later releases send", () => {
  const { repairer } = WHOLE
  const repair = must(must(repairer, "a repairer").repair, "its report")
  const counted: NodeReport = {
    ...BARE,
    repairer: { ...must(repairer, "a repairer"), contents: undefined, repair: { ...repair, lostObjectsMin: 4 } },
  }
  const line = hexOf(encodeNodeReport(counted))
  assert.deepEqual([line], goldenLines("node-report-v1-lost-objects"))
  assert.deepEqual(decodeNodeReport(bytesFrom(line)), counted)
})

test("reports of an earlier release, without a database, are read", () => {
  const lines = goldenLines("node-report-v1")
  assert.deepEqual(
    lines.map(line => decodeNodeReport(bytesFrom(line))),
    EARLIER,
  )
})

test("a report with members of a later release is read", () => {
  const [bare = ""] = goldenLines("node-report-v1-database")
  // No keys, and one member more.
  const longer = bytesFrom(`9a${bare.slice(2)}c0c0c0cb4000000000000000`)
  assert.deepEqual(decodeNodeReport(longer), BARE)
})

test("a report that was cut or changed is refused with its kind, or is another report", () => {
  const whole = encodeNodeReport(WHOLE)
  for (let length = 0; length < whole.length; length += 1) {
    assert.throws(() => decodeNodeReport(whole.subarray(0, length)), isCorrupt)
  }
  for (let at = 0; at < whole.length; at += 1) {
    const changed = whole.slice()
    changed[at] = (changed[at] ?? 0) ^ (1 << (at % 8))
    try {
      decodeNodeReport(changed)
    } catch (error) {
      assert.ok(isCorrupt(error), String(error))
    }
  }
})
