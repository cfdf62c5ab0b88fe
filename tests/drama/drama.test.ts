/** A short drama with the devices of a real server; `npm run drama` runs longer ones. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { runsOf, TEST_SEED } from "@hayloft/base/testing-seed.js"
import { SLOW_PACE } from "./clients.js"
import { drama, replayCommand } from "./drama.js"

test("devices are added, fail, are removed and swapped under clients, and no acknowledged write is lost", async () => {
  const options = { minutes: 0, devices: 4, seed: TEST_SEED, actsLeast: runsOf(3), pace: SLOW_PACE, isHurried: true }
  const lines: string[] = []
  const { violations } = await drama({ ...options, log: line => void lines.push(line) })
  assert.equal(violations.join("\n"), "", `replay: ${replayCommand(options)}\n${lines.join("\n")}`)
})
