import assert from "node:assert/strict"
import { test } from "node:test"
import { GIB, MIB } from "@hayloft/base/limits.js"
import {
  UNKNOWN_HEALTH,
  type DatabaseHealth,
  type ReportedDatabase,
  type SnapshotHolder,
  type StandbyHealth,
} from "@hayloft/engine/format/nodes/database-health.js"
import type { NodeOfDatabase } from "./contract.js"
import { databaseTrouble, databaseView, withGoneStandbys } from "./database-core.js"

const STANDBY: StandbyHealth = {
  name: "b",
  state: "streaming",
  sync: "sync",
  lagBytes: 100,
  lagSeconds: 0.2,
  goneSeconds: undefined,
}
const WELL: DatabaseHealth = {
  version: "PostgreSQL 15.18",
  isInRecovery: false,
  bytes: 1e9,
  unfrozenTransactions: 150_000_000,
  settings: {
    fsync: "on",
    full_page_writes: "on",
    synchronous_commit: "on",
    autovacuum: "on",
    synchronous_standby_names: "ANY 1 (*)",
    max_slot_wal_keep_size: "-1",
  },
  connectionsMax: 100,
  connectionsLeft: 40,
  tables: [
    { name: "lanes", liveRows: 10, deadRows: 2_000, bytes: 8_192, vacuumedSecondsAgo: 30 },
    { name: "rows", liveRows: 10_000_000, deadRows: 200_000, bytes: 1e9, vacuumedSecondsAgo: 3_000 },
  ],
  holders: [{ kind: "session", name: "7", owner: "hayloft", seconds: 2, transactions: 100 }],
  standbys: [STANDBY],
  unusedSlots: [{ name: "old", bytes: 10 * MIB }],
}
const NODE: NodeOfDatabase = {
  name: "n1",
  commits: { count: 500, medianMs: 3, slowMs: 30 },
  reads: { count: 500, medianMs: 1, slowMs: 10 },
  clock: { aheadMs: -40, uncertainMs: 1 },
}

const sentences = (change: Partial<DatabaseHealth>, nodes: readonly NodeOfDatabase[] = [NODE]): readonly string[] =>
  databaseTrouble({ ...WELL, ...change }, nodes).map(({ check, sentence }) => `${check}: ${sentence}`)

/** Exactly one thing is wrong. */
function says(change: Partial<DatabaseHealth>, ...patterns: readonly RegExp[]): void {
  const found = sentences(change)
  assert.equal(found.length, 1, found.join("\n"))
  for (const pattern of patterns) assert.match(found[0] ?? "", pattern)
}

test("a database that is well, and one that says nothing, have no trouble", () => {
  assert.deepEqual(sentences({}), [])
  const quiet = { name: "n1", commits: undefined, reads: undefined, clock: undefined }
  assert.deepEqual(databaseTrouble(UNKNOWN_HEALTH, [quiet]), [])
  assert.deepEqual(databaseTrouble(undefined, []), [])
})

test("an old transaction is named with its session, its age and what to do", () => {
  const holder: SnapshotHolder = { kind: "session", name: "123", owner: "ann, psql", seconds: 10_800, transactions: 5 }
  says(
    { holders: [holder] },
    /^oldSnapshot: A transaction of session 123 \(ann, psql\) holds back vacuum \(open for 3 h 0 min; 5 transactions/,
    /pg_terminate_backend\(123\)/,
  )
  assert.deepEqual(sentences({ holders: [{ ...holder, seconds: 600 }] }), [])
  says({ holders: [{ ...holder, seconds: 601, transactions: undefined }] }, /\(open for 10 min\)/)
})

test("a transaction whose age is hidden counts by the transactions since", () => {
  const holder: SnapshotHolder = { kind: "session", name: "9", owner: "", seconds: undefined, transactions: 1_000_001 }
  says({ holders: [holder] }, /session 9 holds back vacuum \(1,000,001 transactions have begun since\)/)
  assert.deepEqual(sentences({ holders: [{ ...holder, transactions: 1_000_000 }] }), [])
})

test("prepared transactions, standbys and slots hold back vacuum too", () => {
  const of = (kind: SnapshotHolder["kind"]): Partial<DatabaseHealth> => ({
    holders: [{ kind, name: "x", owner: "", seconds: 3_600, transactions: 1 }],
  })
  says(of("prepared"), /The prepared transaction x/, /ROLLBACK PREPARED/)
  says(of("standby"), /A query on standby x/, /hot_standby_feedback/)
  says(of("slot"), /replication slot x/, /drop the slot/)
})

test("dead rows are trouble if there are many, and many beside the live ones", () => {
  const tables = (deadRows: number, liveRows: number): Partial<DatabaseHealth> => ({
    tables: [{ name: "lanes", liveRows, deadRows, bytes: 1, vacuumedSecondsAgo: undefined }],
  })
  says(tables(50_001, 8), /deadRows: Table lanes has 50,001 dead rows beside 8 live ones; vacuum last finished never/)
  assert.deepEqual(sentences(tables(50_000, 8)), [])
  assert.deepEqual(sentences(tables(60_000, 300_000)), [])
  says(tables(60_001, 300_000), /lanes/)
})

test("settings that lose acknowledged writes are trouble", () => {
  const off = (name: string): Partial<DatabaseHealth> => ({ settings: { ...WELL.settings, [name]: "off" } })
  says(off("fsync"), /^durability: fsync is off .* loses acknowledged writes; turn it on/)
  says(off("full_page_writes"), /^durability: full_page_writes is off/)
  says(off("synchronous_commit"), /^durability: synchronous_commit is off/)
  says(off("autovacuum"), /^vacuum: autovacuum is off/)
  says({ isInRecovery: true }, /^recovery: .*standby in recovery/)
})

test("replication that is off or behind is trouble", () => {
  const standby = (change: Partial<StandbyHealth>): Partial<DatabaseHealth> => ({
    settings: { ...WELL.settings, synchronous_standby_names: "" },
    standbys: [{ ...STANDBY, ...change }],
  })
  says(standby({ lagSeconds: 61 }), /^replication: Standby b is 100 B and 1 min behind/)
  says(standby({ lagBytes: 256 * MIB + 1, state: "catchup" }), /Standby b \(catchup\) is 256.0 MiB and 0 s behind/)
  says(standby({ goneSeconds: 180, sync: undefined }), /Standby b has not been connected for 3 min/)
  assert.deepEqual(sentences(standby({ sync: "async" })), [])
  assert.deepEqual(sentences({ ...standby({}), standbys: [] }), [])
})

test("commits that wait for a synchronous standby that is not there are trouble", () => {
  says({ standbys: [] }, /^replication: Commits wait for a synchronous standby, and none is connected/)
  says({ standbys: [{ ...STANDBY, sync: "async" }] }, /Commits wait/)
  // The role may not see the states of standbys.
  const hidden = { ...STANDBY, state: undefined, sync: undefined, lagBytes: undefined, lagSeconds: undefined }
  assert.deepEqual(sentences({ standbys: [hidden] }), [])
})

test("too few connections, a growing slot and unfrozen rows are trouble", () => {
  says({ connectionsLeft: 9 }, /^connections: 9 of 100 connections are left/)
  assert.deepEqual(sentences({ connectionsLeft: 10 }), [])
  says({ unusedSlots: [{ name: "old", bytes: 2 * GIB }] }, /^slots: Replication slot old .* keeps 2.0 GiB of WAL/)
  const bounded = { ...WELL.settings, max_slot_wal_keep_size: "4096" }
  assert.deepEqual(sentences({ unusedSlots: [{ name: "old", bytes: 2 * GIB }], settings: bounded }), [])
  says({ unfrozenTransactions: 1_000_000_001 }, /^transactionIds: Rows of the last 1,000,000,001 transactions/)
})

test("slow answers name the node with the slowest, once for commits and once for reads", () => {
  const slow = { count: 20, medianMs: 250, slowMs: 900 }
  const nodes = [
    { ...NODE, commits: slow },
    { ...NODE, name: "n2", commits: { ...slow, medianMs: 400 } },
  ]
  const [found = "", ...others] = sentences({}, nodes)
  assert.deepEqual(others, [])
  assert.match(
    found,
    /^responseTimes: The database answers commits of node n2 \(and of 1 more nodes\) slowly: half take 400 ms/,
  )
  assert.deepEqual(sentences({}, [{ ...NODE, commits: { ...slow, count: 19 } }]), [])
  assert.equal(sentences({}, [{ ...NODE, reads: { count: 20, medianMs: 1, slowMs: 3_001 } }]).length, 1)
})

test("a clock that differs by more than the measurement may be wrong is trouble", () => {
  const clock = (aheadMs: number, uncertainMs: number) => [{ ...NODE, clock: { aheadMs, uncertainMs } }]
  assert.match(sentences({}, clock(-12_000, 5))[0] ?? "", /^clock: The clock of node n1 is 12 s behind the database's/)
  assert.match(sentences({}, clock(3_600_000, 5))[0] ?? "", /1 h 0 min ahead of the database's/)
  assert.deepEqual(sentences({}, clock(7_000, 2_500)), [])
  const all = sentences({}, [...clock(9_000, 1), { ...NODE, name: "n2", clock: { aheadMs: 9_000, uncertainMs: 1 } }])
  assert.equal(all.length, 2)
  assert.match(all[0] ?? "", /All nodes differ from it: its own clock may be wrong/)
})

test("a standby that disappears stays in the list for a day", () => {
  const none = { ...WELL, standbys: [] }
  const first = withGoneStandbys(WELL, none, 30)
  assert.deepEqual(
    first.standbys?.map(({ name, state, goneSeconds }) => [name, state, goneSeconds]),
    [["b", undefined, 30]],
  )
  const second = withGoneStandbys(first, none, 30)
  assert.equal(second.standbys?.[0]?.goneSeconds, 60)
  assert.deepEqual(withGoneStandbys(second, WELL, 30).standbys, WELL.standbys)
  assert.deepEqual(withGoneStandbys(second, none, 86_400).standbys, [])
  assert.equal(withGoneStandbys(WELL, { ...WELL, standbys: undefined }, 30).standbys, undefined)
})

test("all nodes that say something are shown by name, with the facts that were read last", () => {
  const times = (medianMs: number) => ({ count: 1, medianMs, slowMs: medianMs })
  const says = (medianMs: number, version: string | undefined, healthSecondsAgo: number): ReportedDatabase => ({
    commits: times(medianMs),
    reads: undefined,
    clock: undefined,
    healthSecondsAgo,
    health: version === undefined ? undefined : { ...UNKNOWN_HEALTH, version },
  })
  const others = [
    { name: "n3", view: says(3, "older", 50) },
    { name: "n1", view: says(1, "newer", 20) },
    { name: "n4", view: undefined },
  ]
  const shown = databaseView({ name: "n2", view: says(2, undefined, 0) }, others)
  assert.deepEqual(
    shown.nodes.map(({ name, commits }) => `${name} ${commits?.medianMs}`),
    ["n1 1", "n2 2", "n3 3"],
  )
  assert.deepEqual([shown.own, shown.health?.version, shown.healthSecondsAgo], ["n2", "newer", 20])
  assert.equal(databaseView({ name: "n2", view: says(2, "own", 10) }, others).health?.version, "own")
  assert.equal(databaseView({ name: "n2", view: says(2, undefined, 0) }, []).health, undefined)
})
