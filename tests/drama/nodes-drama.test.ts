/** A short drama of several nodes; `npm run drama -- --nodes 3` runs longer ones. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { runsOf, TEST_SEED } from "@hayloft/base/testing-seed.js"
import { noPostgres } from "../harness/postgres.js"
import { SLOW_PACE } from "./clients.js"
import { nodesDrama, replayCommand } from "./nodes-drama.js"

test(
  "nodes, networks, disks and the database fail under clients; nothing is lost, and histories are linearizable",
  { skip: noPostgres || process.platform !== "linux" },
  async () => {
    const options = { minutes: 0, nodes: 3, seed: TEST_SEED, actsLeast: runsOf(2), pace: SLOW_PACE, isHurried: true }
    const lines: string[] = []
    const { violations } = await nodesDrama({ ...options, log: line => void lines.push(line) })
    assert.equal(violations.join("\n"), "", `replay: ${replayCommand(options)}\n${lines.join("\n")}`)
  },
)
