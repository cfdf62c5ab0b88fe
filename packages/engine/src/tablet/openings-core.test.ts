import assert from "node:assert/strict"
import { test } from "node:test"
import { parsePosition } from "@hayloft/base/ids.js"
import { isOneHistory } from "./openings-core.js"

type History = readonly [last: number, ...openings: (readonly [id: number, after: number])[]]

const historyOf = ([last, ...openings]: History) => ({
  openings: openings.map(([id, after]) => ({ id, after: parsePosition(after) })),
  last: parsePosition(last),
})

test("histories of copies that ran apart are told from older and lagging ones", () => {
  const cases: readonly (readonly [why: string, one: History, other: History, isOne: boolean])[] = [
    ["the same", [9, [1, 0]], [9, [1, 0]], true],
    ["one lacks the last entries", [7, [1, 0]], [9, [1, 0]], true],
    ["an old image", [7, [1, 0]], [20, [1, 0], [2, 9], [3, 15]], true],
    ["the last entry of the former process was on some only", [9, [1, 0]], [10, [1, 0], [2, 9]], true],
    ["each has a process of its own", [12, [1, 0], [2, 9]], [30, [1, 0], [3, 9]], false],
    ["each has processes of its own", [12, [1, 0], [2, 9], [4, 11]], [30, [1, 0], [3, 9], [5, 12]], false],
    ["a copy of the running device, which went on itself", [14, [1, 0]], [30, [1, 0], [2, 9]], false],
    ["written by an earlier release", [14], [30, [2, 9]], true],
    ["too many processes ago", [14, [1, 0]], [90, [7, 70], [8, 80]], true],
  ]
  for (const [why, one, other, isOne] of cases) {
    assert.equal(isOneHistory(historyOf(one), historyOf(other)), isOne, why)
    assert.equal(isOneHistory(historyOf(other), historyOf(one)), isOne, `${why}, the other way round`)
  }
})
