/**
 * Checks of commit timestamps on the simulated database, whatever the clocks of processes and of the database say,
 * and whatever happens to connections. See `simulated-checks.ts`.
 */
import assert from "node:assert/strict"
import { isFailure } from "@hayloft/base/failures.js"
import { parseBucketId, objectKeyOfText, rowKeyOf, type RowKey } from "@hayloft/base/ids.js"
import { encodeRowHead } from "@hayloft/engine/format/records.js"
import { objectRowKey } from "@hayloft/engine/format/row-key.js"
import { guardsRowKey } from "@hayloft/engine/format/objects/transaction-record.js"
import { command, query, type RowView } from "@hayloft/engine/metadata/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { SqlMetadata } from "@hayloft/engine/sql/index.js"
import { anyOf, concurrently, SimulatedWorld, SLOW, UNRELIABLE } from "./simulated-world.js"

const OBJECT = "current"
const BUCKET = parseBucketId(1)
const rowOf = (key: string): RowKey => objectRowKey(BUCKET, objectKeyOfText(key))
const KEYS = ["a", "b", "c"]
/** An object that exists from the beginning; for absent ones see `guardsComeBeforeTheirObjects`. */
const FIRST = "first"
const HOUR_MS = 3_600_000

const textIn = (view: RowView, key: string): string => {
  const row = view.get(OBJECT, rowOf(key))
  return row === undefined ? FIRST : Buffer.from(row.value).toString()
}
const writeOf = (key: string, value: string) =>
  ({ family: OBJECT, key: rowOf(key), value: Buffer.from(value) }) as const

interface Done {
  readonly commitUs: number
  readonly read: string
}

/** Replaces an object, and returns its former value. */
const put = command<[key: string, value: string], Done>({
  name: "Put",
  touches: key => [[OBJECT, rowOf(key)]],
  decide(view, { commitUs }, key, value) {
    const read = textIn(view, key)
    return { writes: [writeOf(key, value)], result: { commitUs, read } }
  },
})

/** Copies the value of another object, on which it relies and which it fetches in a second step. */
const copy = command<[from: string, to: string], Done>({
  name: "Copy",
  touches: (_from, to) => [[OBJECT, rowOf(to)]],
  decide(view, { commitUs }, from, to) {
    view.get(OBJECT, rowOf(to))
    const read = textIn(view, from)
    return { writes: [writeOf(to, read)], result: { commitUs, read } }
  },
})

const valueOf = query("ValueOf", (view, key: string) => textIn(view, key))

/** A clock of another machine. */
const skewed = (clock: Clock, byMs: number): Clock => ({
  wallMs: () => clock.wallMs() + byMs,
  monotonicMs: () => clock.monotonicMs(),
  sleep: (durationMs, signal) => clock.sleep(durationMs, signal),
  alarm: (durationMs, ring) => clock.alarm(durationMs, ring),
  atEndOfTurn: call => clock.atEndOfTurn(call),
})

interface Event extends Done {
  readonly from: string
  readonly to: string
  /** The value is undefined if the event copies `from`. */
  readonly value: string | undefined
  readonly beganAt: number
  readonly endedAt: number
}

/** Nothing happened. */
function checkRefusal(error: unknown): void {
  if (!isFailure(error, "tooManyInFlight") && !isFailure(error, "databaseUnreachable")) throw error
}

/** An event that ended before another began has an earlier timestamp; timestamp order explains all results. */
async function timestampsAreAnOrder(seed: number): Promise<void> {
  const world = new SimulatedWorld(seed, seed % 2 === 0 ? SLOW : UNRELIABLE)
  const { database, clock } = world
  await world.run(async () => {
    const random = world.random.fork("clocks")
    const open = (node: string) => world.open(node, skewed(clock, random.below(2 * HOUR_MS) - HOUR_MS))
    const engines = [await open("a"), await open("b")]
    for (const key of KEYS) await anyOf(random, engines).run(put(key, FIRST))
    const events: Event[] = []
    let moments = 0
    const run = async (name: string): Promise<void> => {
      const [from, to] = [anyOf(random, KEYS), anyOf(random, KEYS)]
      const value = random.below(2) === 0 || from === to ? name : undefined
      const beganAt = (moments += 1)
      const engine = anyOf(random, engines)
      const done = await engine.run(value === undefined ? copy(from, to) : put(to, value))
      events.push({ ...done, from: value === undefined ? from : to, to, value, beganAt, endedAt: (moments += 1) })
    }
    await concurrently(6, async worker => {
      for (let i = 0; i < 10; i += 1) {
        await world.pass(random.below(20))
        if (random.below(6) === 0) database.aheadMs = random.below(2 * HOUR_MS) - HOUR_MS
        if (random.below(15) === 0) engines.push(await open(`${worker}.${i}`))
        await run(`${worker}.${i}`).catch(checkRefusal)
      }
    })
    checkRealTime(events)
    await checkOrder(events, anyOf(random, engines))
  })
}

function checkRealTime(events: readonly Event[]): void {
  for (const a of events) {
    const tooEarly = events.find(b => a.endedAt < b.beganAt && b.commitUs <= a.commitUs)
    assert.equal(tooEarly?.commitUs, undefined, `what was answered before it began has ${a.commitUs}`)
  }
}

/** Events that share a timestamp are independent of each other. */
async function checkOrder(events: readonly Event[], engine: SqlMetadata): Promise<void> {
  const values = new Map(KEYS.map(key => [key, FIRST]))
  for (const { commitUs, read, from, to, value } of events.toSorted((a, b) => a.commitUs - b.commitUs)) {
    assert.equal(read, values.get(from), `what changed ${to} at ${commitUs} has read another ${from}`)
    values.set(to, value ?? read)
  }
  for (const [key, value] of values) assert.equal(await engine.ask(valueOf(key)), value, `${key} at the end`)
}

/** The head of an object without versions. */
const GUARD = encodeRowHead({ lastOrder: 0, lastModifiedMs: 0, nullOrder: 0, versions: 0, latestOrder: 0 })

/** Changes an object if another one is absent, which it guards, as a transaction does. Returns its timestamp, or undefined. */
const guard = command<[absent: string, to: string, value: string], number | undefined>({
  name: "Guard",
  touches: (absent, to) => [
    [OBJECT, rowOf(absent)],
    [OBJECT, rowOf(to)],
  ],
  decide(view, { commitUs, id }, absent, to, value) {
    view.get("heads", rowOf(absent))
    if (view.get(OBJECT, rowOf(absent)) !== undefined) return { writes: [], result: undefined }
    view.get(OBJECT, rowOf(to))
    const guarding = { family: "heads", key: rowOf(absent), value: GUARD } as const
    // By this row the engine knows that the decision guards something. It stays, as after a crash.
    const noted = { family: "transactions", key: guardsRowKey(id), value: new Uint8Array(1) } as const
    return { writes: [writeOf(to, value), guarding, noted], result: commitUs }
  },
})

/** Makes an object that is absent. Returns its timestamp, or undefined. */
const make = command<[key: string, value: string], number | undefined>({
  name: "Make",
  touches: key => [[OBJECT, rowOf(key)]],
  decide(view, { commitUs }, key, value) {
    view.get("heads", rowOf(key))
    const isPresent = view.get(OBJECT, rowOf(key)) !== undefined
    return isPresent ? { writes: [], result: undefined } : { writes: [writeOf(key, value)], result: commitUs }
  },
})

/** Removes the guard of an absent object, or an object that has this value. Returns whether it has. */
const remove = command<[key: string, value: string | undefined], boolean>({
  name: "Remove",
  touches: key => [[OBJECT, rowOf(key)]],
  decide(view, _time, key, value) {
    const head = view.get("heads", rowOf(key))
    const row = view.get(OBJECT, rowOf(key))
    if ((row && Buffer.from(row.value).toString()) !== value) return { writes: [], result: false }
    const removed = { key: rowOf(key), value: undefined }
    const writes = [
      ...(head ? [{ family: "heads" as const, ...removed }] : []),
      ...(row ? [{ family: OBJECT, ...removed } as const] : []),
    ]
    return { writes, result: true }
  },
})

/**
 * An object that stays is made after all changes that relied on its absence, even if the guard is gone, and if others
 * have made and removed the object meanwhile.
 */
async function guardsComeBeforeTheirObjects(seed: number): Promise<void> {
  const world = new SimulatedWorld(seed, SLOW)
  await world.run(async () => {
    const random = world.random.fork("guards")
    const engines = [await world.open("a"), await world.open("b"), await world.open("c")]
    await anyOf(random, engines).run(put("to", FIRST))
    for (let round = 0; round < 10; round += 1) {
      const key = `absent ${round}`
      const made = new Map<string, number>()
      const guards: number[] = []
      const making = async (engine: SqlMetadata, value: string): Promise<void> => {
        const us = await engine.run(make(key, value))
        if (us !== undefined) made.set(value, us)
      }
      const guarding = async (engine: SqlMetadata): Promise<void> => {
        const us = await engine.run(guard(key, "to", `${round}`))
        if (us !== undefined) guards.push(us)
        await engine.run(remove(key, undefined))
      }
      await concurrently(4, async worker => {
        const engine = anyOf(random, engines)
        await world.pass(random.below(20))
        const own = `own ${worker}`
        if (worker < 2) await making(engine, own)
        else if (worker === 2) await guarding(engine)
        else {
          // All three in one batch, normally.
          const removing = () => engine.run(remove(key, own)).then(isRemoved => isRemoved && made.delete(own))
          await Promise.all([guarding(engine), making(engine, own), removing()])
        }
      })
      for (const us of guards) {
        const tooEarly = [...made].find(([, madeUs]) => madeUs <= us)
        assert.equal(tooEarly, undefined, `${key} was absent at ${us}`)
      }
    }
  })
}

/** Makes a row that has the command's timestamp. */
const stamp = command<[key: string], number>({
  name: "Stamp",
  touches: key => [["pendingDeletions", rowKeyOf(key)]],
  decide(_view, { commitUs }, key) {
    return {
      writes: [{ family: "pendingDeletions", key: rowKeyOf(key), value: Buffer.from(String(commitUs)) }],
      result: commitUs,
    }
  },
})

const stampsUpTo = query("StampsUpTo", (view, us: number) =>
  Array.from(view.range("pendingDeletions", { start: rowKeyOf(""), end: rowKeyOf("\xff") }), ([, row]) =>
    Number(Buffer.from(row.value).toString()),
  )
    .filter(each => each <= us)
    .sort((a, b) => a - b),
)

/** No commit appears up to a closed moment, on any engine, even one that starts meanwhile. */
async function closedMomentsStay(seed: number): Promise<void> {
  const world = new SimulatedWorld(seed, seed % 2 === 0 ? SLOW : UNRELIABLE)
  const { database } = world
  await world.run(async () => {
    const random = world.random.fork("moments")
    const engines = [await world.open("a"), await world.open("b")]
    const [first] = engines
    assert.ok(first)
    const closed: { readonly us: number; readonly stamps: readonly number[] }[] = []
    for (let round = 0; round < 5; round += 1) {
      const writing = concurrently(4, async worker => {
        await world.pass(random.below(20))
        // A start at this very moment: its lanes must be closed too.
        if (worker === 0) engines.push(await world.open(`c ${round}`))
        const engine = worker === 0 ? engines.at(-1) : anyOf(random, engines)
        for (let i = 0; i < 4; i += 1) await engine?.run(stamp(`${round} ${worker} ${i}`)).catch(checkRefusal)
      })
      const reading = async (): Promise<void> => {
        for (let i = 0; i < 3; i += 1) {
          await world.pass(random.below(30))
          if (random.below(4) === 0) database.aheadMs = random.below(2_000) - 1_000
          const reader = anyOf(random, engines)
          const closing = reader.closeTo().catch(checkRefusal)
          await world.pass(random.below(8))
          if (random.below(2) === 0) database.aheadMs -= random.below(1_000)
          const us = await closing
          if (us !== undefined) closed.push({ us, stamps: await reader.ask(stampsUpTo(us)) })
        }
      }
      await Promise.all([writing, reading()])
    }
    await world.pass(5_000)
    for (const { us, stamps } of closed) {
      assert.deepEqual(await first.ask(stampsUpTo(us)), stamps, `something has appeared up to ${us}`)
    }
  })
}

export const TIMESTAMP_CHECKS = { timestampsAreAnOrder, guardsComeBeforeTheirObjects, closedMomentsStay }
