import assert from "node:assert/strict"
import { test } from "node:test"
import { fail } from "@hayloft/base/failures.js"
import { parseBucketId, parseBucketName, parseDeviceId, parseStoreId, type DeviceId } from "@hayloft/base/ids.js"
import { PARTITIONS } from "@hayloft/base/limits.js"
import type { ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import { UNKNOWN_HEALTH } from "@hayloft/engine/format/nodes/database-health.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { ringAtRest } from "../control/at-rest.js"
import { firstRecordOf } from "../testing-engine.js"
import type { DatabaseView } from "./database-core.js"
import { registerStatus } from "./status-metrics.js"
import type { OpenDevice, ReencodingView, RepairView, SpaceView, StatusSources, ScrubView } from "./status-sources.js"
import { RunningStatus } from "./status.js"
import { workOfChange, workUnderWay } from "./work-under-way-core.js"

const SPACE: SpaceView = {
  fileSystemId: "",
  fileSystemKind: "ext4",
  totalBytes: 1000,
  freeBytes: 500,
  usableBytes: 400,
  reserveBytes: 100,
  isFull: false,
  isCritical: false,
  secondsUntilFull: undefined,
}
const NO_WORK = { partitionsDone: 0, partitionsRemaining: 0, doneBytes: 0, remainingBytes: 0 }
const REPAIR: RepairView = {
  isPaused: false,
  partitionsScanned: PARTITIONS,
  mending: NO_WORK,
  moving: NO_WORK,
  bytesPerSecond: 0,
  secondsLeft: undefined,
  isShortOfSpace: false,
  rebuiltShards: 0,
  lostBlocks: 0,
  lostBytes: 0,
  lostObjects: [],
  singleCopyBlocks: 0,
}

function world(devices: number, diskOf: (index: number) => string = String) {
  const clock = new SimClock()
  const telemetry = new SimTelemetry()
  const first = firstRecordOf(devices, 1024 * 1024)
  const open: OpenDevice[] = first.devices.map(({ id, pathHint }, index) => ({
    id,
    path: pathHint,
    trouble: undefined,
    checkpointError: undefined,
    space: { ...SPACE, fileSystemId: diskOf(index) },
    deadBytes: undefined,
    volumeBytes: 300,
    logBytes: 20,
    memtableRows: 3,
    calls: { name: "calls", depth: 0, limit: 10 },
  }))
  const now = {
    record: first,
    open,
    metadataTrouble: undefined as string | undefined,
    metadataDamages: [] as readonly string[],
    isDatabaseFull: false,
    orphans: { isStopped: false, abortedBlocks: 0, abortedBlocksMax: 32, waitingBlocks: 0 },
    contents: undefined as ReturnType<StatusSources["contents"]>,
    repair: undefined as RepairView | undefined,
    reencoding: undefined as ReencodingView | undefined,
    scrub: undefined as readonly ScrubView[] | undefined,
    database: undefined as DatabaseView | undefined,
    bucketsWithoutKeys: 0,
    isShortOfKeys: false,
    erasures: [] as ReturnType<NonNullable<StatusSources["erasures"]>>,
    keyServices: [] as ReturnType<NonNullable<StatusSources["keyServices"]>>,
    failingJobs: [] as ReturnType<StatusSources["failingJobs"]>,
  }
  const sources: StatusSources = {
    record: () => now.record,
    devices: () => now.open,
    offlineReason: () => "it does not answer",
    metadata: () => ({
      trouble: now.metadataTrouble,
      damages: now.metadataDamages,
      isDatabaseFull: now.isDatabaseFull,
    }),
    queues: () => [{ name: "commands", depth: 1, limit: 5 }],
    jobs: () => [],
    failingJobs: () => now.failingJobs,
    contents: () => now.contents,
    repair: () => now.repair,
    orphans: () => now.orphans,
    scrub: () => now.scrub,
    reencoding: () => now.reencoding,
    database: () => now.database,
    keyServices: () => now.keyServices,
    bucketsWithoutKeys: () => now.bucketsWithoutKeys,
    isShortOfKeys: () => now.isShortOfKeys,
    erasures: () => now.erasures,
  }
  const facts = {
    storeId: parseStoreId("0".repeat(32)),
    version: "1.0.0",
    region: "r",
    compatibility: [],
    startedMs: 0,
  }
  const status = new RunningStatus(clock, telemetry.log, facts, sources)
  registerStatus(telemetry.metrics, clock, status)
  status.setListening()
  return { clock, telemetry, status, now, ids: first.devices.map(({ id }) => id) }
}

function withState(record: ControlRecord, id: DeviceId | undefined, state: "offline" | "rebuilding"): ControlRecord {
  const devices = record.devices.map(device => (device.id === id ? { ...device, state, stateSinceMs: 9 } : device))
  const tablets = record.tablets.map(tablet => ({
    ...tablet,
    replicas: tablet.replicas.filter(replica => state !== "offline" || replica.id !== id),
  }))
  return { ...record, generation: record.generation + 1, devices, tablets }
}

test("a store whose orphan removal is stopped, or whose metadata is damaged, reports it and what to do", () => {
  const { status, now } = world(3)
  now.orphans = { ...now.orphans, isStopped: true, abortedBlocks: 33 }
  now.metadataDamages = ["the metadata on device d1 is damaged"]
  assert.ok(status.health().ready)
  const [damage, stopped] = status.health().reasons.slice(-2)
  assert.equal(damage, "the metadata on device d1 is damaged")
  assert.match(String(stopped), /33 blocks or more \(limit 32\).*: hayloft orphans resume$/)
  now.metadataTrouble = "the database cannot be reached"
  assert.ok(!status.health().ready && status.health().reasons.includes("the database cannot be reached"))
})

test("a key service that does not respond is a reason, without its details, and requests go on", () => {
  const { status, now } = world(3)
  const load = { running: 0, waiting: 0 }
  now.keyServices = [{ name: "aws", state: "reachable", ...load }]
  assert.deepEqual(status.health(), { ready: true, reasons: [] })
  now.keyServices = [{ name: "vault", state: "unreachable", sinceMs: 5, reason: "connect 10.0.0.1", ...load }]
  assert.deepEqual(status.health(), {
    ready: true,
    reasons: ["the key service vault cannot be reached: objects under its keys cannot be written or read"],
  })
  assert.deepEqual(status.report().keyServices, now.keyServices)
})

test("a job that has failed several times in a row is a reason, and requests go on", () => {
  const { status, now } = world(3)
  now.failingJobs = [{ name: "append-sealing", failuresInARow: 4 }]
  assert.deepEqual(status.health(), {
    ready: true,
    reasons: ["the background job append-sealing has failed 4 times in a row; hayloft jobs list shows its last error"],
  })
})

test("a database without space is a reason, health says full, and requests go on", () => {
  const { status, now } = world(3)
  now.isDatabaseFull = true
  const { ready, reasons, refusesWrites } = status.health()
  assert.ok(ready && refusesWrites)
  assert.match(reasons.join(), /^the disk of the database is full: changes are refused/)
})

test("buckets whose keys are unavailable are a reason, and whether the devices are encrypted is reported", () => {
  const { status, now } = world(3)
  assert.equal(status.report().isEncryptedAtRest, false)
  now.bucketsWithoutKeys = 2
  const { ready, reasons } = status.health()
  assert.ok(ready)
  assert.match(reasons.join(), /^keys of 2 buckets are unavailable: .*the log names the cause$/)
  now.record = { ...now.record, keyring: ringAtRest(new Uint8Array(32), new SimRandom(1), 0) }
  assert.equal(status.report().isEncryptedAtRest, true)
})

test("a device that lacks the newest keys is a reason and in the metrics, and the store goes on", () => {
  const { status, now, telemetry } = world(3)
  const shows = (value: number) =>
    assert.ok(telemetry.metrics.render().split("\n").includes(`hayloft_devices_short_of_keys ${value}`))
  now.isShortOfKeys = true
  const { ready, reasons } = status.health()
  assert.ok(ready)
  assert.match(reasons.join(), /^a device does not have the newest keys: .*the log names the cause$/)
  assert.equal(status.report().isShortOfKeys, true)
  shows(1)
})

test("metrics tell of encryption: at rest, buckets without keys, erasures and the devices that they wait for", () => {
  const { now, telemetry } = world(3)
  const device = (id: string) => ({ id: parseDeviceId(id.padStart(16, "0")), path: "/d", isOffline: true })
  const erasure = {
    bucket: parseBucketName("doomed"),
    bucketId: parseBucketId(1),
    sinceMs: 1,
    versions: 0,
    uploads: 0,
    keysReplaced: true,
  }
  now.bucketsWithoutKeys = 2
  now.erasures = [
    { ...erasure, devices: [device("d1"), device("d2")] },
    { ...erasure, devices: [device("d2")] },
  ]
  now.record = { ...now.record, keyring: ringAtRest(new Uint8Array(32), new SimRandom(1), 0) }
  const rendered = telemetry.metrics.render()
  for (const line of [
    "hayloft_encrypted_at_rest 1",
    "hayloft_buckets_without_keys 2",
    "hayloft_erasures_running 2",
    'hayloft_erasures_waiting{device="00000000000000d1"} 1',
    'hayloft_erasures_waiting{device="00000000000000d2"} 2',
  ])
    assert.ok(rendered.split("\n").includes(line), line)
})

test("a whole store reports what may fail, and nothing that is unknown", () => {
  const { status } = world(7)
  const report = status.report()
  assert.equal(report.safety.sentence, "ec:4+3 in 7 folders on 7 disks: any 3 of 7 disks may fail without loss")
  assert.deepEqual(report.health, { ready: true, reasons: [] })
  assert.ok(!("repair" in report) && !("scrub" in report) && !("transition" in report.layout))
  assert.deepEqual(
    report.devices.map(({ state, metadataReplica }) => [state, metadataReplica]),
    ["yes", "yes", "yes", "yes", "yes", "no", "no"].map(holds => ["active", holds]),
  )
})

test("status distinguishes offline, rebuilding, failed, full and missing devices", () => {
  const { status, now, ids, telemetry } = world(7)
  now.record = withState(withState(now.record, ids[0], "offline"), ids[1], "rebuilding")
  now.open = now.open
    .filter(({ id }) => id !== ids[0] && id !== ids[4])
    .map(device => {
      if (device.id === ids[2]) return { ...device, trouble: fail("deviceFailed", { message: "EIO" }) }
      return device.id === ids[3] && device.space ? { ...device, space: { ...device.space, isFull: true } } : device
    })
  const { devices, health, safety } = status.report()
  assert.deepEqual(
    devices.map(({ state }) => state),
    ["offline", "rebuilding", "failed", "full", "missing", "active", "active"],
  )
  assert.equal(devices[0]?.sinceMs, 9)
  assert.equal(health.ready, true)
  assert.equal(health.reasons.length, 4)
  assert.match(
    health.reasons.join("\n"),
    /last at \/d1, is offline: it does not answer\n.*failed: EIO\n.*is full.*\n.*\/d5, is missing/,
  )
  // Three are absent, and the contents of the rebuilding one are unknown: a full one still has its shards.
  assert.equal(safety.safeLosses, -1)
  assert.match(
    safety.sentence,
    /; something cannot be read today, because \/d1, \/d3 and \/d5 are offline and \/d2 is being rebuilt$/,
  )
  assert.equal(telemetry.metric("hayloft_safe_losses", {}), -1)
  assert.equal(telemetry.metric("hayloft_device_state", { device: String(ids[3]), state: "full" }), 1)
  assert.equal(telemetry.metric("hayloft_device_ok", { device: String(ids[4]) }), 0)
})

test("a store that cannot read what was acknowledged until devices are back is not ready", () => {
  const { status, now, ids } = world(7)
  for (const id of ids.slice(0, 4)) {
    assert.equal(status.health().ready, true)
    now.record = withState(now.record, id, "offline")
    now.open = now.open.filter(device => device.id !== id)
  }
  assert.equal(status.health().ready, false)
  assert.match(status.health().reasons.join("\n"), /cannot be read until devices that are offline are back/)
})

test("a process whose writes stay halted is not alive", () => {
  const { status } = world(3)
  assert.deepEqual(status.liveness(), { ready: true, reasons: [] })
  status.setLiveness(() => "writes have been halted")
  assert.deepEqual(status.liveness(), { ready: false, reasons: ["writes have been halted"] })
})

test("folders on one disk are reported as such", () => {
  const { status } = world(4, () => "same")
  assert.equal(
    status.report().safety.sentence,
    "ec:2+2 in 4 folders on 1 disk: protects against bit rot and 2 deleted folders, not against the disk",
  )
})

test("offline folders count neither as disks nor as a promise of more disks", () => {
  const { status, now, ids } = world(4, () => "same")
  const gone = ids.slice(2)
  now.open = now.open.filter(({ id }) => !gone.includes(id))
  for (const id of gone) now.record = withState(now.record, id, "offline")
  const { safety } = status.report()
  assert.match(
    safety.sentence,
    /^ec:2\+2 in 4 folders \(2 offline\) on 1 disk: protects against .* deleted folders, not against the disk; today 0/,
  )
  assert.deepEqual([safety.disks, safety.safeLosses, safety.safeLossesWhenWhole], [1, 0, 0])
})

test("a store with one folder per disk reports what it will survive once its offline folder is back", () => {
  const { status, now, ids } = world(7)
  now.open = now.open.filter(({ id }) => id !== ids[6])
  now.record = withState(now.record, ids[6], "offline")
  const { safety } = status.report()
  assert.match(
    safety.sentence,
    /^ec:4\+3 in 7 folders \(1 offline\) on 6 disks: any 3 disks may fail without loss once .*; today only 2, because \/d7 is offline$/,
  )
  assert.deepEqual([safety.disks, safety.safeLosses, safety.safeLossesWhenWhole], [6, 2, 3])
})

test("repair and moves report their estimated ends, and status when the store will be whole", () => {
  const { status, now, ids } = world(3)
  now.record = withState(now.record, ids[1], "rebuilding")
  const moving = { ...now.record, previousLayout: now.record.layout }
  now.record = moving
  now.repair = {
    ...REPAIR,
    mending: { partitionsDone: 5, partitionsRemaining: 10, doneBytes: 400, remainingBytes: 1000 },
    moving: { partitionsDone: 0, partitionsRemaining: 7, doneBytes: 0, remainingBytes: 3000 },
    bytesPerSecond: 100,
    secondsLeft: 40,
    singleCopyBlocks: 2,
    isShortOfSpace: true,
  }
  const { repair, layout, safety, health } = status.report()
  assert.deepEqual(repair?.progress, { doneBytes: 400, remainingBytes: 1000, bytesPerSecond: 100, endsInSeconds: 10 })
  assert.deepEqual([repair.partitionsDone, repair.partitionsRemaining], [5, 10])
  const progress = { doneBytes: 0, remainingBytes: 3000, bytesPerSecond: 100, endsInSeconds: 40 }
  assert.deepEqual(layout.transition, { fromVersion: layout.version, progress })
  assert.match(safety.sentence, /; today none, because \/d2 is being rebuilt .*; whole again in about 40 s$/)
  assert.match(health.reasons.join(), /2 blocks exist as a single copy.*,repair waits for space/)
  now.repair = { ...now.repair, isPaused: true }
  assert.doesNotMatch(status.report().safety.sentence, /whole again/)
  assert.ok(status.report().repair?.progress.endsInSeconds === undefined)
  // After a start paused repair has found nothing yet.
  const nothing = { partitionsDone: 0, partitionsRemaining: 0, doneBytes: 0, remainingBytes: 0 }
  now.repair = { ...now.repair, partitionsScanned: 0, mending: nothing, moving: nothing, secondsLeft: undefined }
  now.reencoding = { isPaused: false, doneBytes: 100, remainingBytes: 900, secondsLeft: 30, waiting: 0 }
  assert.doesNotMatch(status.report().safety.sentence, /whole again/)
})

test("re-encoding reports its estimated end, unless it waits", () => {
  const { status, now } = world(3)
  now.reencoding = { isPaused: false, doneBytes: 100, remainingBytes: 900, secondsLeft: 30, waiting: 0 }
  assert.deepEqual(status.report().reencoding, {
    doneBytes: 100,
    remainingBytes: 900,
    bytesPerSecond: 30,
    endsInSeconds: 30,
  })
  now.reencoding = { ...now.reencoding, isPaused: true }
  assert.deepEqual(status.report().reencoding, { doneBytes: 100, remainingBytes: 900, bytesPerSecond: 0 })
})

test("a change is not followed by work that is only being counted", () => {
  const { status, now } = world(3)
  const begun = (isCounting: boolean) =>
    workOfChange(workUnderWay(status.report(), { former: undefined }, { isCounting }), undefined)?.kind
  assert.equal(begun(true), undefined)
  now.reencoding = { isPaused: false, doneBytes: 100, remainingBytes: 900, secondsLeft: 30, waiting: 0 }
  assert.equal(begun(false), "reencode")
})

test("re-encoding that an earlier process began is not over while this one counts, and none is shown as new", () => {
  const { status, now } = world(3)
  const reencodings = (isCounting: boolean) =>
    workUnderWay(status.report(), { former: undefined }, { isCounting }).filter(({ kind }) => kind === "reencode")
  assert.deepEqual(
    reencodings(true).map(({ isNoted }) => isNoted),
    [false],
  )
  assert.deepEqual(reencodings(false), [])
  now.reencoding = { isPaused: false, doneBytes: 100, remainingBytes: 900, secondsLeft: 30, waiting: 0 }
  assert.deepEqual(
    reencodings(false).map(({ isNoted }) => isNoted),
    [true],
  )
})

test("the progress of scrub is reported to its end", async () => {
  const { clock, status, now, ids } = world(3)
  const [device] = ids
  assert.ok(device)
  const view = { device, state: "running", passStartedMs: 0, oldestVerifiedMs: 0, damagesFound: 0 } as const
  const stop = new AbortController()
  const ended = status.run(stop.signal)
  for (let second = 0; second <= 40; second += 1) {
    now.scrub = [{ ...view, doneBytes: 1000 * second, remainingBytes: 1000 * (60 - second) }]
    await clock.advance(1000)
  }
  const { endsInSeconds = 0 } = status.report().scrub?.[0]?.progress ?? {}
  assert.ok(Math.abs(endsInSeconds - 20) < 2, String(endsInSeconds))
  stop.abort()
  await clock.runUntil(ended)
})

test("the findings of a shard scan change the safety within seconds, not for every reader", async () => {
  const { clock, status, now, ids } = world(3)
  const contents = { isKnown: true, isCounted: false, policies: [], bucketPolicies: [], misplacedGroups: [] }
  const [, second] = ids
  assert.ok(second !== undefined)
  const lacking = new Map([[second, new Uint8Array(PARTITIONS).fill(1, 0, 1)]])
  now.contents = { ...contents, version: 1, lacking: new Map() }
  assert.equal(status.report().safety.safeLosses, 1)
  now.contents = { ...contents, version: 2, lacking }
  assert.equal(status.report().safety.safeLosses, 1)
  await clock.advance(5_000)
  assert.equal(status.report().safety.safeLosses, 0)
  assert.match(status.health().reasons.join(), /devices lack shards that they should have/)
})

test("before the first scan nothing is promised, and nothing is reported as lost", () => {
  const { status, now, ids } = world(3)
  const everything = new Uint8Array(PARTITIONS).fill(1)
  const lacking = new Map(ids.slice(0, 2).map(id => [id, everything]))
  const contents = {
    policies: [{ policy: now.record.policy, bytes: 100 }],
    bucketPolicies: [],
    misplacedGroups: [],
    lacking,
    isCounted: false,
  }
  now.contents = { ...contents, isKnown: false, version: 1 }
  const { safeLosses, levels, sentence } = status.report().safety
  assert.deepEqual([safeLosses, levels], [0, [{ losses: 0, bytes: 100 }]])
  assert.match(sentence, /; what may fail today is being checked, as after every start; shards that belong on/)
  now.contents = { ...contents, lacking: new Map(), isKnown: false, version: 2 }
  now.record = { ...now.record, generation: 3 }
  assert.equal(status.report().safety.safeLosses, 0)
  now.contents = { ...contents, lacking: new Map(), isKnown: true, version: 2 }
  now.record = { ...now.record, generation: 4 }
  assert.equal(status.report().safety.safeLosses, 1)
  now.contents = { ...contents, isKnown: true, version: 3 }
  now.record = { ...now.record, generation: 2 }
  assert.match(status.report().safety.sentence, /something cannot be read today/)
})

test("after an integrity audit, unreadable data is reported by block, not by share of partitions", () => {
  const { status, now, ids } = world(3)
  now.record = withState(now.record, ids[0], "offline")
  const lacking = new Map([[ids[1] ?? assert.fail(), new Uint8Array(PARTITIONS).fill(1, 0, 13)]])
  const lost = { partition: 5, needed: 2, devices: [], bytes: 47_000_000 }
  const policies = [{ policy: now.record.policy, bytes: PARTITIONS * 100 }]
  const contents = {
    isKnown: true,
    isCounted: true,
    policies,
    bucketPolicies: [],
    lacking,
    misplacedGroups: [],
    version: 1,
  }
  now.contents = contents
  assert.deepEqual(status.report().safety.levels, [{ losses: 0, bytes: PARTITIONS * 100 }])
  assert.equal(
    status.report().safety.safeLosses,
    0,
    "the blocks of these partitions were all there when they were called",
  )
  now.contents = { ...contents, misplacedGroups: [lost] }
  now.record = { ...now.record, generation: 9 }
  const { safeLosses, levels } = status.report().safety
  assert.deepEqual([safeLosses, levels[0]], [-1, { losses: -1, bytes: 47_000_000 }])
})

test("the log reports when no further disk may fail, and when one may again", async () => {
  const { clock, telemetry, status, now, ids } = world(3)
  const stop = new AbortController()
  const ended = status.run(stop.signal)
  await clock.advance(10_000)
  assert.equal(telemetry.entries("no_further_disk_may_fail").length, 0)
  const whole = now.record
  now.record = withState(now.record, ids[1], "offline")
  await clock.advance(20_000)
  assert.equal(telemetry.entries("no_further_disk_may_fail").length, 1)
  now.record = { ...whole, generation: 9 }
  await clock.advance(20_000)
  assert.equal(telemetry.entries("further_disk_may_fail_again").length, 1)
  stop.abort()
  await clock.runUntil(ended)
})

test("the report of a large store takes less than a second, evaluated or not", () => {
  const { status, now } = world(11)
  const before = process.cpuUsage()
  status.report()
  now.record = { ...now.record, generation: 2 }
  status.report()
  const { user, system } = process.cpuUsage(before)
  assert.ok((user + system) / 1000 < 1000, `${(user + system) / 1000} ms`)
})

test("the database is reported with what is wrong, which changes neither health nor readiness", () => {
  const { status, telemetry, now } = world(3)
  assert.equal(status.report().database, undefined)
  const before = status.health()
  const clock = { aheadMs: -12_000, uncertainMs: 2 }
  now.database = {
    own: "n2",
    healthSecondsAgo: 12.4,
    nodes: [
      { name: "n1", commits: undefined, reads: undefined, clock: { aheadMs: 0, uncertainMs: 1 } },
      { name: "n2", commits: { count: 30, medianMs: 300, slowMs: 900 }, reads: undefined, clock },
    ],
    health: {
      ...UNKNOWN_HEALTH,
      bytes: 4_096,
      connectionsLeft: 3,
      tables: [{ name: "lanes", liveRows: 1, deadRows: 70_000, bytes: undefined, vacuumedSecondsAgo: undefined }],
      holders: [{ kind: "session", name: "1", owner: "", seconds: 20, transactions: 5 }],
      standbys: [
        { name: "b", state: "streaming", sync: "sync", lagBytes: 77, lagSeconds: 0, goneSeconds: undefined },
        { name: "c", state: undefined, sync: undefined, lagBytes: undefined, lagSeconds: undefined, goneSeconds: 9 },
      ],
    },
  }
  const { database } = status.report()
  assert.deepEqual(
    database?.findings.map(({ check }) => check),
    ["connections", "replication", "responseTimes", "clock", "deadRows"],
  )
  assert.equal(database?.healthSecondsAgo, 12)
  assert.deepEqual(status.health(), before)
  const text = telemetry.metrics.render()
  const shown = text.split("\n").filter(line => line.startsWith("hayloft_database_"))
  assert.deepEqual(shown.sort(), [
    "hayloft_database_bytes 4096",
    "hayloft_database_clock_ahead_seconds -12",
    "hayloft_database_connections_left 3",
    'hayloft_database_dead_rows{table="lanes"} 70000',
    'hayloft_database_findings{check="clock"} 1',
    'hayloft_database_findings{check="connections"} 1',
    'hayloft_database_findings{check="deadRows"} 1',
    'hayloft_database_findings{check="replication"} 1',
    'hayloft_database_findings{check="responseTimes"} 1',
    "hayloft_database_oldest_snapshot_seconds 20",
    'hayloft_database_response_seconds{quantile="0.5",statements="commits"} 0.3',
    'hayloft_database_response_seconds{quantile="0.99",statements="commits"} 0.9',
    'hayloft_database_standby_lag_bytes{standby="b"} 77',
  ])
})
