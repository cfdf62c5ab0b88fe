import assert from "node:assert/strict"
import { test } from "node:test"
import { databaseLines } from "./database-text.js"

const HEALTH = {
  version: "PostgreSQL 15.18 (Debian 15.18-0+deb12u1) on x86_64-pc-linux-gnu, compiled by gcc",
  isInRecovery: false,
  settings: {},
  bytes: 3 * 2 ** 30,
  unfrozenTransactions: 1_234_567,
  connectionsMax: 100,
  connectionsLeft: 61,
  tables: [
    { name: "lanes", liveRows: 12, deadRows: 1_200 },
    { name: "rows", liveRows: 5, deadRows: 0 },
  ],
  holders: [{ kind: "session" as const, name: "123", owner: "ann", seconds: 10_800, transactions: 7 }],
  standbys: [
    { name: "b", state: "streaming", sync: "sync", lagBytes: 2_048, lagSeconds: 0 },
    { name: "c", goneSeconds: 240 },
  ],
  unusedSlots: [],
}

test("the database shows its key figures, how it answers each node, and what is wrong", () => {
  const lines = databaseLines({
    own: "n1",
    findings: [{ check: "clock", sentence: "The clock is wrong." }],
    nodes: [
      {
        name: "n1",
        commits: { count: 9, medianMs: 2.34, slowMs: 41.2 },
        reads: { count: 9, medianMs: 0.5, slowMs: 1_200 },
        clock: { aheadMs: -12_000, uncertainMs: 1 },
      },
      { name: "n2", clock: { aheadMs: 0.4, uncertainMs: 1 } },
      { name: "n3" },
    ],
    health: HEALTH,
    healthSecondsAgo: 12,
  })
  assert.deepEqual(lines, [
    ["database", "PostgreSQL 15.18, 3.0 GiB, 61 of 100 connections left, 1,234,567 transactions not frozen (12 s ago)"],
    ["", "oldest transaction 3 h 0 min (session 123); dead rows: lanes 1,200 of 1,212"],
    ["", "standbys: b streaming, sync, 2.0 KiB behind; c not connected for 4 min"],
    ["", "answers n1: commits 2.3 ms, 99 % within 41 ms; reads 0.5 ms, 99 % within 1.2 s; clock 12.0 s behind"],
    ["", "answers n2: clock equal"],
    ["trouble", "The clock is wrong."],
  ])
})

test("a database that says nothing, or little, shows what it says", () => {
  assert.deepEqual(databaseLines({ own: "n1", findings: [], nodes: [] }), [
    ["database", "it has said nothing about itself lately"],
  ])
  const health = { version: "CockroachDB CCL v23.1.0 (x86_64)", settings: {} }
  assert.deepEqual(databaseLines({ own: "n1", findings: [], nodes: [], health, healthSecondsAgo: 0 }), [
    ["database", "CockroachDB CCL v23.1.0 (0 s ago)"],
  ])
  const quiet = { ...HEALTH, tables: [], holders: [], standbys: [] }
  assert.deepEqual(databaseLines({ own: "n1", findings: [], nodes: [], health: quiet }).slice(1), [
    ["", "no open transaction; dead rows: none"],
    ["", "no standby: metadata is as safe as the disks and the backups of this server"],
  ])
})
