/**
 * Two engines on the simulated database: what holds on a real PostgreSQL holds there, with connections that are lost at
 * any moment, statements that arrive late, crashes and restores.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { seedsOf, TEST_SEED } from "@hayloft/base/testing-seed.js"
import { createAccount } from "@hayloft/access/accounts/account-commands-core.js"
import { isFailure } from "@hayloft/base/failures.js"
import { objectKeyOfText, parseAccountId, parseBucketName, rowKeyOf, type BucketId } from "@hayloft/base/ids.js"
import { NO_DETAILS, versionIdOfHead, type VersionHead } from "@hayloft/engine/format/objects/version-record.js"
import type { SqlMetadata } from "@hayloft/engine/sql/index.js"
import { query } from "@hayloft/engine/metadata/index.js"
import { createBucket, setSetting, setVersioning } from "@hayloft/objects/commands/bucket-commands-core.js"
import { NO_CHECKSUM } from "@hayloft/objects/commands/row-editor-core.js"
import {
  checkTransaction,
  commitTransaction,
  type TransactionStep,
} from "@hayloft/features/transactions/transaction-commands-core.js"
import { putVersion } from "@hayloft/objects/commands/version-commands-core.js"
import { Quotas } from "@hayloft/features/quotas/quotas.js"
import { NO_FAULTS } from "@hayloft/engine/sql/simulated/faults.js"
import { Gate } from "../../sim/cluster/gate.js"
import { DatabasePath, ProcessDatabase } from "../../sim/cluster/process-database.js"
import { increment, incrementTogether, NUMBER, valueNow } from "./increments.js"
import { RACES } from "./race-bodies.js"
import { SIMULATED_CHECKS } from "./simulated-checks.js"
import { SimulatedWorld, SLOW, UNRELIABLE } from "./simulated-world.js"

const SEEDS = 6
const ROUNDS = 5

/** In which each request is to be answered. */
const REQUEST_MS_MAX = 12_000

/** Reads one row after the other: more than one statement is asked for. */
const STEP_BY_STEP = query("StepByStep", view => {
  for (let row = 0; row < 10; row += 1) view.get("pendingDeletions", rowKeyOf(`row ${row}`))
})

const kindOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => "done",
    (error: unknown) => (isFailure(error) ? error.kind : String(error)),
  )

async function isSettledWithin(world: SimulatedWorld, work: Promise<unknown>, ms: number): Promise<boolean> {
  return Promise.race([work.then(() => true), world.pass(ms).then(() => false)])
}

async function overSeeds(count: number, run: (seed: number) => Promise<unknown>): Promise<void> {
  for (const seed of seedsOf(count)) {
    try {
      await run(seed)
    } catch (error) {
      throw new Error(`seed ${seed}: ${String(error)}`, { cause: error })
    }
  }
}

for (const [name, check] of Object.entries(SIMULATED_CHECKS)) {
  test(`simulated check: ${name}`, () => overSeeds(SEEDS, check))
}

for (const { name, run } of RACES) {
  test(`simulated: ${name}`, () =>
    overSeeds(SEEDS / 2, async seed => {
      const world = new SimulatedWorld(seed, seed % 2 === 0 ? SLOW : UNRELIABLE)
      await world.run(async () => {
        const engines = [await world.open("a"), await world.open("b")] as const
        const random = world.random.fork("head starts")
        await run({ engines, rounds: ROUNDS, headStart: round => world.pass(round % 2 === 0 ? 0 : random.below(30)) })
      })
    }))
}

test("simulated: connections cut at any moment, crashes and absences lose no change and repeat none", () =>
  overSeeds(SEEDS, async seed => {
    const world = new SimulatedWorld(seed, UNRELIABLE)
    const { database } = world
    await world.run(async () => {
      const engines = [await world.open("a"), await world.open("b")] as const
      let isDone = false
      const random = world.random.fork("nemesis")
      const nemesis = async (): Promise<void> => {
        while (!isDone) {
          await world.pass(random.below(400))
          const how = random.below(3)
          database.isAway = how === 0
          if (how === 1) database.crash()
          else database.cut()
          await world.pass(random.below(200))
          database.isAway = false
        }
      }
      const running = nemesis()
      const made = await incrementTogether(...engines, 64)
      isDone = true
      await running
      await made.check()
    })
    assert.ok(database.counts.lost > 0, JSON.stringify(database.counts))
  }))

test("simulated: a commit that is still running when its client is back is waited for, not repeated", async () => {
  const world = new SimulatedWorld(TEST_SEED, NO_FAULTS)
  const { database } = world
  await world.run(async () => {
    const engine = await world.open("cut")
    database.faults = NO_FAULTS
    assert.equal(await engine.run(increment()), 1)
    const holder = database.hold()
    await holder.lockRow(NUMBER, "exclusive")
    const running = engine.run(increment())
    while (database.waiting === 0) await world.pass(1)
    database.cut()
    // The commit waits for the row, and what resolves its outcome for the commit.
    while (database.waiting < 2) await world.pass(1)
    await holder.end("commit")
    assert.equal(await running, 2)
    assert.equal(await engine.run(increment()), 3)
    assert.equal(database.counts.unanswered, 1)
  })
})

test("simulated: a command whose outcome stays unknown is answered so, one behind it is refused, both in time", async () => {
  const world = new SimulatedWorld(TEST_SEED, NO_FAULTS)
  const { database } = world
  await world.run(async () => {
    const engine = await world.open("cut")
    database.faults = NO_FAULTS
    assert.equal(await engine.run(increment()), 1)
    const holder = database.hold()
    await holder.lockRow(NUMBER, "exclusive")
    const first = kindOf(engine.run(increment()))
    while (database.waiting === 0) await world.pass(1)
    database.isAway = true
    database.cut()
    await world.pass(1_000)
    const second = kindOf(engine.run(increment()))
    assert.equal(await isSettledWithin(world, first, REQUEST_MS_MAX), true)
    assert.equal(await isSettledWithin(world, second, 1_000), true)
    assert.deepEqual([await first, await second], ["indeterminate", "databaseUnreachable"])
    database.isAway = false
    await holder.end("commit")
    // The first one took effect once, and the second one has done nothing.
    assert.equal(await engine.run(increment()), 3)
  })
})

test("simulated: a command that was answered before its outcome was known is not decided again", async () => {
  const world = new SimulatedWorld(TEST_SEED, NO_FAULTS)
  const { database } = world
  await world.run(async () => {
    const engine = await world.open("cut")
    database.faults = NO_FAULTS
    assert.equal(await engine.run(increment()), 1)
    await database.hold().lockRow(NUMBER, "exclusive")
    const first = kindOf(engine.run(increment()))
    while (database.waiting === 0) await world.pass(1)
    database.isAway = true
    // The commit ends with its server.
    database.crash()
    assert.equal(await first, "indeterminate")
    database.isAway = false
    while ((await kindOf(Promise.resolve(engine.ask(valueNow())))) !== "done") await world.pass(100)
    await world.pass(REQUEST_MS_MAX)
    assert.equal(await engine.ask(valueNow()), 1)
    assert.equal(await engine.run(increment()), 2)
  })
})

for (const what of ["requests", "answers"] as const) {
  test(`simulated: while all ${what} are dropped, whatever is asked of the metadata is answered in time`, async () => {
    const world = new SimulatedWorld(TEST_SEED, NO_FAULTS)
    const path = new DatabasePath()
    const database = new ProcessDatabase(world.database, path, new Gate())
    await world.run(async () => {
      const engine = await world.open("node", world.clock, [], database)
      world.database.faults = NO_FAULTS
      assert.equal(await engine.run(increment()), 1)
      path.hold(what)
      const asked: Record<string, () => unknown> = {
        "a command": () => engine.run(increment()),
        "a query": () => engine.ask(valueNow()),
        "a query that needs many fetches": () => engine.ask(STEP_BY_STEP()),
        "a confirmation": () => engine.confirm(),
        "a moment": () => engine.closeTo(),
        "known rows": () => engine.known(valueNow()),
      }
      const checks: Promise<void>[] = []
      // Also what begins while the connections are being found lost, and while they are made again.
      for (let begunMs = 0; begunMs < 40_000; begunMs += 4_000) {
        const open = Object.entries(asked).map(([name, ask]) => ({ name, kind: kindOf(Promise.resolve(ask())) }))
        for (const { name, kind } of open) {
          const check = async (): Promise<void> => {
            const isInTime = await isSettledWithin(world, kind, REQUEST_MS_MAX)
            assert.ok(isInTime, `${name}, begun after ${begunMs} ms, is not answered within ${REQUEST_MS_MAX} ms`)
            assert.match(await kind, /^(databaseUnreachable|indeterminate)$/, name)
          }
          checks.push(check())
        }
        await world.pass(4_000)
      }
      await Promise.all(checks)
      path.open()
      await world.pass(REQUEST_MS_MAX)
      const now = await engine.ask(valueNow())
      assert.equal(await engine.run(increment()), now + 1, "it goes on by itself")
    })
  })
}

test("simulated: a database that returns with an older copy is noticed, and nothing is written to it", async () => {
  const world = new SimulatedWorld(TEST_SEED, SLOW)
  await world.run(async () => {
    const engine = await world.open("node")
    await engine.run(increment())
    const older = world.database.copy()
    await engine.run(increment())
    world.database.restore(older)
    for (let tries = 0; tries < 2; tries += 1) {
      await assert.rejects(engine.run(increment()), error => isFailure(error, "databaseRolledBack"))
    }
    // The halt is all that was written.
    assert.deepEqual(world.database.copy().rows, older.rows)
  })
})

test("simulated: a seed replays to the byte", async () => {
  const digestOf = async (seed: number): Promise<string> => {
    const world = new SimulatedWorld(seed, UNRELIABLE)
    await world.run(async () => {
      const engines = [await world.open("a"), await world.open("b")] as const
      await incrementTogether(...engines, 40)
    })
    return world.database.trace.digest
  }
  assert.equal(await digestOf(TEST_SEED), await digestOf(TEST_SEED))
  assert.notEqual(await digestOf(TEST_SEED), await digestOf(TEST_SEED + 1))
})

test("simulated: the timestamps of a store whose metadata moves to a database go on there", async () => {
  const world = new SimulatedWorld(TEST_SEED, SLOW)
  await world.run(async () => {
    const before = await world.open("a")
    const us = (await before.closeTo()) + 3_600_000_000
    await world.byOperator(session => session.skipTimestamps(us))
    for (const engine of [before, await world.open("b")]) assert.ok((await engine.closeTo()) >= us)
  })
})

const OWNER = parseAccountId("root")
const TO = objectKeyOfText("to")

async function putIn(engine: SqlMetadata, bucketId: BucketId, key: string, random: number): Promise<VersionHead> {
  const version = {
    content: { kind: "inline" } as const,
    payload: new Uint8Array(3),
    sizeBytes: 3,
    parts: 0,
    md5: new Uint8Array(16),
    random: new Uint8Array(8).fill(random),
    checksum: NO_CHECKSUM,
    details: NO_DETAILS,
    isShared: false,
    storageClass: "STANDARD" as const,
  }
  const named = { bucketId, key: objectKeyOfText(key), conditions: {}, uploadId: undefined, hints: [] }
  return (await engine.run(putVersion({ ...named, version }))).head
}

/** Three versions of a key, and the step that removes the first one. */
async function removalIn(engine: SqlMetadata, bucketId: BucketId, key: string): Promise<TransactionStep> {
  const head = await putIn(engine, bucketId, key, 1)
  for (const random of [2, 3]) await putIn(engine, bucketId, key, random)
  const named = { bucketId, key: objectKeyOfText(key), conditions: {} }
  return { kind: "delete", remove: { ...named, versionId: versionIdOfHead(head) } }
}

async function renameIn(engine: SqlMetadata, bucketId: BucketId, key: string): Promise<TransactionStep> {
  const version = await putIn(engine, bucketId, key, 1)
  const named = { bucketId, from: objectKeyOfText(key), to: TO, sourceConditions: {}, conditions: {}, version }
  const random = { random: new Uint8Array(8), markerRandom: new Uint8Array(8) }
  const rename = { ...named, ...random, bytes: { kind: "row" }, sealing: undefined, clockMs: 0, hints: [] } as const
  return { kind: "rename", rename }
}

const namesOf = (step: TransactionStep) => {
  if (step.kind === "delete") return [step.remove]
  if (step.kind !== "rename") return []
  const { bucketId, from, to } = step.rename
  return [from, to].map(key => ({ bucketId, key }))
}

for (const { what, stepIn, buckets, keys } of [
  { what: "removals of many keys", stepIn: removalIn, buckets: 3, keys: 30 },
  { what: "renames in many buckets", stepIn: renameIn, buckets: 40, keys: 1 },
]) {
  test(`simulated: a transaction within its limits is done, with histories and quotas: ${what}`, async () => {
    const world = new SimulatedWorld(TEST_SEED, SLOW)
    await world.run(async () => {
      const engine = await world.open("a")
      await engine.run(createAccount({ id: OWNER, displayName: "Root", email: "" }))
      const quotas = new Quotas(engine, () => Promise.resolve(undefined))
      const steps: TransactionStep[] = []
      for (let bucket = 0; bucket < buckets; bucket += 1) {
        const name = parseBucketName(`bucket-${bucket}`)
        const { id } = await engine.run(createBucket({ name, owner: OWNER, location: "" }))
        await engine.run(setVersioning(id, "enabled"))
        await engine.run(setSetting(id, "history", "{}"))
        await quotas.set({ kind: "bucket", name }, { hardBytes: 1_000_000 })
        for (let key = 0; key < keys; key += 1) steps.push(await stepIn(engine, id, `key ${key}`))
      }
      checkTransaction(steps.map(step => ({ kind: step.kind, names: namesOf(step) })))
      const { results } = await engine.run(commitTransaction({ steps, token: undefined, clockMs: 0 }))
      assert.equal(results.length, buckets * keys)
    })
  })
}
