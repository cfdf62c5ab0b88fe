/** Kept answers are true, and bounded: those that were not used for longest are dropped first. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { parsePosition, rowKeyOf } from "@hayloft/base/ids.js"
import { KIB } from "@hayloft/base/limits.js"
import { command } from "../metadata/index.js"
import { MemoryMetadata } from "../metadata/testing-engine.js"
import { KeptAnswers } from "./kept-answers.js"
import { groupOfRow, LastChanges } from "./last-changes.js"
import { ANSWER_LIMITS } from "./limits.js"

const writeRow = command<[key: string], void>({
  name: "TestWriteRow",
  touches: key => [["names", rowKeyOf(key)]],
  decide: (view, _time, key) => {
    view.get("names", rowKeyOf(key))
    return { writes: [{ family: "names", key: rowKeyOf(key), value: Buffer.from("written") }], result: undefined }
  },
})

const ROWS = { groups: [7], position: parsePosition(0) }

test("answers are kept up to a number, and those used last stay", () => {
  const answers = new KeptAnswers(new LastChanges())
  const { answersMax } = ANSWER_LIMITS
  for (let at = 0; at < answersMax; at += 1) answers.keep(`${at}`, { result: at, payload: undefined }, ROWS)
  assert.equal(answers.find("0")?.result, 0)
  answers.keep("new", { result: "new", payload: undefined }, ROWS)
  assert.equal(answers.find("0")?.result, 0)
  assert.equal(answers.find("1"), undefined)
  assert.equal(answers.find("new")?.result, "new")
})

test("answers are kept up to a number of bytes, payloads included", () => {
  const answers = new KeptAnswers(new LastChanges())
  const payload = new Uint8Array(64 * KIB)
  const fit = Math.floor(ANSWER_LIMITS.bytesMax / payload.length)
  for (let at = 0; at < 2 * fit; at += 1) answers.keep(`${at}`, { result: at, payload }, ROWS)
  const kept = Array.from({ length: 2 * fit }, (_, at) => answers.find(`${at}`)).filter(each => each !== undefined)
  assert.ok(kept.length > fit / 2 && kept.length < fit, `${kept.length} of ${fit}`)
})

test("an answer is over with a change of one of its rows, and its memory is free again", async () => {
  const engine = new MemoryMetadata()
  const changes = LastChanges.of(engine)
  const answers = new KeptAnswers(changes)
  const payload = new Uint8Array(ANSWER_LIMITS.bytesMax / 3)
  const rowsNow = (key: string) => ({ groups: [groupOfRow(rowKeyOf(key))], position: engine.position })
  answers.keep("lasting", { result: "lasting", payload }, rowsNow("other"))
  for (let at = 0; at < 10; at += 1) {
    answers.keep("changing", { result: at, payload }, rowsNow("row"))
    answers.keep("changing", { result: at, payload }, rowsNow("row"))
    assert.equal(answers.find("changing")?.result, at)
    await engine.run(writeRow("row"))
    assert.equal(answers.find("changing"), undefined)
  }
  assert.equal(answers.find("lasting")?.result, "lasting")
})

test("another thread finds the changes in the same memory", async () => {
  const engine = new MemoryMetadata()
  const elsewhere = new LastChanges(LastChanges.of(engine).memory)
  const before = engine.position
  const [row, other] = [groupOfRow(rowKeyOf("row")), groupOfRow(rowKeyOf("other"))]
  assert.equal(elsewhere.haveChanged([row, other], before), false)
  await engine.run(writeRow("row"))
  assert.deepEqual([elsewhere.position, elsewhere.generation], [engine.position, engine.generation])
  assert.deepEqual(
    [[row], [other], [other, row]].map(groups => elsewhere.haveChanged(groups, before)),
    [true, false, true],
  )
  assert.equal(elsewhere.haveChanged([row], engine.position), false)
})

test("a query is asked again if it was asked lately, and not after many others", () => {
  const answers = new KeptAnswers(new LastChanges())
  assert.deepEqual(
    ["one", "one", "two", "one"].map(key => answers.noteAsked(key)),
    [false, true, false, true],
  )
  for (let at = 0; at < 20 * ANSWER_LIMITS.askedLately; at += 1) answers.noteAsked(`other ${at}`)
  assert.equal(answers.noteAsked("one"), false)
})
