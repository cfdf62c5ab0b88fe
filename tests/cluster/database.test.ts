/** The database of a store goes away under load and returns: nodes wait for it, and lose nothing. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { setTimeout as wait } from "node:timers/promises"
import { noPostgres } from "../harness/postgres.js"
import { Load } from "./load.js"
import { BUCKET, statusSays, withNodes } from "./stores.js"

const AWAY_MS = 8_000

test("while the database is away requests are answered with 503", { skip: noPostgres }, async () => {
  await withNodes({ nodes: 3, foldersEach: 1 }, async nodes => {
    const processes = nodes.all.map(({ process }) => process)
    const load = await Load.begin(nodes.all, { bucket: BUCKET, attemptsMax: Infinity })
    await nodes.databases.server.stop("immediate")
    await wait(AWAY_MS)
    await nodes.databases.server.start()
    await load.goesOn(100)
    await load.end()
    const codes = [...load.failedAttempts.keys()]
    assert.ok(codes.length > 0, "the outage was noticed")
    for (const code of codes) assert.match(code, /^(SlowDown|ServiceUnavailable|Error: node-\d does not respond)$/)
    assert.deepEqual(
      nodes.all.map(({ process }) => process),
      processes,
    )
    // A device that was taken offline would be rebuilt first, and say so.
    const { devices } = await statusSays(nodes.at(1), status =>
      status.devices.every(({ state }) => state !== "missing"),
    )
    assert.ok(
      devices.every(({ state }) => state === "active"),
      JSON.stringify(devices.map(({ state, reason }) => [state, reason])),
    )
    await load.check(nodes.all)
  })
})
