/** The audit log: what it keeps, for how long, and that no change waits for it. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fail } from "@hayloft/base/failures.js"
import { MemoryMetadata } from "@hayloft/engine/metadata/testing-engine.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { AUDIT_LIMITS } from "./audit-log.js"
import { openAuditLog } from "../open-access.js"

const CALLER = { kind: "token", id: "A", name: "portal", address: "10.0.0.1" } as const
const change = (target: string) => ({
  caller: CALLER,
  requestId: "r",
  operation: "setBucketQuota",
  target,
  request: '{"hardBytes":1}',
})

const nothing = async () => undefined

function world() {
  const clock = new SimClock()
  const metadata = new MemoryMetadata()
  const telemetry = new SimTelemetry()
  const open = (seed: number) => {
    const seams = { clock, random: new SimRandom(seed), log: telemetry.log, dueTimeMs: clock.dueTimeMs }
    return openAuditLog(seams, metadata, async () => undefined)
  }
  return { clock, metadata, telemetry, open }
}

test("changes are listed by every process, the latest first, in pages, with how they ended", async () => {
  const { clock, open } = world()
  const [here, there] = [open(1), open(2)]
  for (const [log, target] of [
    [here, "a"],
    [there, "b"],
    [here, "c"],
  ] as const) {
    await clock.advance(1)
    const begun = await log.begin(change(target), nothing)
    if (target !== "c") await begun.end(target === "a" ? "done" : "noSuchBucket", async () => '{"now":1}')
  }
  const first = await there.list(undefined, 2)
  assert.deepEqual(
    first.entries.map(({ target, ended, after }) => [target, ended?.outcome, after]),
    [
      ["c", undefined, undefined],
      ["b", "noSuchBucket", '{"now":1}'],
    ],
  )
  const second = await here.list(first.next, 2)
  assert.deepEqual(
    second.entries.map(({ target, caller, request }) => [target, caller, request]),
    [["a", CALLER, '{"hardBytes":1}']],
  )
  assert.equal(second.next, undefined)
})

test("a long target is cut", async () => {
  const log = world().open(1)
  await (await log.begin(change("x".repeat(100_000)), nothing)).end("done", nothing)
  const [entry] = (await log.list(undefined, 1)).entries
  assert.equal(entry?.target, "x".repeat(AUDIT_LIMITS.targetCharactersMax))
})

test("old records go, and long texts are left out", async () => {
  const { clock, metadata, open } = world()
  const log = open(1)
  const long = async () => "x".repeat(AUDIT_LIMITS.textCharactersMax + 1)
  for (const target of ["a", "b", "c"]) await (await log.begin(change(target), nothing)).end("done", long)
  const { entries } = await log.list(undefined, 10)
  assert.deepEqual(
    entries.map(({ after }) => after),
    [undefined, undefined, undefined],
  )
  await clock.advance(AUDIT_LIMITS.keepMs - 1)
  await log.begin(change("d"), nothing)
  assert.equal(metadata.rows("audit"), 4)
  await clock.advance(2)
  await log.begin(change("e"), nothing)
  const kept = await log.list(undefined, 10)
  assert.deepEqual(
    kept.entries.map(({ target }) => target),
    ["e", "d"],
  )
})

test("a wall clock that is ahead for a while removes no record", async () => {
  const { clock, metadata, open } = world()
  const log = open(1)
  await (await log.begin(change("a"), nothing)).end("done", nothing)
  const aheadMs = 2 * AUDIT_LIMITS.keepMs
  clock.jumpWall(aheadMs)
  await log.begin(change("b"), nothing)
  clock.jumpWall(-aheadMs)
  await log.begin(change("c"), nothing)
  assert.equal(metadata.rows("audit"), 3)
})

test("a change that cannot be recorded is made all the same, and the log says so", async () => {
  const { metadata, telemetry, open } = world()
  metadata.before = () => Promise.reject(fail("deviceFull"))
  const begun = await open(1).begin(change("a"), nothing)
  await begun.end("done", nothing)
  assert.equal(telemetry.entries("audit_record_lost").length, 2)
  assert.deepEqual(
    telemetry.entries("admin_change").map(({ fields }) => fields["outcome"]),
    ["done"],
  )
})

test("a change waits for its record for a while only, and for what there was before", async () => {
  const { clock, telemetry, open } = world()
  const hangs = () => new Promise<undefined>(() => undefined)
  const beginning = open(1).begin(change("a"), hangs)
  await clock.advance(AUDIT_LIMITS.waitMs)
  const ending = (await beginning).end("done", hangs)
  await clock.advance(AUDIT_LIMITS.waitMs)
  await ending
  assert.equal(telemetry.entries("audit_record_lost").length, 2)
})

test("a filter chooses by caller, operation, target and time, and a page of few matches goes on with the next one", async () => {
  const { clock, open } = world()
  const log = open(1)
  const caller = { kind: "key", id: "AK1", name: "arn:aws:iam::1:user/bob", address: "::1" } as const
  for (let n = 0; n < 300; n += 1) {
    await clock.advance(1)
    const other = n % 100 === 7 ? { caller, operation: "s3:PutBucketPolicy", target: `b${n}` } : {}
    await log.begin({ ...change("a"), ...other }, nothing)
  }
  const targets = async (filter: Parameters<typeof log.list>[2]) =>
    (await log.list(undefined, 500, filter)).entries.map(({ target }) => target)
  const all = ["b207", "b107", "b7"]
  for (const filter of [{ caller: "AK1" }, { caller: "*user/b*" }, { operation: "s3:*" }, { target: "b*7" }]) {
    assert.deepEqual(await targets(filter), all, JSON.stringify(filter))
  }
  for (const filter of [{ caller: "bob" }, { operation: "s3" }, { target: "b*8" }]) {
    assert.deepEqual(await targets(filter), [], JSON.stringify(filter))
  }
  assert.equal((await targets({ caller: "token" })).length, 297)
  const { entries } = await log.list(undefined, 1, { target: "b107" })
  const atMs = entries[0]?.atMs ?? 0
  assert.deepEqual(await targets({ target: "b*", sinceMs: atMs }), all.slice(0, 2))
  assert.deepEqual(await targets({ target: "b*", untilMs: atMs }), all.slice(1))
  const first = await log.list(undefined, 2, { operation: "s3:*" })
  const rest = await log.list(first.next, 2, { operation: "s3:*" })
  assert.deepEqual(
    [...first.entries, ...rest.entries].map(({ target }) => target),
    all,
  )
})
