/** Checks who has the folders of a node of `hayloft dev`. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { ownerOf } from "./dev-command.js"

const NODE = { name: "node-1", data: ["/a", "/b"] }
const SILENT = { pid: undefined, command: undefined }

/** Answers with these owners of both folders, one pair after the other, and then with the last again. */
function after(
  ...answers: readonly (readonly [
    typeof SILENT | { pid: number; command: undefined } | undefined,
    typeof SILENT | undefined,
  ])[]
) {
  let asked = 0
  return {
    ownerOf: async (folder: string) => {
      const pair = answers[Math.min(answers.length - 1, asked >> 1)]
      asked += 1
      return folder === "/a" ? pair?.[0] : pair?.[1]
    },
  }
}

const find = async (locks: ReturnType<typeof after>) => {
  const clock = new SimClock()
  return clock.runUntil(ownerOf(NODE, locks, clock, new AbortController().signal))
}

test("an owner that does not answer in time is asked again: the node is about to start", async () => {
  const starting = [SILENT, undefined] as const
  assert.equal(await find(after([undefined, undefined])), undefined)
  assert.equal(await find(after(starting, starting, [{ pid: 7, command: undefined }, undefined])), 7)
  assert.equal(await find(after([undefined, SILENT], [undefined, undefined])), undefined, "it has given up")
  await assert.rejects(find(after(starting)), /node-1: \/a is in use by a process that has not answered for 30 s/)
})
