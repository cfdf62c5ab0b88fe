/**
 * The runs of a check: two engines do in many rounds what two nodes may do at the same time, through the statements and
 * the engine that a node uses. Half of the rounds put the second change between the decision and the commit of the
 * first; in the others both are under way together.
 *
 * Limits  A round takes at most ROUND_MS_MAX; a run ends after FAILED_ROUNDS_MAX rounds that failed.
 */
import { must } from "@hayloft/base/assert.js"
import { asFailure, fail, type Failure } from "@hayloft/base/failures.js"
import { FAMILIES } from "@hayloft/base/rows/families.js"
import type { RowKey } from "@hayloft/base/ids.js"
import { within } from "@hayloft/base/seams/clock/within.js"
import type { SqlMetadata } from "../sql-metadata.js"
import {
  addFirstVersion,
  bucketKey,
  createObject,
  deleteObject,
  increment,
  leaveDuty,
  numberOf,
  objectKey,
  ownKey,
  putInto,
  replaceObject,
  setBucket,
  setOwn,
  textOfRow,
  versionsOf,
} from "./commands-core.js"
import type { RunFacts, RunName } from "./runs-core.js"
import { StagedDatabase } from "./staged-database.js"
import { CheckStage, type RunHost } from "./stage.js"

const ROUND_MS_MAX = 60_000
const FAILED_ROUNDS_MAX = 3
/** Rounds of a run that is limited by time. */
const ROUNDS_MIN = 10

/** One round; returns what it saw if the promise is broken. Throws if a command was refused that must not be. */
type Round = (round: number) => Promise<string | undefined>

type Settled<T> = { readonly isDone: true; readonly value: T } | { readonly isDone: false; readonly failure: Failure }

const settle = <T>(run: Promise<T>): Promise<Settled<T>> =>
  run.then(
    value => ({ isDone: true as const, value }),
    (error: unknown) => ({ isDone: false as const, failure: asFailure(error) }),
  )

function valueOf<T>(run: Settled<T>): T {
  if (run.isDone) return run.value
  throw run.failure
}

const shown = (run: Settled<unknown>): string => (run.isDone ? String(run.value) : run.failure.kind)

/** Runs the second between the decision and the commit of the first, or both together. */
async function collide<T, U>(
  stage: CheckStage,
  round: number,
  first: () => Promise<T>,
  second: () => Promise<U>,
  staged = stage.staged,
): Promise<readonly [Settled<T>, Settled<U>]> {
  if (round % 2 === 1) {
    const one = settle(first())
    for (let turns = 0; turns < (round >> 1) % 4; turns += 1) await stage.turn()
    const other = settle(second())
    return [await one, await other]
  }
  let other: Promise<Settled<U>> | undefined
  staged.next = { before: async () => void (await (other = settle(second()))) }
  const one = await settle(first())
  // The first may have had nothing to commit.
  staged.next = undefined
  return [one, await (other ?? settle(second()))]
}

/** Increments that are done returned consecutive numbers, and nothing else has changed the row. */
async function checkIncrements(
  reader: SqlMetadata,
  key: RowKey,
  before: number,
  runs: readonly Settled<number>[],
): Promise<string | undefined> {
  const after = await reader.ask(numberOf(key))
  const done = runs.flatMap(run => (run.isDone ? [run.value] : [])).sort((a, b) => a - b)
  if (after !== before + done.length || done.some((number, at) => number !== before + 1 + at))
    return `increments of ${before} returned ${runs.map(shown).join(", ")}, and ${after} is there`
  for (const run of runs) valueOf(run)
  return undefined
}

function lostUpdate(stage: CheckStage): Round {
  const { a, b } = stage
  const key = ownKey("lost update")
  return async round => {
    // The row exists: to create it is another race.
    const before = await b.run(increment(key))
    const runs = await collide(
      stage,
      round,
      () => a.run(increment(key)),
      () => b.run(increment(key)),
    )
    return checkIncrements(b, key, before, runs)
  }
}

function writeSkew(stage: CheckStage): Round {
  const { a, b } = stage
  const [ann, bob] = [ownKey("duty of Ann"), ownKey("duty of Bob")]
  return async round => {
    for (const key of [ann, bob]) await b.run(setOwn(key, "on"))
    const runs = await collide(
      stage,
      round,
      () => a.run(leaveDuty(ann, bob)),
      () => b.run(leaveDuty(bob, ann)),
    )
    const states = [await b.ask(textOfRow("pendingDeletions", ann)), await b.ask(textOfRow("pendingDeletions", bob))]
    const winners = runs.map(valueOf).filter(Boolean).length
    const off = states.filter(state => state === "off").length
    return winners === 1 && off === 1 ? undefined : `${winners} of two left, and ${off} are gone`
  }
}

function phantom(stage: CheckStage): Round {
  const { a, b } = stage
  return async round => {
    const object = objectKey(`phantom ${round}`)
    if (round % 4 < 2) await b.run(createObject(object, "0"))
    const runs = await collide(
      stage,
      round,
      () => a.run(addFirstVersion(object, 1)),
      () => b.run(addFirstVersion(object, 2)),
    )
    const winners = runs.map(valueOf).filter(Boolean).length
    const versions = await a.ask(versionsOf(object))
    return winners === 1 && versions === 1 ? undefined : `${winners} added the first version, and ${versions} are there`
  }
}

function putIfAbsent(stage: CheckStage): Round {
  const { a, b } = stage
  return async round => {
    const object = objectKey(`absent ${round}`)
    const [byA, byB] = await collide(
      stage,
      round,
      () => a.run(createObject(object, "a")),
      () => b.run(createObject(object, "b")),
    )
    const [hasA, hasB] = [valueOf(byA), valueOf(byB)]
    const there = await b.ask(textOfRow("current", object))
    const expected = hasA ? "a" : "b"
    return hasA !== hasB && there === expected
      ? undefined
      : `${Number(hasA) + Number(hasB)} created it, and the object of ${there ?? "none"} is there`
  }
}

function readYourWrites({ a, b }: CheckStage): Round {
  return async round => {
    const [writer, reader] = round % 2 === 0 ? [a, b] : [b, a]
    const key = ownKey(`read ${round % 3}`)
    await writer.run(setOwn(key, String(round)))
    for (const engine of [reader, writer]) {
      const text = await engine.ask(textOfRow("pendingDeletions", key))
      if (text !== String(round)) return `a read after the write of ${round} returned ${text ?? "nothing"}`
    }
    return undefined
  }
}

function createdAgain({ a, b, staged }: CheckStage): Round {
  return async round => {
    const object = objectKey(`created again ${round}`)
    await b.run(createObject(object, "old"))
    const before = staged.outcomes.length
    staged.next = {
      before: async () => {
        await b.run(deleteObject(object))
        await b.run(createObject(object, "old"))
      },
    }
    await a.run(replaceObject(object, "old", "new"))
    const [outcome] = staged.outcomes.slice(before)
    const there = await b.ask(textOfRow("current", object))
    return outcome === "conflict" && there === "new"
      ? undefined
      : `the commit on the row before was ${outcome ?? "not sent"}, and ${there ?? "nothing"} is there`
  }
}

function generation(stage: CheckStage): Round {
  const { a, b } = stage
  return async round => {
    const [bucket, object] = [bucketKey(round + 1), objectKey(`in bucket ${round}`)]
    const there = async (): Promise<boolean> => (await b.ask(textOfRow("current", object))) !== undefined
    await b.run(setBucket(bucket, "open"))
    const close = async (): Promise<boolean> => {
      await b.run(setBucket(bucket, "closed"))
      return there()
    }
    const [put, closed] = await collide(stage, round, () => a.run(putInto(bucket, object)), close)
    const [atClose, atEnd] = [valueOf(closed), await there()]
    if (!put.isDone && put.failure.kind !== "noSuchBucket") throw put.failure
    if (atClose === atEnd && put.isDone === atEnd) return undefined
    return `a put returned ${put.isDone ? "done" : "noSuchBucket"}; its object was ${atClose ? "" : "not "}there when the bucket was closed, and is ${atEnd ? "" : "not "}there now`
  }
}

function fencing(stage: CheckStage): Round {
  const { host, b } = stage
  const key = ownKey("fenced")
  return async round => {
    const before = await b.ask(numberOf(key))
    const staged = new StagedDatabase(host.database)
    const old = await stage.engine(staged, "fenced")
    const succeed = async () => {
      const successor = await stage.engine(new StagedDatabase(host.database), "fenced")
      return { successor, seen: await b.ask(numberOf(key)) }
    }
    const [run, succeeded] = await collide(stage, round, () => old.run(increment(key)), succeed, staged)
    const { successor, seen } = valueOf(succeeded)
    const again = await settle(old.run(increment(key)))
    const after = await b.ask(numberOf(key))
    for (const engine of [old, successor]) await stage.stop(engine)
    const expected = before + Number(run.isDone)
    if (after === seen && after === expected && !again.isDone) return undefined
    return `an increment of ${before} returned ${shown(run)}, the next one ${shown(again)}; ${seen} was there when the process was replaced, and ${after} is there now`
  }
}

/** Locks the row, as another transaction would, until it is released. */
async function lockRow(
  { host: { schema } }: CheckStage,
  session: { script(text: string): Promise<unknown> },
  key: RowKey,
) {
  const bytes = Buffer.from(key, "latin1").toString("hex")
  const where = `family = ${FAMILIES.pendingDeletions} AND bucket = 0 AND key = '\\x${bytes}'::bytea`
  await session.script("BEGIN")
  await session.script(`SELECT version FROM ${schema}.rows WHERE ${where} FOR UPDATE`)
  return () => session.script("COMMIT")
}

/** When the lock is released, in times of arrival: while the outcome is asked for, or already waited for. */
const RELEASES = [1.1, 1.5, 3] as const

async function lateCommit(stage: CheckStage): Promise<Round> {
  const { a, b, staged, host } = stage
  const key = ownKey("late")
  await b.run(increment(key))
  const session = await stage.session()
  return async round => {
    const before = await b.ask(numberOf(key))
    const release = await lockRow(stage, session, key)
    staged.next = { sent: sender => void stage.sleep(host.arrivalMs).then(() => sender.cut()) }
    const running = settle(a.run(increment(key)))
    await stage.sleep(host.arrivalMs * must(RELEASES[round % RELEASES.length], "a factor"))
    await release()
    return checkIncrements(b, key, before, [await running])
  }
}

const CUT_WORKERS = 3
/** One commit in so many is cut before it is sent, one in so many after it. */
const CUT_ONE_IN = { before: 8, sent: 3 } as const

async function lostConnections(stage: CheckStage): Promise<Round> {
  const { b, host } = stage
  const { random } = host
  const key = ownKey("cut")
  await b.run(increment(key))
  const session = await stage.session()
  const staged = new StagedDatabase(host.database)
  staged.every = {
    before: async sender => {
      if (random.below(CUT_ONE_IN.before) === 0) sender.cut()
    },
    sent: sender => {
      if (random.below(CUT_ONE_IN.sent) > 0) return
      const waited = random.below(2) === 0 ? stage.turn() : stage.sleep(random.below(Math.ceil(host.arrivalMs)))
      void waited.then(() => sender.cut())
    },
  }
  const cut = await stage.engine(staged, "cut")
  return async round => {
    const before = await b.ask(numberOf(key))
    const twice = async (engine: SqlMetadata): Promise<readonly Settled<number>[]> => [
      await settle(engine.run(increment(key))),
      await settle(engine.run(increment(key))),
    ]
    // Commits that wait for a lock outlive their connections.
    const release = round % 2 === 0 ? await lockRow(stage, session, key) : undefined
    const workers = [...Array.from({ length: CUT_WORKERS }, () => twice(cut)), twice(b)]
    await stage.sleep(host.arrivalMs)
    await release?.()
    const runs: Settled<number>[] = []
    for (const worker of workers) runs.push(...(await worker))
    return checkIncrements(b, key, before, runs)
  }
}

const ROUNDS: Readonly<Record<RunName, (stage: CheckStage) => Round | Promise<Round>>> = {
  lostUpdate,
  writeSkew,
  phantom,
  putIfAbsent,
  readYourWrites,
  createdAgain,
  generation,
  fencing,
  lateCommit,
  lostConnections,
}

/** How long a run goes on: a number of rounds, or as many as fit into a time. */
export type RunLength = { readonly rounds: number } | { readonly durationMs: number }

/** Throws the signal's reason when it fires. */
export async function makeRun(host: RunHost, name: RunName, length: RunLength): Promise<RunFacts> {
  const { clock, signal } = host
  const startMs = clock.monotonicMs()
  const isOver = (rounds: number): boolean =>
    "rounds" in length
      ? rounds >= length.rounds
      : rounds >= ROUNDS_MIN && clock.monotonicMs() - startMs >= length.durationMs
  let [rounds, broken, refused] = [0, 0, 0]
  let example: string | undefined
  const stage = await CheckStage.open(host)
  try {
    const round = await ROUNDS[name](stage)
    while (!isOver(rounds) && broken + refused < FAILED_ROUNDS_MAX) {
      signal.throwIfAborted()
      try {
        const seen = await within(clock, ROUND_MS_MAX, round(rounds))
        if (seen === "late") throw fail("tooManyInFlight", { message: "the database does not respond" })
        broken += Number(seen !== undefined)
        example ??= seen
      } catch (error) {
        signal.throwIfAborted()
        refused += 1
        example ??= String(error)
      }
      rounds += 1
    }
  } finally {
    await stage.close()
  }
  return { name, rounds, broken, refused, example }
}
