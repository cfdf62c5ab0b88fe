/** How long the bodies of responses occupy a turn of the event loop, in time that stands still but for their work. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { TurnSlices } from "./turn-slices.js"

/** Turns are real ones; the time is the work that was done. */
class WorkClock {
  nowMs = 0
  readonly monotonicMs = (): number => this.nowMs
  readonly atEndOfTurn = (call: () => void): void => void setImmediate(call)
}

const NO_RUN = { holds: () => false }
const READERS = 200
const PIECES = 40
const PIECE_MS = 0.1

/** Readers whose clients take all pieces without a wait. */
async function read(clock: WorkClock, wait: () => Promise<void> | undefined, onPiece: () => void): Promise<void> {
  for (let piece = 0; piece < PIECES; piece += 1) {
    clock.nowMs += PIECE_MS
    onPiece()
    await Promise.resolve()
    await wait()
  }
}

/** The longest time that passes between two turns, while all readers begin in one. */
async function longestTurn(waitOf: (slices: TurnSlices) => () => Promise<void> | undefined) {
  const clock = new WorkClock()
  const wait = waitOf(new TurnSlices(clock, NO_RUN))
  const pieces = Array.from({ length: READERS }, () => 0)
  /** How far readers were apart at the end of each turn. */
  const apart: number[] = []
  const turnsMs: number[] = []
  let [isOver, sinceMs] = [false, 0]
  const watch = (): void => {
    turnsMs.push(clock.nowMs - sinceMs)
    sinceMs = clock.nowMs
    apart.push(Math.max(...pieces) - Math.min(...pieces))
    if (!isOver) setImmediate(watch)
  }
  setImmediate(watch)
  await Promise.all(pieces.map((_, i) => read(clock, wait, () => void (pieces[i] = (pieces[i] ?? 0) + 1))))
  isOver = true
  return { longestMs: Math.max(...turnsMs.slice(1)), apart: Math.max(...apart.slice(1)), pieces }
}

test("readers that take everything leave each turn after a slice, and go on in turn", async () => {
  const { longestMs, apart, pieces } = await longestTurn(slices => () => slices.next())
  assert.ok(longestMs < 10, `a turn of ${longestMs} ms`)
  assert.ok(apart <= 2, `one reader is ${apart} pieces ahead of another`)
  assert.ok(pieces.every(count => count === PIECES))
})

test("planted: without slices, all pieces of all readers are one turn", async () => {
  const clock = new WorkClock()
  let firstTurnMs = 0
  setImmediate(() => (firstTurnMs = clock.nowMs))
  await Promise.all(
    Array.from({ length: READERS }, () =>
      read(
        clock,
        () => undefined,
        () => undefined,
      ),
    ),
  )
  await new Promise(resolve => setImmediate(resolve))
  assert.ok(firstTurnMs > 0.9 * READERS * PIECES * PIECE_MS)
})

test("a turn that is not long costs no wait", () => {
  const clock = new WorkClock()
  const slices = new TurnSlices(clock, NO_RUN)
  assert.equal(slices.next(), undefined)
  clock.nowMs += 3
  assert.equal(slices.next(), undefined)
})

test("while many connections wait to be accepted, nothing goes on, and afterwards everything in its order", async () => {
  const clock = new WorkClock()
  let isHeld = true
  const slices = new TurnSlices(clock, { holds: () => isHeld })
  const gone: number[] = []
  for (let i = 0; i < 3; i += 1) void slices.next()?.then(() => gone.push(i))
  const turn = () => new Promise(resolve => setImmediate(resolve))
  for (let i = 0; i < 5; i += 1) await turn()
  assert.deepEqual(gone, [])
  isHeld = false
  for (let i = 0; i < 5; i += 1) await turn()
  assert.deepEqual(gone, [0, 1, 2])
  assert.equal(slices.next(), undefined, "no body waits any more")
})
