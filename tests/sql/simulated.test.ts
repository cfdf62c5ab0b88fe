/**
 * Two engines on the simulated database: what holds on a real PostgreSQL holds there, with connections that are lost at
 * any moment, statements that arrive late, crashes and restores. `SIMULATED_SEEDS` sets the seeds of each check.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { TEST_SEED } from "../../src/base/testing-seed.js"
import { createAccount } from "../../src/access/account-commands-core.js"
import { isFailure } from "../../src/base/failures.js"
import { objectKeyOfText, parseAccountId, parseBucketName, type BucketId } from "../../src/base/ids.js"
import { NO_DETAILS, versionIdOfHead, type VersionHead } from "../../src/format/version-record.js"
import type { SqlMetadata } from "../../src/sql/index.js"
import { createBucket, setSetting, setVersioning } from "../../src/object/commands/bucket-commands-core.js"
import { NO_CHECKSUM } from "../../src/object/commands/row-editor-core.js"
import {
  checkTransaction,
  commitTransaction,
  type TransactionStep,
} from "../../src/object/commands/transaction-core.js"
import { putVersion } from "../../src/object/commands/version-commands-core.js"
import { Quotas } from "../../src/object/quotas.js"
import { NO_FAULTS } from "../../src/sql/simulated/faults.js"
import { increment, incrementTogether, NUMBER } from "./increments.js"
import { RACES } from "./race-bodies.js"
import { SIMULATED_CHECKS } from "./simulated-checks.js"
import { SimulatedWorld, SLOW, UNRELIABLE } from "./simulated-world.js"

const SEEDS = Number(process.env["SIMULATED_SEEDS"] ?? 6)
const ROUNDS = 5

const seeds = (count: number): readonly number[] => Array.from({ length: count }, (_, at) => TEST_SEED + at)

async function overSeeds(count: number, run: (seed: number) => Promise<unknown>): Promise<void> {
  for (const seed of seeds(count)) {
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
    overSeeds(Math.ceil(SEEDS / 2), async seed => {
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

test("simulated: a command behind an unknown outcome is refused in time, and has done nothing", async () => {
  const world = new SimulatedWorld(TEST_SEED, NO_FAULTS)
  const { database } = world
  await world.run(async () => {
    const engine = await world.open("cut")
    database.faults = NO_FAULTS
    assert.equal(await engine.run(increment()), 1)
    const holder = database.hold()
    await holder.lockRow(NUMBER, "exclusive")
    const first = engine.run(increment())
    while (database.waiting === 0) await world.pass(1)
    database.isAway = true
    database.cut()
    await world.pass(10_000)
    let refusal: unknown
    engine.run(increment()).catch((error: unknown) => (refusal = error))
    await world.pass(29_900)
    assert.equal(refusal, undefined)
    await world.pass(1_200)
    assert.ok(isFailure(refusal, "databaseUnreachable"))
    database.isAway = false
    await holder.end("commit")
    assert.equal(await first, 2)
    assert.equal(await engine.run(increment()), 3)
  })
})

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
  const [first, other] = seeds(2)
  assert.ok(first !== undefined && other !== undefined)
  assert.equal(await digestOf(first), await digestOf(first))
  assert.notEqual(await digestOf(first), await digestOf(other))
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
    ...({ content: { kind: "inline" }, payload: new Uint8Array(3), sizeBytes: 3, parts: 0 } as const),
    ...{ md5: new Uint8Array(16), random: new Uint8Array(8).fill(random), checksum: NO_CHECKSUM, details: NO_DETAILS },
    ...({ isShared: false, storageClass: "STANDARD" } as const),
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
