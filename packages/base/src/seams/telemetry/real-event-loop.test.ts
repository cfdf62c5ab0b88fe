import { test } from "node:test"
import assert from "node:assert/strict"
import { RealClock } from "../clock/real.js"
import { EventLoopDelay } from "./real-event-loop.js"
import { MetricsInMemory } from "./metrics.js"

const LOOKS_MAX = 1_000

test("a stall of the event loop shows in the metric, an idle loop hardly", async () => {
  const clock = new RealClock()
  const metrics = new MetricsInMemory()
  const life = new AbortController()
  const running = new EventLoopDelay(clock, metrics).run(life.signal)
  const worst = () => metrics.value("hayloft_event_loop_delay_seconds", { quantile: "1" }) ?? NaN
  assert.equal(worst(), 0)
  await clock.sleep(100, life.signal)
  const untilMs = clock.monotonicMs() + 300
  while (clock.monotonicMs() < untilMs);
  const median = () => metrics.value("hayloft_event_loop_delay_seconds", { quantile: "0.5" }) ?? NaN
  const isSeen = () => worst() >= 0.25 && median() < 0.25
  for (let looks = 0; looks < LOOKS_MAX && !isSeen(); looks += 1) await clock.sleep(20, life.signal)
  assert.ok(worst() >= 0.25 && worst() < 30, `the worst is ${worst()} s`)
  assert.ok(median() < 0.25, `the median is ${median()} s`)
  life.abort()
  await running
})
