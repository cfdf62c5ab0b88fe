/** The tests that every telemetry must pass, based on its log and its metrics. */
import assert from "node:assert/strict"
import { test } from "node:test"
import type { Fields, Labels, LogLevel, Telemetry } from "./contract.js"

interface TelemetryUnderTest {
  readonly telemetry: Telemetry
  /** Everything logged so far, at every level. */
  logged(): readonly { readonly level: LogLevel; readonly event: string; readonly fields: Fields }[]
  /** The value of a counter, gauge or histogram. */
  metric(name: string, labels?: Labels): number | undefined
}

export function telemetrySuite(kind: string, make: () => TelemetryUnderTest): void {
  test(`${kind}: log entries keep their order, level and fields`, () => {
    const { telemetry, logged } = make()
    telemetry.log.debug("opened")
    telemetry.log.warn("slow", { waitedMs: 12, device: "d1", absent: undefined })
    telemetry.log.info("told")
    telemetry.log.error("broken", { fatal: true })
    const seen = logged().map(({ level, event, fields }) => [level, event, JSON.parse(JSON.stringify(fields))] as const)
    assert.deepEqual(seen, [
      ["debug", "opened", {}],
      ["warn", "slow", { waitedMs: 12, device: "d1" }],
      ["info", "told", {}],
      ["error", "broken", { fatal: true }],
    ])
  })

  test(`${kind}: counters add up by labels, in any order of the labels`, () => {
    const { telemetry, metric } = make()
    const requests = telemetry.metrics.counter("requests_total", "Requests")
    requests.add({ method: "GET", status: "200" })
    requests.add({ status: "200", method: "GET" }, 2)
    requests.add()
    assert.equal(metric("requests_total", { method: "GET", status: "200" }), 3)
    assert.equal(metric("requests_total"), 1)
    assert.throws(() => requests.add({}, -1), /only grows/)
    const posts = requests.of({ method: "POST" })
    posts.add()
    posts.add(4)
    requests.add({ method: "POST" })
    assert.equal(metric("requests_total", { method: "POST" }), 6)
    assert.throws(() => posts.add(-1), /only grows/)
  })

  test(`${kind}: two requests for one metric return the same one, and never another kind`, () => {
    const { telemetry, metric } = make()
    telemetry.metrics.counter("reads_total", "Reads").add()
    telemetry.metrics.counter("reads_total", "Reads").add()
    assert.equal(metric("reads_total"), 2)
    assert.throws(() => telemetry.metrics.histogram("reads_total", "Reads", [1]), /two kinds/)
  })

  test(`${kind}: gauges are read on demand, from every source of rows`, () => {
    const { telemetry, metric } = make()
    let free = 10
    telemetry.metrics.gauge("free_bytes", "Free", () => [[{ device: "a" }, free]])
    telemetry.metrics.gauge("free_bytes", "Free", () => [[{ device: "b" }, 5]])
    free = 7
    assert.equal(metric("free_bytes", { device: "a" }), 7)
    assert.equal(metric("free_bytes", { device: "b" }), 5)
  })

  test(`${kind}: histograms count their observations`, () => {
    const { telemetry, metric } = make()
    const latency = telemetry.metrics.histogram("latency_seconds", "Latency", [0.1, 1])
    for (const value of [0.05, 0.5, 5]) latency.observe(value)
    assert.equal(metric("latency_seconds"), 3)
    assert.throws(() => latency.observe(NaN), /finite/)
  })
}
