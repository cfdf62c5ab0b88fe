/** Incarnations of a process with several threads, as each of its threads sees them. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure } from "@hayloft/base/failures.js"
import { parseIncarnation, type Incarnation } from "@hayloft/base/ids.js"
import { fc } from "@hayloft/base/testing-properties.js"
import { reservedThreads, soleProcess, withFront, withoutFront, type ThreadIncarnations } from "./incarnations.js"
import { incarnationsOf } from "./testing-incarnations.js"

const OWN = parseIncarnation(20)

test("fronts take the reserved numbers upwards, and begin before the engine thread in number, not in time", () => {
  const none = reservedThreads(OWN, 4)
  assert.deepEqual(none, { first: 16, next: 16, own: 20, live: [], ended: 0 })
  const one = withFront(none)
  const two = withFront(one.after)
  assert.deepEqual([one.front, two.front, two.after.live], [16, 17, [16, 17]])
  const seen = incarnationsOf(() => two.after, OWN)
  assert.deepEqual([seen.own, seen.oldestLive, seen.firstLive, seen.ended], [20, 16, 20, 0])
  const ofFront = incarnationsOf(() => two.after, two.front)
  assert.deepEqual([ofFront.own, ofFront.oldestLive, ofFront.firstLive], [17, 16, 20])
})

test("a front that has ended is over for all others, and its number is not used again", () => {
  const { front, after } = withFront(reservedThreads(OWN, 4))
  const ended = withoutFront(after, front)
  assert.deepEqual([ended.live, ended.ended, ended.next], [[], 1, 17])
  assert.equal(withoutFront(ended, front), ended)
  const seen = incarnationsOf(() => ended, OWN)
  assert.deepEqual([seen.isOver(front), seen.isOver(parseIncarnation(17)), seen.isOver(OWN)], [true, false, false])
  assert.equal(withFront(ended).front, 17)
  assert.equal(incarnationsOf(() => ended, front).isOver(front), false, "a thread itself is never over")
})

test("all that is below the oldest live one stays over: a front that begins later has a number above it", () => {
  const none = incarnationsOf(() => reservedThreads(OWN, 4), OWN)
  assert.equal(none.oldestLive, 16)
  const { front, after } = withFront(reservedThreads(OWN, 4))
  assert.equal(incarnationsOf(() => withoutFront(after, front), OWN).oldestLive, 17)
})

test("no front begins once the reserved numbers are used up", () => {
  const { after, front } = withFront(reservedThreads(OWN, 1))
  const isRefused = (error: unknown) => isFailure(error, "limitExceeded") && /restart the process/.test(error.message)
  assert.throws(() => withFront(withoutFront(after, front)), isRefused)
  assert.throws(() => withFront(reservedThreads(OWN, 0)), isRefused)
})

test("a process that has reserved nothing sees what a sole process sees", () => {
  const [threads, sole] = [incarnationsOf(() => reservedThreads(OWN, 0), OWN), soleProcess(OWN)]
  assert.deepEqual([threads.own, threads.oldestLive, threads.firstLive], [sole.own, sole.oldestLive, OWN])
  assert.equal(threads.hasNeighbours, false)
  for (const each of [0, 19, 20, 21].map(parseIncarnation)) assert.equal(threads.isOver(each), sole.isOver(each))
})

test("each thread sees at all times what has begun, and what has ended", () => {
  const steps = fc.array(fc.oneof(fc.constant("begin" as const), fc.nat(7)), { maxLength: 24 })
  fc.assert(
    fc.property(steps, fc.nat(9), (events, reserved) => {
      let now: ThreadIncarnations = reservedThreads(OWN, reserved)
      const [begun, over] = [new Set<Incarnation>(), new Set<Incarnation>()]
      let [oldest, ended] = [0, 0]
      const view = incarnationsOf(() => now, OWN)
      for (const event of events) {
        if (event === "begin") {
          if (begun.size === reserved) continue
          const { front, after } = withFront(now)
          assert.ok(front < OWN && front >= OWN - reserved && !begun.has(front))
          assert.equal(view.isOver(front), false)
          begun.add(front)
          now = after
        } else {
          const front = now.live[event]
          if (front === undefined) continue
          now = withoutFront(now, front)
          over.add(front)
        }
        for (const who of [OWN, ...begun]) {
          const seen = incarnationsOf(() => now, who)
          for (let at = 0; at <= OWN + 2; at += 1) {
            const each = parseIncarnation(at)
            const isOver = each < OWN - reserved || (over.has(each) && each !== who)
            assert.equal(seen.isOver(each), isOver, `${each} as ${who} sees it`)
          }
          assert.ok(seen.oldestLive <= who && seen.oldestLive <= Math.min(OWN, ...now.live))
          assert.equal(seen.isOver(seen.oldestLive), false)
        }
        assert.ok(view.oldestLive >= oldest && (view.ended ?? 0) >= ended, "both only grow")
        oldest = view.oldestLive
        ended = view.ended ?? 0
      }
    }),
  )
})
