/**
 * The promises that hold for leases, silence and retention, whatever happens to nodes and to the database: each check
 * makes one run of a seed in simulated time, and throws an `AssertionError` if its promise is broken.
 */
import assert from "node:assert/strict"
import { isFailure } from "@hayloft/base/failures.js"
import { rowKeyOf, type Position } from "@hayloft/base/ids.js"
import { command } from "@hayloft/engine/metadata/index.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { MINUTE, SimStore, type SimNode } from "./nodes.js"

const NAMES = ["a", "b", "c"] as const

/** Starts the nodes, and waits until one is the steward. */
async function startAll(store: SimStore, options = {}): Promise<readonly [SimNode, SimNode, SimNode]> {
  const nodes = [
    await store.start("a", options),
    await store.start("b", options),
    await store.start("c", options),
  ] as const
  await store.pass(MINUTE)
  assert.ok(store.steward(), "one of them is the steward")
  return nodes
}

/** A node that is not the steward. */
const follower = (store: SimStore): SimNode => {
  const steward = store.steward()
  const [found] = store.nodes.filter(node => node !== steward)
  assert.ok(found)
  return found
}

/** A node is away; returns, after each of these minutes, whether its incarnation was ended, and whether it was reported. */
async function away(seed: number, minutes: readonly number[], wallFactor = 1) {
  const store = new SimStore(seed)
  const seen: { readonly isEnded: boolean; readonly isReported: boolean }[] = []
  await store.run(async () => {
    await startAll(store)
    const node = follower(store)
    const others = store.nodes.filter(each => each !== node)
    for (const each of store.nodes) each.clock.wallFactor = wallFactor
    const before = others.map(({ own }) => own)
    const { own } = node
    node.clock.pause()
    for (const [at, minute] of minutes.entries()) {
      await store.pass((minute - (minutes[at - 1] ?? 0)) * MINUTE)
      const isEnded = others.some(({ engine }) => engine.incarnations.isOver(own))
      seen.push({ isEnded, isReported: store.reported.has(node.name) })
    }
    node.clock.go()
    await store.pass(MINUTE)
    assert.equal(node.own !== own, seen.at(-1)?.isEnded, "it begins again if it was ended")
    assert.deepEqual(
      others.map(each => each.own),
      before,
      "the others are not ended",
    )
    const { live } = node.engine
    assert.deepEqual(live.nodes.map(each => each.node).sort(), [...NAMES], "all are live again")
    for (const each of others) assert.ok(!store.reported.has(each.name), "the others are not reported")
    store.reported.clear()
    await store.pass(2 * MINUTE)
    assert.deepEqual([...store.reported], [], "a node that is back is not reported")
  })
  return seen
}

async function silence(seed: number): Promise<void> {
  const [present, ended] = [
    { isEnded: false, isReported: false },
    { isEnded: true, isReported: false },
  ]
  assert.deepEqual(await away(seed, [4]), [present])
  assert.deepEqual(await away(seed, [4, 6, 14, 16]), [present, ended, ended, { isEnded: true, isReported: true }])
}

/** Wall clocks that run twice as fast mean nothing. */
async function wallClock(seed: number): Promise<void> {
  assert.deepEqual(await away(seed, [4], 2), [{ isEnded: false, isReported: false }])
}

/** Others cannot reach a node that writes heartbeats; returns whether it was ended, and what was reported at each minute. */
async function cutOff(seed: number, minutes: readonly number[], from: "one" | "all") {
  const store = new SimStore(seed)
  let isEnded = false
  const reported: (readonly string[])[] = []
  await store.run(async () => {
    await startAll(store)
    const node = follower(store)
    const others = store.nodes.filter(each => each !== node).slice(0, from === "all" ? undefined : 1)
    const { own } = node
    node.cannotReach = others.map(({ name }) => name)
    for (const each of others) each.cannotReach = [node.name]
    for (const [at, minute] of minutes.entries()) {
      await store.pass((minute - (minutes[at - 1] ?? 0)) * MINUTE)
      reported.push([...store.reported].map(name => (name === node.name ? "it" : name)))
    }
    for (const each of store.nodes) each.cannotReach = []
    await store.pass(MINUTE)
    isEnded = node.own !== own
    store.reported.clear()
    await store.pass(2 * MINUTE)
    assert.deepEqual([...store.reported], [], "a node that is back is not reported")
  })
  return { isEnded, reported }
}

async function isolation(seed: number): Promise<void> {
  assert.deepEqual(await cutOff(seed, [14, 16], "all"), { isEnded: false, reported: [[], ["it"]] })
  assert.deepEqual(await cutOff(seed, [20], "one"), { isEnded: false, reported: [[]] })
}

/** A process that began and never wrote a row, as one that crashed during its start, is ended too. */
async function neverJoined(seed: number): Promise<void> {
  const store = new SimStore(seed)
  await store.run(async () => {
    const [a] = await startAll(store)
    const lost = (await store.world.open("lost")).incarnations.own
    // It may be recovering its devices.
    await store.pass(59 * MINUTE)
    assert.ok(!a.engine.incarnations.isOver(lost))
    await store.pass(2 * MINUTE)
    assert.ok(a.engine.incarnations.isOver(lost))
  })
}

/**
 * The database is away for an hour, and a node loses it earlier and finds it later than the others: nobody is ended,
 * nothing is reported, and no epoch counts that time.
 */
async function databaseAway(seed: number): Promise<void> {
  const store = new SimStore(seed)
  await store.run(async () => {
    const nodes = await startAll(store)
    const before = nodes.map(({ own }) => own)
    await store.pass(3 * MINUTE)
    const epoch = await store.epoch(nodes[0])
    const slow = follower(store)
    slow.clock.pause()
    await store.pass(MINUTE / 2)
    store.world.database.isAway = true
    store.world.database.cut()
    await store.pass(60 * MINUTE)
    store.world.database.isAway = false
    await store.pass(3 * MINUTE)
    slow.clock.go()
    await store.pass(MINUTE)
    assert.deepEqual(
      nodes.map(({ own }) => own),
      before,
    )
    assert.deepEqual([...store.reported], [])
    assert.ok((await store.epoch(nodes[0])) <= epoch + 1, "an hour without the database is no epoch")
    assert.ok(store.steward(), "one of them is the steward again")
  })
}

/** The steward is stopped for longer than until it is reported, and then goes on where it was. */
async function pausedSteward(seed: number): Promise<void> {
  const store = new SimStore(seed)
  await store.run(async () => {
    await startAll(store)
    const paused = store.steward()
    assert.ok(paused)
    const others = store.nodes.filter(each => each !== paused)
    const before = others.map(({ own }) => own)
    paused.clock.pause()
    await store.pass(MINUTE)
    assert.ok(store.steward(), "another one has taken over within a minute")
    await store.pass(19 * MINUTE)
    paused.clock.go()
    assert.notEqual(store.steward(), paused, "it knows by its clock that it is not the steward any more")
    await store.pass(3 * MINUTE)
    assert.deepEqual(
      others.map(({ own }) => own),
      before,
    )
    assert.deepEqual([...store.reported], [paused.name])
  })
}

/** Two processes take themselves for the steward all the time: they only waste work. */
async function twoStewards(seed: number): Promise<void> {
  const store = new SimStore(seed)
  await store.run(async () => {
    const a = await store.start("a", { isAlwaysSteward: true })
    const b = await store.start("b", { isAlwaysSteward: true })
    const c = await store.start("c")
    await store.pass(5 * MINUTE)
    const before = await store.epoch(a)
    const own = [a.own, b.own]
    c.clock.pause()
    await store.pass(50 * MINUTE)
    c.clock.go()
    await store.pass(MINUTE)
    assert.deepEqual([a.own, b.own], own)
    assert.deepEqual([...store.reported], ["c"])
    const epochs = (await store.epoch(a)) - before
    assert.ok(epochs >= 4 && epochs <= 6, `${epochs} epochs in 51 minutes`)
  })
}

/** The incarnation of the steward is ended: its process goes on as another one, without the lease. */
async function endedSteward(seed: number): Promise<void> {
  const store = new SimStore(seed)
  await store.run(async () => {
    await startAll(store)
    for (let round = 0; round < 6; round += 1) {
      const steward = store.steward()
      assert.ok(steward)
      const { own } = steward
      await store.world.byOperator(session => session.end(own))
      await store.pass(MINUTE)
      assert.notEqual(steward.own, own)
    }
  })
}

const RELEASED = rowKeyOf("released")

/** Stands for a decision that releases bytes. */
const release = command<[], Position>({
  name: "Release",
  touches: () => [["accounts", RELEASED]],
  decide(view, { position }) {
    view.get("accounts", RELEASED)
    return { writes: [{ family: "accounts", key: RELEASED, value: Buffer.from(String(position)) }], result: position }
  },
})

interface Released {
  readonly position: Position
  readonly atMs: number
}

const RETENTION = { retentionMs: 60 * MINUTE, epochMs: 10 * MINUTE }

/** While nodes stop, restart and are ended, and stewards change, nothing is due before its time, and everything after it. */
async function retention(seed: number): Promise<void> {
  const store = new SimStore(seed)
  const released: Released[] = []
  const { random } = store.world
  await store.run(async () => {
    const isBusy = seed % 2 === 1
    await startAll(store, { retention: RETENTION, isAlwaysSteward: isBusy })
    for (let minutes = 0; minutes < 120; minutes += 5) {
      await disturb(store, random)
      await store.world.pass(random.below(10 * MINUTE))
      for (const node of store.nodes) await decide(store, node, released)
      await compare(store, released, minutes)
    }
    for (const { clock } of store.nodes) clock.go()
    await store.world.pass(10 * MINUTE)
    await store.world.pass(RETENTION.retentionMs + 4 * RETENTION.epochMs)
    const left = await notDue(store, released)
    assert.deepEqual(left, [], "everything is due in the end")
  })
}

async function disturb(store: SimStore, random: Random): Promise<void> {
  const node = store.nodes[random.below(store.nodes.length)]
  if (node === undefined) return
  switch (random.below(4)) {
    case 0:
      return node.clock.pause()
    case 1:
      return node.clock.go()
    case 2:
      return store.world.byOperator(session => session.end(node.own))
    case 3:
      return undefined
  }
}

async function decide(store: SimStore, { engine }: SimNode, released: Released[]): Promise<void> {
  try {
    const position = await engine.run(release())
    released.push({ position, atMs: store.world.clock.monotonicMs() })
  } catch (error) {
    // Its incarnation was ended meanwhile.
    if (!isFailure(error)) throw error
  }
}

async function compare(store: SimStore, released: readonly Released[], minutes: number): Promise<void> {
  for (const node of store.nodes) {
    const due = await dueOn(node)
    const nowMs = store.world.clock.monotonicMs()
    for (const { position, atMs } of released) {
      const isEarly = due?.isDue(position) === true && nowMs - atMs < RETENTION.retentionMs
      assert.ok(!isEarly, `${position} is due on ${node.name} after ${(nowMs - atMs) / MINUTE} minutes, at ${minutes}`)
    }
  }
}

/** Returns undefined if the node cannot tell at this moment. */
const dueOn = (node: SimNode) =>
  node.retention.now().catch((error: unknown) => {
    if (!isFailure(error)) throw error
    return undefined
  })

async function notDue(store: SimStore, released: readonly Released[]): Promise<readonly Position[]> {
  const [node] = store.nodes
  assert.ok(node)
  const due = await node.retention.now()
  return released.filter(({ position }) => !due.isDue(position)).map(({ position }) => position)
}

export const STEWARD_CHECKS = {
  "a node that is away for 4, 6, 14 and 16 minutes": silence,
  "a node is cut off from the others, or from one of them": isolation,
  "wall clocks that run twice as fast": wallClock,
  "a process that never joined": neverJoined,
  "the database is away for an hour": databaseAway,
  "the steward is stopped for 20 minutes": pausedSteward,
  "two stewards at once": twoStewards,
  "the steward's incarnation is ended": endedSteward,
  "released bytes are kept for the retention, and no longer": retention,
} as const
