import assert from "node:assert/strict"
import { test } from "node:test"
import type { CheckFinding } from "./finding.js"
import { hostFindings, serverFindings, verdictOf, waitsForStandby, type ServerFacts } from "./findings-core.js"
import { versionOf } from "./product-core.js"
import { latencyFinding, preparedFinding, refusedFinding, RUN_NAMES, runFinding } from "./runs-core.js"
import { durationMsOf, SETTING_NAMES } from "./settings-core.js"

const GOOD_SETTINGS: Readonly<Record<string, string>> = {
  fsync: "on",
  full_page_writes: "on",
  synchronous_commit: "on",
  synchronous_standby_names: "ANY 1 (*)",
  zero_damaged_pages: "off",
  ignore_checksum_failure: "off",
  data_checksums: "on",
  wal_level: "replica",
  autovacuum: "on",
  default_transaction_isolation: "read committed",
  statement_timeout: "0",
  lock_timeout: "0",
  idle_in_transaction_session_timeout: "0",
  server_encoding: "UTF8",
  transaction_timeout: "0",
  idle_session_timeout: "0",
  max_slot_wal_keep_size: "-1",
}

interface Change extends Partial<Omit<ServerFacts, "settings">> {
  /** A setting is undefined if the server does not have it. */
  readonly settings?: Readonly<Record<string, string | undefined>>
}

function factsOf({ settings = {}, ...change }: Change): ServerFacts {
  const all = Object.entries({ ...GOOD_SETTINGS, ...settings })
  return {
    version: "PostgreSQL 17.2 on x86_64",
    protection: "verifiedTls",
    pooler: "none",

    connectionsLeft: 90,
    standbys: [{ name: "b", sync: "quorum" }],
    inactiveSlots: 0,
    oldestTransactionSeconds: 0,
    ...change,
    settings: new Map(all.flatMap(([name, value]) => (value === undefined ? [] : [[name, value] as const]))),
  }
}

const findingsOf = (change: Change): readonly CheckFinding[] => serverFindings(factsOf(change), 4)

test("a good server is safe without exception", () => {
  const findings = findingsOf({})
  assert.deepEqual(
    findings.filter(({ level }) => level !== "ok"),
    [],
  )
  assert.deepEqual(verdictOf(findings), { isSafe: true, sentence: "This database is safe for Hayloft." })
})

/** The effect of one difference from a good server: the level, and words of the line that is shown. */
const TABLE: readonly (readonly [Change, CheckFinding["level"], RegExp])[] = [
  [{ settings: { fsync: "off" } }, "fail", /fsync is off: a crash of the machine loses acknowledged writes/],
  [{ settings: { fsync: undefined } }, "unknown", /fsync/],
  [{ settings: { full_page_writes: "off" } }, "fail", /full_page_writes is off: .*ZFS/],
  [{ settings: { synchronous_commit: "off" } }, "fail", /synchronous_commit is off: .*before they are durable/],
  [{ settings: { synchronous_commit: "local" } }, "warn", /the standbys are asynchronous: a failover/],
  [{ settings: { synchronous_commit: "remote_write" } }, "warn", /write commits, and do not flush them/],
  [{ settings: { synchronous_standby_names: "" } }, "warn", /asynchronous: a failover .*Hayloft detects that/],
  [{ settings: { synchronous_standby_names: "" }, standbys: [] }, "warn", /there is no standby/],
  [{ standbys: [] }, "fail", /no synchronous standby is connected: every commit waits/],
  [{ standbys: [{ name: "b", sync: "async" }] }, "fail", /no synchronous standby is connected/],
  [{ standbys: [{ name: "b", sync: undefined }] }, "unknown", /pg_monitor/],
  [{ standbys: undefined }, "unknown", /standbys/],
  [{ settings: { zero_damaged_pages: "on" } }, "fail", /zero_damaged_pages is on/],
  [{ settings: { data_checksums: "off" } }, "warn", /data_checksums is off/],
  [{ settings: { wal_level: "minimal" } }, "warn", /wal_level is minimal/],
  [{ settings: { autovacuum: "off" } }, "warn", /autovacuum is off/],
  [{ settings: { default_transaction_isolation: "serializable" } }, "warn", /read committed/],
  [{ settings: { statement_timeout: "5s" } }, "warn", /statement_timeout is 5s: .*cancelled/],
  [{ settings: { lock_timeout: "10ms" } }, "warn", /lock_timeout is 10ms/],
  [{ settings: { idle_session_timeout: "30s" } }, "warn", /idle_session_timeout is 30s/],
  [{ settings: { server_encoding: "LATIN1" } }, "warn", /server_encoding is LATIN1/],
  [{ protection: "none" }, "warn", /does not use TLS: .*verify-full/],
  [{ protection: "unverifiedTls" }, "warn", /certificate is not verified/],
  [{ pooler: undefined }, "unknown", /pooler/],
  [{ connectionsLeft: 7 }, "warn", /7 connections are left, 4 for each node: enough for 1 nodes/],
  [{ connectionsLeft: undefined }, "unknown", /how many connections/],
  [{ connectionsLeft: 12 }, "ok", /enough for 3 nodes/],
  [{ pooler: "session" }, "ok", /pooler in session mode/],
  [{ pooler: "transaction" }, "ok", /pooler in transaction mode/],
  [{ pooler: "none" }, "ok", /there is no pooler/],
  [{ protection: "unixSocket" }, "ok", /Unix socket/],
  [{ settings: { statement_timeout: "10s" } }, "ok", /statement_timeout is 10s/],
  [{ settings: { synchronous_standby_names: "" } }, "ok", /synchronous_standby_names is empty/],
  [{ settings: { server_encoding: "SQL_ASCII" } }, "ok", /server_encoding is SQL_ASCII/],
  [{ standbys: [{ name: "b", sync: "sync" }] }, "ok", /commits wait for synchronous standbys \(1 connected\)/],
  [{ settings: { max_slot_wal_keep_size: "10GB" }, inactiveSlots: 1 }, "ok", /1 replication slots are not in use/],
  [{ settings: { max_slot_wal_keep_size: undefined }, inactiveSlots: 1 }, "warn", /1 replication slots are not in use/],
  [{ oldestTransactionSeconds: undefined }, "unknown", /oldest transaction/],
  [{ oldestTransactionSeconds: 3_599 }, "ok", /oldest transaction/],
  [{ oldestTransactionSeconds: 3_600 }, "warn", /oldest transaction/],
  [{ version: "PostgreSQL 12.1 on x86_64" }, "ok", /PostgreSQL 12.1/],
  [{ inactiveSlots: 2 }, "warn", /2 replication slots are not in use: they keep WAL/],
  [{ oldestTransactionSeconds: 7_000 }, "warn", /the oldest transaction is 7000 s old/],
  [{ version: "PostgreSQL 11.2 on x86_64" }, "fail", /PostgreSQL 11.2: Hayloft needs 12 or later/],
  [{ version: "PostgreSQL 11.2-YB-2.18.0.0-b0 on x86_64" }, "warn", /YugabyteDB 2.18.0.0-b0: .*not been tried/],
  [{ version: "CockroachDB CCL v23.1.11 (x86_64-pc-linux-gnu)" }, "warn", /CockroachDB 23.1.11: .*not been tried/],
  [{ version: "PostgreSQL 8.0.2 on i686, Redshift 1.0.4" }, "warn", /does not know this product/],
]
for (const [change, level, pattern] of TABLE) {
  test(`${JSON.stringify(change)} is a ${level}: ${pattern.source}`, () => {
    const found = findingsOf(change).filter(each => pattern.test(`${each.found}: ${each.meaning ?? ""}`))
    assert.deepEqual(
      found.map(each => each.level),
      [level],
    )
    const { isSafe } = verdictOf(findingsOf(change))
    assert.equal(isSafe, level !== "fail")
  })
}

test("settings of newer versions are not missed in older ones, and slots not where there are none", () => {
  const settings = { transaction_timeout: undefined, idle_session_timeout: undefined }
  for (const { check } of findingsOf({ settings, inactiveSlots: undefined }))
    assert.ok(!["transaction_timeout", "idle_session_timeout", "slots"].includes(check), check)
  assert.ok(!findingsOf({}).some(({ check }) => check === "slots"))
})

test("replication is that of PostgreSQL only", () => {
  const cockroach = factsOf({ version: "CockroachDB CCL v23.1.11 (x86_64)", standbys: [] })
  assert.ok(!serverFindings(cockroach, 4).some(({ check }) => check === "replication"))
  assert.equal(waitsForStandby(cockroach), false)
})

test("every setting that is judged, and those of the limits, are asked for", () => {
  const asked = new Set(SETTING_NAMES)
  const judged = findingsOf({}).filter(
    ({ check }) => /_|^fsync|^autovacuum/.test(check) && check !== "oldest_transaction",
  )
  for (const { check } of judged) assert.ok(asked.has(check), check)
  for (const name of ["max_connections", "superuser_reserved_connections", "max_slot_wal_keep_size"])
    assert.ok(asked.has(name), name)
})

test("the default isolation level depends on the product", () => {
  const isolation = { default_transaction_isolation: "serializable" }
  const findings = findingsOf({ version: "CockroachDB CCL v23.1.11 (x86_64)", settings: isolation })
  assert.equal(findings.find(({ check }) => check === "default_transaction_isolation")?.level, "ok")
  const weaker = findingsOf({ version: "CockroachDB CCL v23.1.11 (x86_64)" })
  const found = weaker.find(({ check }) => check === "default_transaction_isolation")
  assert.deepEqual([found?.level, /serializable on this product/.test(found?.meaning ?? "")], ["warn", true])
})

test("nothing is tried while every commit would wait for a standby", () => {
  assert.equal(waitsForStandby(factsOf({ standbys: [] })), true)
  assert.equal(waitsForStandby(factsOf({})), false)
  assert.equal(waitsForStandby(factsOf({ settings: { synchronous_standby_names: "" }, standbys: [] })), false)
})

test("durations are read as SHOW prints them", () => {
  const texts = ["0", "250ms", "5s", "1min", "2h", "1d", "never", "about 5s", "5s or so"]
  assert.deepEqual(texts.map(durationMsOf), [
    0,
    250,
    5_000,
    60_000,
    7_200_000,
    86_400_000,
    undefined,
    undefined,
    undefined,
  ])
})

test("a host that cannot be used matters only if there is no other", () => {
  const primary = { name: "a", state: "writable", startedAt: "1" } as const
  const standby = { name: "b", state: "readOnly" } as const
  const gone = { name: "c", state: "failed", reason: "refused" } as const
  assert.deepEqual(
    hostFindings([standby, primary, gone]).map(({ level }) => level),
    ["ok", "ok", "warn"],
  )
  assert.deepEqual(
    hostFindings([standby, gone]).map(({ level }) => level),
    ["fail", "fail"],
  )
})

test("two servers that accept writes are not one database", () => {
  const primary = (name: string, startedAt: string | undefined) => ({ name, state: "writable", startedAt }) as const
  const isSafe = (second: string | undefined) =>
    verdictOf(hostFindings([primary("a", "1"), primary("b", second)])).isSafe
  assert.deepEqual([isSafe("1"), isSafe("2"), isSafe(undefined)], [true, false, true])
})

test("a run that was broken, and one that could not be made, are failures", () => {
  const run = { name: "lostUpdate", rounds: 9, broken: 0, refused: 0 } as const
  assert.equal(runFinding(run).level, "ok")
  const broken = runFinding({ ...run, broken: 2, example: "2 and 2" })
  assert.match(`${broken.found}: ${broken.meaning}`, /lost update: broken in 2 of 9 rounds: an acknowledged .*2 and 2/)
  const refused = runFinding({ ...run, refused: 3, example: "stopping" })
  assert.match(`${refused.found}: ${refused.meaning}`, /3 of 9 rounds could not be made: stopping/)
  assert.deepEqual(verdictOf([broken, refused]), {
    isSafe: false,
    sentence: `This database is NOT safe for Hayloft: ${broken.found}; ${refused.found}.`,
  })
})

test("statements that a product refuses are named as what they are", () => {
  const cockroach = versionOf("CockroachDB CCL v23.1.11 (x86_64)")
  const finding = refusedFinding("statements", "multiple mutations of the same table", cockroach)
  assert.match(finding.found, /Hayloft's statements do not run on CockroachDB 23.1.11 yet/)
  assert.equal(finding.level, "fail")
  const postgres = versionOf("PostgreSQL 17.2 on x86_64")
  assert.match(refusedFinding("schema", "permission denied for database x", postgres).meaning ?? "", /GRANT CREATE/)
  assert.match(preparedFinding("does not exist").meaning ?? "", /PgBouncer 1.21/)
  assert.doesNotMatch(refusedFinding("schema", "the disk is full", postgres).meaning ?? "", /GRANT/)
  assert.match(refusedFinding("statements", "no", postgres).found, /do not run on PostgreSQL 17.2$/)
  assert.match(refusedFinding("statements", "no", versionOf("x PostgreSQL 9")).found, /on this product yet$/)
  assert.equal(preparedFinding(undefined).level, "ok")
})

test("a database far from its nodes is slow, not unsafe", () => {
  assert.deepEqual(latencyFinding(0.25, 10), {
    level: "ok",
    check: "latency",
    found: "a round trip takes 0.3 ms, a commit 10 ms",
  })
  assert.deepEqual([latencyFinding(25, 24.9).level, latencyFinding(25, 25).level], ["ok", "warn"])
})

test("all runs are made", () => {
  assert.equal(RUN_NAMES.length, 10)
})
