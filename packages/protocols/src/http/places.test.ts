import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { mayEnter, Places, type EntryRule, type Party } from "@hayloft/base/places-core.js"

const LIMITS = { inFlightMax: 20, inFlightReserve: 6, reserveOfEach: 2, waitingMax: 30 }
const of = (account: string | undefined, address = "a1"): Party => ({ account, address })

test("one client takes all places of an idle server, and another client still gets one", () => {
  const places = new Places<string>(LIMITS)
  const mine = Array.from({ length: 25 }, () => places.enter(of("mine"))).filter(Boolean).length
  assert.equal(mine, LIMITS.inFlightMax)
  assert.deepEqual(
    [1, 2, 3].map(() => places.enter(of("other"))),
    [true, true, false],
  )
  assert.deepEqual(
    [1, 2, 3].map(() => places.enter(of(undefined, "a9"))),
    [true, true, false],
  )
  assert.deepEqual(
    [1, 2, 3].map(() => places.enter(of(undefined, "a8"))),
    [true, true, false],
  )
  assert.equal(places.enter(of("fifth")), false, "the reserve has an end")
})

test("a free place goes to the account with the fewest places, then the address with the fewest, then the oldest request", () => {
  const places = new Places<string>({ ...LIMITS, inFlightReserve: 0, inFlightMax: 6 })
  for (const party of [of("x"), of("x"), of("x"), of("x"), of("y", "a1"), of("y", "a1")]) assert.ok(places.enter(party))
  const wait = (name: string, party: Party) => assert.equal(places.wait(name, party), undefined)
  wait("x1", of("x", "a7"))
  wait("y1", of("y", "a1"))
  wait("y2", of("y", "a2"))
  wait("n1", of(undefined, "a5"))
  wait("n2", of(undefined, "a5"))
  const order = [1, 2, 3, 4].flatMap(() => leave(places, of("x")))
  assert.deepEqual(order, ["n1", "n2", "x1", "y2"])
  assert.deepEqual(leave(places, of("x", "a7")), ["y1"])
})

test("when too many requests wait, the newest of the account with the most is rejected", () => {
  const places = new Places<string>({ ...LIMITS, inFlightMax: 0, inFlightReserve: 0, waitingMax: 3 })
  for (const name of ["x1", "x2", "x3"]) assert.equal(places.wait(name, of("x")), undefined)
  assert.equal(places.wait("x4", of("x")), "x4")
  assert.equal(places.wait("y1", of("y")), "x3")
  assert.deepEqual([...places.queue], ["x1", "x2", "y1"])
})

/** Gives a place back; returns the requests that are admitted then. */
function leave<T>(places: Places<T>, party: Party | undefined): T[] {
  places.leave(party)
  const admitted: T[] = []
  for (let next = places.admit(); next !== undefined; next = places.admit()) admitted.push(next)
  return admitted
}

/** Many requests keep their places; a few come and go. Counts how often the few did not enter immediately or next. */
function shutOut(seed: number, rule: EntryRule): number {
  const random = new SimRandom(seed)
  const places = new Places<number>(LIMITS, rule)
  const greedy: Party[] = Array.from({ length: 3 }, (_, i) => of("greedy", `g${i}`))
  for (let i = 0; i < 200; i += 1) {
    const party = greedy[random.below(3)] ?? of("greedy")
    if (!places.enter(party)) places.wait(i, party)
  }
  let shut = 0
  for (let i = 0; i < 100; i += 1) {
    const party = random.below(2) === 0 ? of("modest", "m1") : of(undefined, `n${random.below(3)}`)
    if (places.enter(party)) leave(places, party)
    else {
      shut += 1
      const away = places.wait(1_000 + i, party)
      assert.notEqual(away, 1_000 + i, "its own is not the one that is turned away")
      places.drop(1_000 + i)
    }
  }
  return shut
}

for (const seed of [1, 2, 3]) {
  test(`a client with few requests is admitted beside clients that hold all places (seed ${seed})`, () => {
    assert.equal(shutOut(seed, mayEnter), 0)
  })
}

test("planted: places given out in order of arrival shut other clients out", () => {
  assert.equal(
    shutOut(1, (taken, _own, { inFlightMax }) => taken < inFlightMax),
    100,
  )
})

test("no state remains of clients that have left", () => {
  const random = new SimRandom(4)
  const places = new Places<number>(LIMITS)
  const inside: Party[] = []
  const parties = new Map<number, Party>()
  for (let i = 0; i < 2_000; i += 1) {
    const party = of(random.below(2) === 0 ? undefined : `x${random.below(5)}`, `a${random.below(4)}`)
    if (random.below(2) === 0 && inside.length > 0) {
      const [left] = inside.splice(random.below(inside.length), 1)
      for (const request of leave(places, left)) inside.push(parties.get(request) ?? party)
    } else if (places.enter(party)) inside.push(party)
    else {
      parties.set(i, party)
      places.wait(i, party)
    }
    assert.ok(places.taken <= LIMITS.inFlightMax + LIMITS.inFlightReserve && places.queued <= LIMITS.waitingMax)
    assert.equal(places.taken, inside.length)
  }
  for (const request of [...places.queue]) places.drop(request)
  for (const party of inside) places.leave(party)
  assert.deepEqual([places.taken, places.queued], [0, 0])
  assert.equal(places.parties, 0)
})

test("a request that has its place goes on while no place is free, and takes no second one", () => {
  const places = new Places<string>({ inFlightMax: 1, inFlightReserve: 0, reserveOfEach: 0, waitingMax: 10 })
  const party = { account: "a", address: "1" }
  assert.ok(places.enter(party))
  places.wait("new", party)
  places.wait("placed", party, true)
  assert.equal(places.admit(), "placed")
  assert.equal(places.admit(), undefined)
  assert.equal(places.taken, 1)
})

/** How many of the next 100 requests are those of `account`, beside as many of `other`, at equal costs. */
function shareOf(places: Places<string>, account: string, other: string, current: Party): number {
  for (let i = 0; i < 100; i += 1) for (const each of [account, other]) places.wait(`${each} ${i}`, of(each))
  let holder = current
  let count = 0
  for (let i = 0; i < 100; i += 1) {
    places.charge(holder, 1, true)
    places.leave(holder)
    const [next = ""] = must(places.admit(), "one waits").split(" ")
    holder = of(next)
    if (next === account) count += 1
  }
  return count
}

/** How many requests of another account, of 1 ms each, are served before one of an account that was charged `costsMs`. */
function servedBefore(costsMs: readonly number[]): number {
  const places = new Places<string>({ ...LIMITS, inFlightMax: 2, inFlightReserve: 0, waitingMax: 10_000 })
  assert.ok(places.enter(of("early")))
  for (const costMs of costsMs) {
    assert.ok(places.enter(of("early")))
    places.charge(of("early"), costMs, true)
    places.leave(of("early"))
  }
  places.setPlaces(1)
  for (let i = 0; i < 2_000; i += 1) places.wait(`late ${i}`, of("late"))
  places.wait("early", of("early"))
  places.leave(of("early"))
  for (let served = 0; served < 2_000; served += 1) {
    if (places.admit() === "early") return served
    places.charge(of("late"), 1, true)
    places.leave(of("late"))
  }
  return Infinity
}

test("an account that was alone for a minute is not shut out when others come", () => {
  const served = servedBefore(Array.from({ length: 60_000 }, () => 1))
  assert.ok(served <= 550, `${served}`)
})

test("an account with one very long request is not shut out for as long", () => {
  const served = servedBefore([60_000])
  assert.ok(served <= 550, `${served}`)
})

test("an address with few requests is not rejected for another one of its account with many", () => {
  const places = new Places<string>({ ...LIMITS, inFlightMax: 0, inFlightReserve: 0, waitingMax: 3 })
  for (const name of ["many 1", "many 2", "many 3"]) assert.equal(places.wait(name, of("x", "a1")), undefined)
  assert.equal(places.wait("few", of("x", "a2")), "many 3")
})

test("a wait for an active account ends with the requests that wait, and costs nobody anything later", () => {
  let nowMs = 0
  const limits = { ...LIMITS, inFlightMax: 2, inFlightReserve: 0, waitingMax: 1_000 }
  const places = new Places<string>(limits, undefined, undefined, () => nowMs)
  for (const party of [of("long"), of("small")]) assert.ok(places.enter(party))
  places.charge(of("large"), 1, true)
  places.leave(of("small"))
  places.wait("expires", of("large"))
  assert.equal(places.admit(), undefined)
  assert.ok(places.isHolding)
  places.drop("expires")
  assert.ok(!places.isHolding)
  nowMs = 3_600_000
  assert.ok(places.enter(of("small")))
  const count = shareOf(places, "large", "small", of("small"))
  assert.ok(count >= 45, `${count} of 100`)
})
