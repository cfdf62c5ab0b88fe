/** The report of limits that threads of one process have used together. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { isFailure } from "@hayloft/base/failures.js"
import { parseAccessKeyId } from "@hayloft/base/ids.js"
import { RateLimiter } from "./rate-limiter.js"

const exchange = { paceBy: () => undefined, countIn: () => undefined }

test("a report has what all threads of the process have counted", () => {
  const clock = new SimClock()
  const limiter = (): RateLimiter => new RateLimiter(clock, new SimTelemetry().metrics, () => 2)
  const [engine, front] = [limiter(), limiter()]
  const limits = { requestsPerSecond: 2, burst: undefined, bytesPerSecond: undefined }
  const enter = (by: RateLimiter, id: string): void => {
    try {
      void by.enter([{ holder: "key", id: parseAccessKeyId(id), limits }], exchange)
    } catch (error) {
      assert.ok(isFailure(error, "rateExceeded"))
    }
  }
  const told = (): void => {
    const news = front.news()
    if (news !== undefined) engine.hear("front-1", structuredClone(news))
  }
  told()
  assert.deepEqual(engine.report(), [])
  for (let i = 0; i < 5; i += 1) enter(front, "KEYOFFRONT0000000001")
  for (const by of [engine, front]) for (let i = 0; i < 4; i += 1) enter(by, "KEYOFBOTH00000000001")
  told()
  const refused = (): readonly (readonly [id: string, refused: number])[] =>
    engine
      .report()
      .map(({ id, refused: count }): readonly [string, number] => [id, count])
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
  assert.deepEqual(refused(), [
    ["KEYOFBOTH00000000001", 6],
    ["KEYOFFRONT0000000001", 4],
  ])
  assert.equal(front.news(), undefined, "nothing has changed")
  enter(front, "KEYOFFRONT0000000001")
  told()
  assert.deepEqual(refused()[1], ["KEYOFFRONT0000000001", 5])
})
