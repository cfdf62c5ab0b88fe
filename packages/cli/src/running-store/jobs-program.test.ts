/** Jobs on objects of an age, as an operator types them on a machine whose clock is wrong. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { z } from "zod"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { operatorOf } from "../testing-admin.js"

const DAY_MS = 86_400_000
const TIME = z.union([z.number(), z.string()]).optional()
const BODY = z.object({ job: z.object({ modifiedBeforeMs: TIME, atMs: TIME, to: TIME }) })

class ClockAhead extends RealClock {
  override wallMs(): number {
    return super.wallMs() + 3_650 * DAY_MS
  }
}

/** The jobs that the store was asked for. It refuses them. */
const jobs: z.output<typeof BODY>["job"][] = []
const operator = operatorOf(() => ({
  async handle({ method, body }) {
    if (method === "POST") jobs.push(BODY.parse(JSON.parse(Buffer.from(await body(1_000)).toString())).job)
    const refused = JSON.stringify({ error: { code: "accessDenied", message: "no" } })
    return {
      operation: "startJob",
      status: 403,
      headers: { "content-type": "application/json" },
      body: Buffer.from(refused),
    }
  },
}))

test("ages of objects, and how long ago a moment was, are by the store's clock", async () => {
  for (const [line, member] of [
    ["jobs start delete-objects photos --older-than 30d --yes", "modifiedBeforeMs"],
    ["jobs start restore-objects photos --at 30d --yes", "atMs"],
    ["bucket restore photos --to 30d --yes", "to"],
  ] as const) {
    const { error } = await operator(line.split(" "), { clock: new ClockAhead() })
    const sent = jobs.pop()?.[member]
    assert.ok(sent !== undefined, error)
    const sentMs = new Date(sent).getTime()
    assert.ok(Math.abs(sentMs - (new RealClock().wallMs() - 30 * DAY_MS)) < DAY_MS, `${line}: ${sent}`)
  }
})

test("a time that cannot be read is refused before the store is asked", async () => {
  const { code, error } = await operator("jobs start delete-objects photos --older-than soon --yes".split(" "))
  assert.deepEqual([code, jobs.length], [2, 0])
  assert.match(error, /--older-than is a time/)
})
