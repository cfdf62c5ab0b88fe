/** Copies of a bucket: filling, following, outages, refusals, crashes, and the limits of the log. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { runsOf } from "@hayloft/base/testing-seed.js"
import { fail } from "@hayloft/base/failures.js"
import { objectKeyOfText, textOfObjectKey } from "@hayloft/base/ids.js"
import { KIB } from "@hayloft/base/limits.js"
import { fc } from "@hayloft/base/testing-properties.js"
import { noSignal } from "@hayloft/upkeep/repair/testing-repair.js"
import { REMOTE_LIMITS } from "../remote-buckets/limits.js"
import { COPIES } from "./feature.js"
import { COPIES_LIMITS } from "./limits.js"
import { CopiesScene } from "./testing-copies.js"

const keyOf = objectKeyOfText

test("what is there is sent first, then each change, and nothing is left in the log", async () => {
  const scene = await CopiesScene.open()
  await scene.put("a", "first")
  await scene.put("b", "second")
  await scene.set()
  assert.equal((await scene.status()).phase, "waiting")
  await scene.settle()
  await scene.assertCopied("filled")
  await scene.put("c", "third")
  await scene.put("a", "again")
  await scene.delete("b")
  assert.equal(await scene.rows(), 3)
  const status = await scene.status()
  assert.deepEqual([status.phase, status.lag.objects, status.lag.bytes], ["following", 3, 10])
  await scene.settle()
  await scene.assertCopied("followed")
  const { copiedToUs, fills, error } = await scene.status()
  assert.ok(copiedToUs !== undefined && fills === 1 && error === undefined)
  const marked = scene.origin.objects.get(keyOf("c"))
  assert.equal(marked?.headers.contentType, "text/plain")
  assert.match(String(marked?.userMetadata), /^hayloft-copy,[0-9a-f]{16}$/)
})

test("a bucket without the setting logs nothing, and one that ends it keeps no rows", async () => {
  const scene = await CopiesScene.open()
  await scene.put("a", "first")
  assert.equal(await scene.rows(), 0)
  await scene.set()
  await scene.put("b", "second")
  assert.equal(await scene.rows(), 1)
  await scene.unset()
  await scene.refresh()
  await scene.work()
  assert.equal(await scene.rows(), 0)
  assert.equal(await scene.run(scene.copies.status(scene.bucket)), undefined)
  await scene.put("c", "third")
  assert.equal(await scene.rows(), 0)
})

test("rows that are left are removed some at a time, and the buckets have their turns between", async () => {
  const scene = await CopiesScene.open()
  let [left, drops] = [40, 0]
  scene.log.left = async () => (left > 0 ? scene.bucket.id : undefined)
  scene.log.drop = async () => {
    ;[left, drops] = [left - 1, drops + 1]
    return true
  }
  scene.restart()
  const found: (readonly [isBusy: boolean, drops: number])[] = []
  for (let round = 0; round < 4; round += 1) found.push([await scene.run(scene.copies.round(noSignal)), drops])
  assert.deepEqual(found, [
    [true, 16],
    [true, 32],
    [false, 40],
    [false, 40],
  ])
})

test("a bucket beyond the limit is refused", async () => {
  const scene = await CopiesScene.open()
  const { buckets } = scene.world.services
  buckets.withSetting = async () => Array.from({ length: COPIES_LIMITS.bucketsMax }, () => scene.bucket)
  await assert.rejects(scene.set(), /1000 buckets are copied already/)
})

test("while the target is away, changes wait; afterwards they are sent from the token on, not from the beginning", async () => {
  const scene = await CopiesScene.open()
  for (const key of ["a", "b", "c", "d"]) await scene.put(key, key)
  await scene.set()
  await scene.settle()
  scene.origin.isUnavailable = true
  await scene.put("a", "new")
  await scene.delete("b")
  await scene.work(20_000)
  const away = await scene.status()
  assert.equal(away.lag.objects, 2)
  assert.ok(away.lag.seconds >= 19, String(away.lag.seconds))
  assert.match(away.error ?? "", /does not respond/)
  const [lag] = scene.copies.lags()
  assert.deepEqual([lag?.objects, lag?.bytes], [2, 3])
  scene.origin.isUnavailable = false
  scene.origin.took()
  await scene.settle()
  await scene.assertCopied("back")
  assert.deepEqual([...scene.origin.took()].sort(), ["put a", "remove b"])
  assert.equal((await scene.status()).error, undefined)
})

test("an object that the target refuses is parked, shown and tried again, and holds up no others", async () => {
  const scene = await CopiesScene.open()
  await scene.set()
  await scene.settle()
  const refused = () => fail("remoteRefused", { message: "The remote refuses the request: no." })
  scene.origin.before = (kind, key) => {
    if (kind === "put" && key === keyOf("bad")) throw refused()
  }
  await scene.put("bad", "123")
  await scene.put("good", "4567")
  await scene.work(5_000)
  assert.deepEqual([...scene.there().keys()], ["good"])
  assert.equal(await scene.rows(), 0)
  const { parked, lag } = await scene.status()
  assert.deepEqual([lag.objects, lag.bytes], [1, 3])
  assert.deepEqual([parked[0]?.key, parked[0]?.attempts], ["bad", 1])
  assert.match(parked[0]?.reason ?? "", /refuses the request: no/)
  scene.origin.before = () => undefined
  await scene.settle()
  await scene.assertCopied("it was tried again")
  assert.deepEqual((await scene.status()).parked, [])
})

test("a target that refuses everything is away: nothing is parked", async () => {
  const scene = await CopiesScene.open()
  await scene.set()
  await scene.settle()
  scene.origin.before = () => {
    throw fail("remoteRefused", { message: "The remote refuses the request: wrong key." })
  }
  for (const key of ["a", "b", "c"]) await scene.put(key, key)
  await scene.work(10_000)
  const { parked, lag, error } = await scene.status()
  assert.deepEqual([parked.length, lag.objects], [0, 3])
  assert.match(error ?? "", /wrong key/)
  scene.origin.before = () => undefined
  await scene.settle()
  await scene.assertCopied("the key is right again")
})

test("what arrives as a copy is not sent on, and a change of it is", async () => {
  const scene = await CopiesScene.open()
  await scene.set()
  await scene.settle()
  await scene.put("a", "from elsewhere", { isCopy: true })
  await scene.delete("b", true)
  assert.equal(await scene.rows(), 0)
  await scene.tag("a", [["is", "mine"]])
  assert.equal(await scene.rows(), 1)
})

test("each version of a bucket with versions is sent in its order, and a removal after them", async () => {
  const scene = await CopiesScene.open({ isVersioned: true })
  await scene.set()
  await scene.settle()
  scene.origin.isUnavailable = true
  for (const text of ["1", "22", "333"]) await scene.put("a", text)
  await scene.delete("a")
  await scene.put("a", "4444")
  scene.origin.isUnavailable = false
  const sizes: (number | string)[] = []
  scene.origin.after = (kind, key) => {
    if (kind === "put") sizes.push(scene.origin.objects.get(key ?? keyOf("a"))?.sizeBytes ?? "?")
    if (kind === "remove") sizes.push("removed")
  }
  await scene.settle()
  assert.deepEqual(sizes, [1, 2, 3, "removed", 4])
  await scene.assertCopied("all versions")
})

for (const isVersioned of [false, true])
  test(`the rate of a bucket counts all bytes that are sent, ${isVersioned ? "of each version" : "also while it is filled"}`, async () => {
    const scene = await CopiesScene.open({ isVersioned })
    const bytesPerSecond = 10_000
    if (isVersioned) {
      await scene.set({ bytesPerSecond })
      await scene.settle()
    }
    scene.origin.isUnavailable = isVersioned
    for (const at of Array(20).keys()) await scene.put(isVersioned ? "a" : `a${at}`, "x".repeat(20_000))
    await scene.put("last", "1")
    if (!isVersioned) await scene.set({ bytesPerSecond })
    const { clock } = scene.world
    const sent: (readonly [key: string, atMs: number])[] = []
    scene.origin.after = (kind, key = keyOf("")) => {
      if (kind === "put") sent.push([textOfObjectKey(key), clock.wallMs()])
    }
    scene.origin.isUnavailable = false
    await scene.settle()
    const [first] = sent
    const last = sent.find(([key]) => key === "last")
    assert.equal(sent.length, 21)
    assert.ok(first !== undefined && last !== undefined)
    // A fill knows the sizes of objects once they are sent: those that are sent at a time, at most, are ahead of it.
    const aheadBytes = isVersioned ? 20_000 : COPIES_LIMITS.keysConcurrent * 20_000
    assert.ok(last[1] - first[1] >= ((20 * 20_000 - aheadBytes) / bytesPerSecond) * 1_000, JSON.stringify(sent))
    await scene.assertCopied("all is there")
  })

test("without deletes removals are not copied", async () => {
  const scene = await CopiesScene.open()
  await scene.put("a", "1")
  await scene.set({ deletes: false })
  await scene.settle()
  await scene.delete("a")
  await scene.settle()
  assert.deepEqual([...scene.there().keys()], ["a"])
  assert.equal(await scene.rows(), 0)
})

test("a log that is too old is given up: the target is filled again, and what is gone here is removed once the operator asks", async () => {
  const scene = await CopiesScene.open()
  for (const key of ["a", "b", "c"]) await scene.put(key, key)
  await scene.set()
  await scene.settle()
  scene.origin.set(keyOf("their own"), Buffer.from("x"))
  scene.origin.isUnavailable = true
  await scene.delete("a")
  await scene.put("d", "d")
  await scene.work(5_000)
  await scene.world.clock.advance(COPIES_LIMITS.logAgeMsMax)
  await scene.work(5_000)
  const again = await scene.status()
  assert.deepEqual([again.phase, again.fills, await scene.rows()], ["filling", 2, 0])
  scene.origin.isUnavailable = false
  scene.origin.took()
  await scene.settle()
  assert.deepEqual([...scene.there().keys()], ["a", "b", "c", "d", "their own"])
  const took = scene.origin.took()
  assert.ok(!took.includes("put b") && took.includes("put d"), "what is there already is not sent again")
  await scene.run(scene.copies.fillAgain(scene.bucket, true))
  await scene.settle()
  assert.deepEqual([...scene.there().keys()], ["b", "c", "d", "their own"])
})

test("a wall clock that is ahead for a while gives up no log, and lets no parked object rest until then", async () => {
  const scene = await CopiesScene.open()
  await scene.set()
  await scene.settle()
  scene.origin.isUnavailable = true
  await scene.put("good", "y")
  await scene.work(5_000)
  scene.world.clock.jumpWall(2 * COPIES_LIMITS.logAgeMsMax)
  await scene.work(5_000)
  scene.origin.isUnavailable = false
  scene.origin.before = (kind, key) => {
    if (kind === "put" && key === keyOf("bad")) throw fail("remoteRefused", { message: "no" })
  }
  await scene.put("bad", "x")
  await scene.work(2 * COPIES_LIMITS.retryMostMs)
  const { fills, parked } = await scene.status()
  assert.deepEqual([fills, parked.map(({ key }) => key), [...scene.there().keys()]], [1, ["bad"], ["good"]])
  scene.world.clock.jumpWall(-2 * COPIES_LIMITS.logAgeMsMax)
  scene.origin.before = () => undefined
  await scene.work(2 * COPIES_LIMITS.parkedFirstMs)
  assert.deepEqual([(await scene.status()).fills, [...scene.there().keys()]], [1, ["bad", "good"]])
})

test("a sender that has lost the lease ends its requests, also while no round goes on", async () => {
  for (const when of ["before", "after"] as const) {
    const scene = await CopiesScene.open()
    await scene.set()
    await scene.settle()
    const gate = scene.origin.hold("put", when)
    await scene.put("a", "one")
    await scene.work(1_000)
    assert.ok(gate.isReached)
    scene.isSender = false
    await scene.world.clock.advance(REMOTE_LIMITS.senderLookMs)
    gate.open()
    await scene.world.clock.advance(1)
    await scene.work(1_000)
    assert.equal(await scene.rows(), 1, when)
    assert.deepEqual([...scene.there().keys()], when === "before" ? [] : ["a"])
    scene.isSender = true
    await scene.settle()
    await scene.assertCopied("the next sender")
  }
})

test("what this store has lost stays in the target, whatever fills it, until the operator asks for its removal", async () => {
  const scene = await CopiesScene.open()
  for (const key of ["kept", "lost"]) await scene.put(key, key)
  await scene.set()
  await scene.settle()
  // This simulates a rollback of the database: no row of the log has the removal.
  await scene.delete("lost", true)
  await scene.run(scene.log.restart(scene.bucket.id, false))
  await scene.settle()
  await scene.run(scene.copies.fillAgain(scene.bucket, false))
  await scene.settle()
  scene.origin.isUnavailable = true
  await scene.put("new", "new")
  await scene.work(5_000)
  await scene.world.clock.advance(COPIES_LIMITS.logAgeMsMax)
  await scene.work(5_000)
  scene.origin.isUnavailable = false
  await scene.settle()
  assert.deepEqual([(await scene.status()).fills, [...scene.there().keys()]], [4, ["kept", "lost", "new"]])
  await scene.set({ deletes: false })
  await assert.rejects(scene.run(scene.copies.fillAgain(scene.bucket, true)), /without --no-deletes/)
  await scene.set()
  await scene.run(scene.copies.fillAgain(scene.bucket, true))
  await scene.settle()
  await scene.assertCopied("the operator asked")
  const { log, bucket } = scene
  assert.equal((await scene.run(log.state(bucket.id)))?.removesOthers, false, "the next filling removes nothing")
})

test("a paused bucket sends nothing, and goes on where it was", async () => {
  const scene = await CopiesScene.open()
  await scene.set()
  await scene.settle()
  await scene.run(scene.copies.pause(scene.bucket, true))
  await scene.put("a", "1")
  await scene.work(5_000)
  assert.deepEqual([scene.there().size, (await scene.status()).isPaused], [0, true])
  await scene.run(scene.copies.pause(scene.bucket, false))
  await scene.settle()
  await scene.assertCopied("it goes on")
})

test("after a loss of rows nothing is sent until the operator says so, also if nothing had been copied before", async () => {
  for (const hasBegun of [false, true]) {
    const scene = await CopiesScene.open()
    await scene.put("a", "1")
    await scene.set()
    if (hasBegun) await scene.settle()
    const there = scene.there().size
    await scene.run(COPIES.afterLoss(scene.world.tablet))
    await scene.put("b", "2")
    scene.restart()
    await scene.work(5_000)
    assert.deepEqual([scene.there().size, (await scene.status()).isPaused], [there, true])
    await scene.run(scene.copies.pause(scene.bucket, false))
    await scene.settle()
    await scene.assertCopied("it goes on")
  }
})

test("a process that is killed while the last objects are on their way fills on", async () => {
  const scene = await CopiesScene.open()
  for (const key of ["a", "b", "c"]) await scene.put(key, key)
  scene.origin.delayMs = 2_000
  await scene.set()
  await scene.work(3_000)
  assert.equal((await scene.status()).phase, "filling")
  scene.restart()
  scene.origin.delayMs = 0
  await scene.settle()
  await scene.assertCopied("the next process has gone on")
})

test("of two processes that go on from one state, one ends", async () => {
  const scene = await CopiesScene.open()
  await scene.set()
  await scene.settle()
  const { log, bucket } = scene
  const found = await scene.run(log.state(bucket.id))
  assert.ok(found !== undefined)
  const { revision, ...state } = found
  const change = { revision, state: { ...state, error: "one" }, done: [], parked: [] }
  assert.equal((await scene.run(log.change(bucket.id, change)))?.revision, revision + 1)
  assert.equal(await scene.run(log.change(bucket.id, { ...change, state: { ...state, error: "two" } })), undefined)
  assert.equal((await scene.run(log.state(bucket.id)))?.error, "one")
  const back = { ...change, revision: revision + 1, state: { ...state, token: { us: 0, key: "" } } }
  if (state.token.us > 0) await assert.rejects(scene.run(log.change(bucket.id, back)), /went back/)
})

test("another place is filled from the beginning", async () => {
  const scene = await CopiesScene.open()
  await scene.put("a", "1")
  await scene.set()
  await scene.settle()
  scene.origin.objects.clear()
  await scene.set({ bucket: "others" })
  await scene.settle()
  await scene.assertCopied("the other place")
})

interface Plan {
  readonly isVersioned: boolean
  readonly steps: readonly (
    | { readonly kind: "put" | "delete" | "tag" | "work"; readonly key: string; readonly size: number }
    | {
        readonly kind: "crash" | "down" | "up" | "loses" | "slow" | "pause" | "again" | "aside"
        readonly key?: undefined
      }
  )[]
}

const KEYS = ["a", "b", "c/d"]
const PLAN: fc.Arbitrary<Plan> = fc.record({
  isVersioned: fc.boolean(),
  steps: fc.array(
    fc.oneof(
      {
        weight: 5,
        arbitrary: fc.record({
          kind: fc.constantFrom("put" as const, "put" as const, "delete" as const, "tag" as const, "work" as const),
          key: fc.constantFrom(...KEYS),
          size: fc.nat(200),
        }),
      },
      {
        weight: 2,
        arbitrary: fc.record({
          kind: fc.constantFrom(
            "crash",
            "crash",
            "down",
            "up",
            "up",
            "loses",
            "slow",
            "slow",
            "pause",
            "again",
            "aside",
          ),
        }),
      },
    ),
    { maxLength: 30 },
  ),
})
const RUNS = runsOf(25)

test("whatever fails and whoever crashes, the target is in the end what the bucket is, and the token only grew", async () => {
  await fc.assert(
    fc.asyncProperty(PLAN, async ({ isVersioned, steps }) => {
      const scene = await CopiesScene.open({ isVersioned })
      await scene.put("a", "before")
      await scene.set()
      let [number, tokenUs] = [0, 0]
      for (const step of steps) {
        number += 1
        if (step.kind === "put") await scene.put(step.key, `${number} `.repeat(1 + step.size).slice(0, 2 * KIB))
        else if (step.kind === "delete") await scene.delete(step.key)
        else if (step.kind === "tag") await scene.tag(step.key, [["n", String(number)]]).catch(() => undefined)
        else if (step.kind === "work") await scene.work(250 * (1 + (step.size % 6)))
        else if (step.kind === "crash") scene.restart()
        else if (step.kind === "down") scene.origin.isUnavailable = true
        else if (step.kind === "loses") scene.origin.losesAnswers = !scene.origin.losesAnswers
        else if (step.kind === "slow") scene.origin.delayMs = 400 - scene.origin.delayMs
        else if (step.kind === "aside") scene.isSender = !scene.isSender
        else if (step.kind === "up") scene.origin.isUnavailable = false
        else if (step.kind === "pause")
          await scene.run(scene.copies.pause(scene.bucket, number % 2 === 0)).catch(() => undefined)
        else await scene.run(scene.copies.fillAgain(scene.bucket, number % 2 === 0)).catch(() => undefined)
        const state = await scene.run(scene.log.state(scene.bucket.id))
        assert.ok((state?.token.us ?? 0) >= tokenUs, "the token grows")
        tokenUs = state?.token.us ?? 0
      }
      scene.origin.isUnavailable = false
      scene.origin.losesAnswers = false
      scene.isSender = true
      await scene.run(scene.copies.pause(scene.bucket, false)).catch(() => undefined)
      await scene.settle()
      await scene.assertCopied("in the end")
    }),
    { numRuns: RUNS },
  )
})
