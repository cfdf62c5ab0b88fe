/**
 * The promises that hold on the simulated database, whatever happens to connections and statements: each check makes
 * one run of a seed, and throws an `AssertionError` if its promise is broken.
 */
import assert from "node:assert/strict"
import { fail, isFailure } from "@hayloft/base/failures.js"
import { rowKeyOf, type RowKey } from "@hayloft/base/ids.js"
import type { EntryWrite } from "@hayloft/engine/format/device/entry.js"
import { suffixRange } from "@hayloft/engine/format/row-key.js"
import { command, query, type Metadata, type RowView } from "@hayloft/engine/metadata/index.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { History } from "./exchange-history.js"
import { TIMESTAMP_CHECKS } from "./timestamp-checks.js"
import { anyOf, concurrently, SimulatedWorld, SLOW, UNRELIABLE } from "./simulated-world.js"

const FAMILY = "pendingDeletions"
const keyOf = (key: string): RowKey => rowKeyOf(key)
const textIn = (view: RowView, key: string): string | undefined => {
  const row = view.get(FAMILY, keyOf(key))
  return row && Buffer.from(row.value).toString()
}
const writeOf = (key: string, value: string | undefined): EntryWrite => ({
  family: FAMILY,
  key: keyOf(key),
  value: value === undefined ? undefined : Buffer.from(value),
})
const touching = (...keys: readonly string[]) => keys.map(key => [FAMILY, keyOf(key)] as const)

/** Replaces the values of rows, or deletes them, and returns those before. */
const exchange = command<[keys: readonly string[], value: string | undefined], readonly (string | undefined)[]>({
  name: "Exchange",
  touches: keys => touching(...keys),
  decide(view, _time, keys, value) {
    const before = keys.map(key => textIn(view, key))
    const writes = keys.filter((_, at) => value !== undefined || before[at] !== undefined)
    return { writes: writes.map(key => writeOf(key, value)), result: before }
  },
})

/** Makes a row; returns the value of the one that is there, if there is one. */
const create = command<[key: string, value: string], string | undefined>({
  name: "Create",
  touches: key => touching(key),
  decide(view, _time, key, value) {
    const before = textIn(view, key)
    return { writes: before === undefined ? [writeOf(key, value)] : [], result: before }
  },
})

const valuesOf = query("Values", (view, keys: readonly string[]) => keys.map(key => textIn(view, key)))

/** Nothing happened: the database did not answer in time, or the command has lost too many races. */
function checkRefusal(error: unknown): void {
  if (!isFailure(error, "tooManyInFlight") && !isFailure(error, "databaseUnreachable")) throw error
}

/** Every value is replaced once, whatever becomes of the connections: nothing is lost, and nothing is done twice. */
async function eachChangeOnce(seed: number): Promise<void> {
  const world = new SimulatedWorld(seed, UNRELIABLE)
  await world.run(async () => {
    const engines = [await world.open("a"), await world.open("b")]
    const incarnations = engines.map(engine => engine.incarnations.own)
    const keys = ["x", "y"]
    const history = new History(() => world.clock.monotonicMs())
    await concurrently(6, async worker => {
      const random = world.random.fork("worker")
      for (let i = 0; i < 12; i += 1) {
        await world.pass(random.below(30))
        const value = `${worker}.${i}`
        await exchangeOnce(anyOf(random, engines), random, history, { keys, value }).catch(checkRefusal)
      }
    })
    // Whatever arrives late has arrived.
    await world.pass(5_000)
    history.check(keys, await anyOf(world.random, engines).ask(valuesOf(keys)))
    const now = engines.map(engine => engine.incarnations.own)
    assert.deepEqual(now, incarnations, "an incarnation is over that nobody has ended")
  })
}

interface Exchanged {
  readonly keys: readonly string[]
  readonly value: string
}

async function exchangeOnce(engine: Metadata, random: Random, history: History, { keys, value }: Exchanged) {
  const key = anyOf(random, keys)
  const end = history.begin()
  switch (random.below(6)) {
    case 0: {
      const [before] = await engine.run(exchange([key], undefined))
      return end(key, before, undefined)
    }
    case 1: {
      const before = await engine.run(create(key, value))
      return before === undefined ? end(key, undefined, value) : end(key, before, before)
    }
    case 2: {
      const found = await engine.ask(valuesOf(keys))
      return keys.forEach((each, at) => end(each, found[at], found[at]))
    }
    case 3: {
      const before = await engine.run(exchange(keys, value))
      return keys.forEach((each, at) => end(each, before[at], value))
    }
    default: {
      const [before] = await engine.run(exchange([key], value))
      return end(key, before, value)
    }
  }
}

/** Deletes the first row if both are there. */
const removeOneOfTwo = command<[own: string, other: string], void>({
  name: "RemoveOneOfTwo",
  touches: (own, other) => touching(own, other),
  decide(view, _time, own, other) {
    const isBoth = [own, other].every(key => textIn(view, key) !== undefined)
    return { writes: isBoth ? [writeOf(own, undefined)] : [], result: undefined }
  },
})

/** Two engines that rely on what the other changes: one of them decides again. */
async function oneStays(seed: number): Promise<void> {
  const world = new SimulatedWorld(seed, UNRELIABLE)
  await world.run(async () => {
    const engines = [await world.open("a"), await world.open("b")]
    for (let round = 0; round < 8; round += 1) {
      const keys = [`${round} a`, `${round} b`]
      const [a = "", b = ""] = keys
      await anyOf(world.random, engines).run(exchange(keys, "there"))
      await Promise.all([
        anyOf(world.random, engines).run(removeOneOfTwo(a, b)),
        anyOf(world.random, engines).run(removeOneOfTwo(b, a)),
      ])
      const left = (await anyOf(world.random, engines).ask(valuesOf(keys))).filter(value => value !== undefined)
      assert.equal(left.length, 1, `round ${round}: ${left.length} rows are left`)
    }
  })
}

const GATE = "names"
const setGate = command<[name: string, state: string], void>({
  name: "SetGate",
  touches: name => [[GATE, keyOf(name)]],
  decide(view, _time, name, state) {
    view.get(GATE, keyOf(name))
    return { writes: [{ family: GATE, key: keyOf(name), value: Buffer.from(state) }], result: undefined }
  },
})

const passGate = command<[name: string, value: string], void>({
  name: "PassGate",
  touches: name => [[GATE, keyOf(name)]],
  decide(view, _time, name, value) {
    const gate = view.get(GATE, keyOf(name))
    if (gate === undefined || Buffer.from(gate.value).toString() !== "open") throw fail("noSuchBucket")
    return { writes: [writeOf(`${name} ${value}`, value)], result: undefined }
  },
})

const passedGate = query("PassedGate", (view, name: string) =>
  [...view.range(FAMILY, suffixRange(keyOf(`${name} `)))].map(([key]) => key),
)

/** After a gate is closed nothing passes it, on any engine: also on those that start meanwhile. */
async function closedStaysClosed(seed: number): Promise<void> {
  const world = new SimulatedWorld(seed, SLOW)
  await world.run(async () => {
    const engines = [await world.open("a"), await world.open("b")]
    const [first] = engines
    assert.ok(first)
    const random = world.random.fork("gates")
    const closed: { readonly name: string; readonly passed: readonly string[] }[] = []
    for (let round = 0; round < 5; round += 1) {
      const name = `gate ${round}`
      await anyOf(random, engines).run(setGate(name, "open"))
      const passing = concurrently(3, async worker => {
        await world.pass(random.below(20))
        // A start at this very moment: its lanes must learn of the gate too.
        const engine = worker === 0 ? await world.open(`c ${round}`) : anyOf(random, engines)
        for (let i = 0; i < 4; i += 1) {
          await engine.run(passGate(name, `${worker}.${i}`)).catch((error: unknown) => {
            assert.ok(isFailure(error, "noSuchBucket"), String(error))
          })
        }
        engines.push(engine)
      })
      const closing = async (): Promise<void> => {
        await world.pass(random.below(20))
        await first.run(setGate(name, "closed"))
        closed.push({ name, passed: await first.ask(passedGate(name)) })
      }
      await Promise.all([passing, closing()])
    }
    for (const { name, passed } of closed) {
      assert.deepEqual(await first.ask(passedGate(name)), passed, `${name}: something passed after it was closed`)
    }
    for (const engine of engines) await engine.run(setGate("last", "open"))
  })
}

/** Throws if the rows differ; the second is not among those that it touches. */
const compare = command<[a: string, z: string], void>({
  name: "Compare",
  touches: a => touching(a),
  decide(view, _time, a, z) {
    const values = [textIn(view, a), textIn(view, z)]
    assert.equal(values[0], values[1], "a decision saw rows of two moments")
    return { writes: [], result: undefined }
  },
})

/** A decision sees rows of one moment, also if it asks for more of them. */
async function oneMoment(seed: number): Promise<void> {
  const world = new SimulatedWorld(seed, SLOW)
  await world.run(async () => {
    const engines = [await world.open("a"), await world.open("b")]
    const keys = ["a", "z"]
    await concurrently(4, async worker => {
      const random = world.random.fork("worker")
      for (let i = 0; i < 10; i += 1) {
        const engine = anyOf(random, engines)
        if (worker < 2) await engine.run(exchange(keys, `${worker}.${i}`))
        else await engine.run(compare("a", "z"))
        const [a, z] = await engine.ask(valuesOf(keys))
        assert.equal(a, z, "a query saw rows of two moments")
      }
    })
  })
}

/** Writes the number of the incarnation that commits. */
const sign = command<[key: string, value: string], void>({
  name: "Sign",
  touches: key => touching(key),
  decide(view, { incarnations }, key, value) {
    textIn(view, key)
    return { writes: [writeOf(key, `${incarnations.own} ${value}`)], result: undefined }
  },
})

/** Once an incarnation has ended, nothing of it takes effect, however late its statements arrive. */
async function endedIsOver(seed: number): Promise<void> {
  const world = new SimulatedWorld(seed, UNRELIABLE)
  await world.run(async () => {
    const reader = await world.open("reader")
    const random = world.random.fork("ended")
    const keys = ["x", "y", "z"]
    for (let round = 0; round < 3; round += 1) {
      const engine = await world.openUnreliably("node")
      const { own } = engine.incarnations
      const signedByEnded = async () =>
        (await reader.ask(valuesOf(keys))).filter(value => value?.startsWith(`${own} `) === true)
      const writing = concurrently(3, async worker => {
        for (let i = 0; i < 100 && engine.incarnations.own === own; i += 1) {
          await engine.run(sign(anyOf(random, keys), `${worker}.${i}`)).catch(checkOver)
        }
      })
      const ending = async (): Promise<readonly (string | undefined)[]> => {
        await world.pass(random.below(300))
        // Its successor ends it, or the operator does.
        if (round === 0) await world.byOperator(session => session.end(own))
        else await Promise.all([world.openUnreliably("node"), world.openUnreliably("node")])
        return signedByEnded()
      }
      const [last] = await Promise.all([ending(), writing])
      for (let waits = 0; waits < 10; waits += 1) {
        for (const value of await signedByEnded())
          assert.ok(last.includes(value), "something of an ended incarnation took effect")
        await world.pass(500)
      }
      const { live } = await world.byOperator(session => session.incarnations())
      const ofNode = live.filter(each => each.node === "node").map(({ incarnation }) => incarnation)
      assert.ok(ofNode.length <= 1 && !ofNode.includes(own), `incarnations ${ofNode.join(", ")} of the node are live`)
    }
  })
}

/** The incarnation is over, with a commit whose outcome is not known, or the node has another process. */
function checkOver(error: unknown): void {
  if (!isFailure(error, "stopping") && !isFailure(error, "indeterminate")) checkRefusal(error)
}

/** A process whose incarnation was ended continues in another, also if its connections are lost meanwhile. */
async function beginsAgain(seed: number): Promise<void> {
  const world = new SimulatedWorld(seed, UNRELIABLE)
  await world.run(async () => {
    const engine = await world.open("node")
    for (let round = 0; round < 4; round += 1) {
      const { own } = engine.incarnations
      await world.byOperator(session => session.end(own))
      for (let isDone = false; !isDone;) {
        const signed = engine.run(sign("x", String(round))).then(() => true)
        isDone = await signed.catch((error: unknown) => {
          if (!isFailure(error, "indeterminate")) checkRefusal(error)
          return false
        })
        await world.pass(50)
      }
      assert.ok(engine.incarnations.own > own)
    }
  })
}

/**
 * Commits that change several rows lock them in one order. Two other kinds may wait in a circle, where one of them loses
 * in any case: each reads what the other changes, or adds what the other changes.
 */
async function noDeadlocks(seed: number): Promise<void> {
  const world = new SimulatedWorld(seed, SLOW)
  await world.run(async () => {
    const engines = await Promise.all(["a", "b", "c", "d"].map(node => world.open(node)))
    const keys = ["a", "b", "c", "d"]
    await anyOf(world.random, engines).run(exchange(keys, "first"))
    await concurrently(8, async worker => {
      const random = world.random.fork("worker")
      for (let i = 0; i < 8; i += 1) {
        const some = keys.filter(() => random.below(2) === 0)
        if (some.length > 0) await anyOf(random, engines).run(exchange(some.reverse(), `${worker}.${i}`))
      }
    })
  })
  assert.equal(world.database.deadlocks, 0, "deadlocks")
}

export const SIMULATED_CHECKS = {
  ...TIMESTAMP_CHECKS,
  eachChangeOnce,
  oneStays,
  closedStaysClosed,
  oneMoment,
  endedIsOver,
  beginsAgain,
  noDeadlocks,
} as const
export type SimulatedCheck = keyof typeof SIMULATED_CHECKS
