/** Signing in to Swift with wrong keys: who has to wait, and what the audit log has. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { attemptsWith } from "@hayloft/access/secrets/testing-attempts.js"
import { FakeAudit } from "@hayloft/access/audit/testing-audit.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { OWNER, STRANGER } from "../s3/over-model.js"
import { serveSwift } from "./world.js"

const HOUR_MS = 3_600_000

test("after five wrong keys of one user a client is answered 498, and other users are not", async () => {
  const [clock, audit] = [new SimClock(), new FakeAudit()]
  const world = await serveSwift({ attempts: attemptsWith(clock, audit) })
  const signIn = (user: string, key: string) =>
    world.ask("GET", "/auth/v1.0", { "X-Auth-User": user, "X-Auth-Key": key })
  try {
    for (let i = 0; i < 5; i += 1) assert.equal((await signIn(OWNER.id, "wrong")).status, 401)
    for (const key of ["wrong", OWNER.secret]) {
      const refused = await signIn(OWNER.id, key)
      assert.deepEqual([refused.status, refused.header("retry-after")], [498, "1"])
    }
    assert.equal((await signIn(STRANGER.id, STRANGER.secret)).status, 200)
    assert.equal((await signIn(`nobody:${STRANGER.id}`, STRANGER.secret)).status, 401, "of another account")
    for (let i = 0; i < 5; i += 1) assert.equal((await signIn(`NOSUCHUSER${i}`, "wrong")).status, 401)
    assert.equal((await signIn("NOSUCHUSER", "wrong")).status, 498, "users who do not exist count together")
    assert.equal((await signIn(STRANGER.id, STRANGER.secret)).status, 200)
    await clock.advance(1_000)
    assert.equal((await signIn(OWNER.id, OWNER.secret)).status, 200)
    assert.deepEqual(
      audit.all.map(({ operation, target, ended }) => [operation, target, ended?.outcome]),
      [
        ...Array<string[]>(5).fill(["swift:SignIn", OWNER.id, "invalidAccessKey"]),
        ["swift:SignIn", STRANGER.id, "invalidAccessKey"],
        ...Array<string[]>(5).fill(["swift:SignIn", "", "invalidAccessKey"]),
      ],
    )
    assert.ok(!JSON.stringify(audit.all).includes("wrong"))
  } finally {
    await world.stop()
  }
})

test("a token that was issued while the clock was ahead ends once the clock is set right", async () => {
  const clock = new SimClock()
  const world = await serveSwift({ clock })
  const rightMs = clock.wallMs()
  try {
    clock.jumpWall(365 * 24 * HOUR_MS)
    const ahead = await world.signIn(OWNER)
    assert.equal((await ahead.call("HEAD", "")).status, 204)
    clock.jumpWall(rightMs - clock.wallMs())
    assert.equal((await ahead.call("HEAD", "")).status, 401)
    const user = await world.signIn(OWNER)
    for (const [atMs, status] of [
      [rightMs, 204],
      [rightMs - HOUR_MS / 4, 204],
      [rightMs + 25 * HOUR_MS - 1, 204],
      [rightMs + 25 * HOUR_MS, 401],
    ] as const) {
      clock.jumpWall(atMs - clock.wallMs())
      assert.equal((await user.call("HEAD", "")).status, status, `${atMs - rightMs}`)
    }
  } finally {
    await world.stop()
  }
})
