import { test } from "node:test"
import assert from "node:assert/strict"
import { fileSystemOf } from "./machine.js"
import { parseStat } from "./process-usage.js"
import { figureText, textOfReport } from "./report.js"
import type { Result } from "./row.js"

test("every row is in the table, including missed, failed and unmeasured ones", () => {
  const of = { theme: "t", target: "ratio <= 1", rounds: [1] }
  const rows: Result[] = [
    {
      ...of,
      work: "PUT",
      verdict: "missed",
      ratio: 1.234,
      rounds: [1.234, 1.1, 1.301],
      measured: { figure: 2.4681, unit: "s", limit: 2, also: { p99Ms: 1234.5 } },
    },
    { ...of, work: "GET", verdict: "failed", why: "broke" },
    { ...of, work: "HEAD", verdict: "unmeasured", why: "needs /proc" },
  ]
  const machine = {
    cpu: "c",
    cores: 2,
    node: "20",
    memoryGib: 4,
    fileSystem: undefined,
    load: 0.5,
    commit: "abc",
    command: "npm run bench",
    startedAt: "2026-01-02T03:04:05.000Z",
  }
  const text = textOfReport({ machine, seconds: 12, rows })
  assert.match(
    text,
    /c, 2 cores, 4 GiB; Node 20; unknown file system\nabc; 2026-01-02T03:04:05.000Z; load 0.5 before; 12 s/,
  )
  assert.match(text, /PUT +2\.47 +s +2 +1\.23 +ratio <= 1 +missed +p99Ms 1235, rounds 1\.1 to 1\.3\n/)
  assert.match(text, /GET .*failed +broke\n/)
  assert.match(text, /HEAD .*unmeasured +needs \/proc\n/)
  assert.match(text, /0 met, 1 missed, 0 reported, 1 unmeasured, 1 failed\n$/)
  assert.deepEqual([0, 0.01234, 99.96, 1234567].map(figureText), ["0", "0.0123", "100", "1234567"])
})

test("processor time is parsed correctly after any process name", () => {
  assert.equal(parseStat("12 (a b) c) S 1 12 12 0 -1 4194560 1 0 0 0 250 50 7 8 20 0 11 0 5 6\n"), 3)
})

test("the file system is that of the nearest mount point", () => {
  const mounts = "/dev/a / ext4 rw 0 0\nproc /proc proc rw 0 0\n/dev/b /data xfs rw 0 0\ntmpfs /data/tmp tmpfs rw 0 0\n"
  assert.equal(fileSystemOf(mounts, "/data/bench"), "xfs on /dev/b")
  assert.equal(fileSystemOf(mounts, "/data/tmp"), "tmpfs on tmpfs")
  assert.equal(fileSystemOf(mounts, "/database"), "ext4 on /dev/a")
  assert.equal(fileSystemOf("", "/data"), undefined)
})
