/** Which lists of a database show that it was rolled back. */
import assert from "node:assert/strict"
import { test } from "node:test"
import type { IncarnationList } from "./database.js"
import { liveBefore, lossIn, NOTHING_SEEN, seenAfter, withNumbers } from "./seen-core.js"

const listOf = (
  highest: number,
  live: readonly (readonly [incarnation: number, ...numbers: readonly number[]])[],
  reconciliations = 0,
): IncarnationList => ({
  highest,
  reconciliations,
  halt: undefined,
  live: live.map(([incarnation, ...numbers]) => ({
    node: "a",
    process: "",
    incarnation,
    numbers: numbers.map(BigInt),
  })),
})

const SEEN = seenAfter(
  NOTHING_SEEN,
  listOf(9, [
    [7, 10, 20],
    [9, 0, 5],
  ]),
)

test("numbers that grow, incarnations that begin and that end are no loss", () => {
  for (const list of [
    listOf(9, [
      [7, 10, 20],
      [9, 0, 5],
    ]),
    listOf(9, [
      [7, 10, 21],
      [9, 1, 5],
    ]),
    listOf(9, []),
    listOf(12, [
      [9, 0, 5],
      [11, 0, 0],
    ]),
  ]) {
    assert.equal(lossIn(SEEN, list), undefined)
  }
  assert.equal(lossIn(NOTHING_SEEN, listOf(3, [[2, 0, 0]])), undefined)
})

test("a lower number, an unknown incarnation, and one that has not ended any more are losses", () => {
  assert.match(
    lossIn(
      SEEN,
      listOf(9, [
        [7, 10, 19],
        [9, 0, 5],
      ]),
    ) ?? "",
    /lost commits of incarnation 7/,
  )
  assert.match(
    lossIn(
      SEEN,
      listOf(9, [
        [7, 10],
        [9, 0, 5],
      ]),
    ) ?? "",
    /lost commits of incarnation 7/,
  )
  assert.match(lossIn(SEEN, listOf(8, [[7, 10, 20]])) ?? "", /incarnations up to 8, and 9 had begun/)
  assert.match(lossIn(SEEN, listOf(9, [[8, 1, 1]])) ?? "", /incarnation 8 had ended/)
  assert.match(lossIn({ ...SEEN, hasNewerRecord: true }, listOf(9, [])) ?? "", /newer control record/)
})

test("numbers are compared only between the same two reconciliations", () => {
  assert.equal(lossIn({ ...SEEN, hasNewerRecord: true }, listOf(8, [[7, 1, 1]], 1)), undefined)
  const since = seenAfter(SEEN, listOf(10, [[10, 1, 1]], 1))
  assert.match(lossIn(since, listOf(10, [[10, 1, 1]], 0)) ?? "", /lost a reconciliation/)
  assert.match(lossIn(since, listOf(10, [[10, 0, 1]], 1)) ?? "", /lost commits of incarnation 10/)
})

test("the highest incarnation stays seen, whatever a list shows, until a reconciliation", () => {
  assert.equal(seenAfter(SEEN, listOf(4, [])).highest, 9)
  const reconciled = listOf(4, [[4, 0, 0]], 1)
  const since = seenAfter(SEEN, reconciled)
  assert.deepEqual([since.highest, lossIn(since, reconciled)], [4, undefined])
})

test("what lanes have reached since the list was read counts as seen", () => {
  const seen = withNumbers(SEEN, 7, [12, 20])
  assert.match(lossIn(seen, listOf(9, [[7, 11, 20]])) ?? "", /lost commits of incarnation 7/)
  assert.equal(lossIn(seen, listOf(9, [[7, 12, 20]])), undefined)
  assert.deepEqual(
    seen.live.map(({ incarnation }) => incarnation),
    [9, 7],
  )
})

test("an incarnation that had not ended by what was seen is as suspect as one in the list", () => {
  const list = listOf(10, [
    [9, 0, 5],
    [10, 0, 0],
  ])
  assert.deepEqual(liveBefore([SEEN], list), [9, 10, 7])
  assert.deepEqual(liveBefore([], list), [9, 10])
  assert.deepEqual(liveBefore([SEEN], listOf(10, [[10, 0, 0]], 1)), [10], "those were reconciled already")
})
