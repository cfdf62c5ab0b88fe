import assert from "node:assert/strict"
import { test } from "node:test"
import { RealClock } from "../clock/real.js"
import { SimClock } from "../clock/sim.js"
import type { Fields, LogLevel } from "./contract.js"
import { SERIES_MAX } from "./metrics-text-core.js"
import type { LogFormat } from "./real.js"
import { RealTelemetry } from "./real.js"
import { SimTelemetry } from "./sim.js"
import { telemetrySuite } from "./suite.js"

function real(format: LogFormat = "json", level: LogLevel = "debug") {
  const lines: string[] = []
  const clock = Object.assign(new SimClock(), { atEndOfTurn: (call: () => void) => call() })
  const telemetry = new RealTelemetry(clock, line => lines.push(line), { level, format })
  return { telemetry, lines }
}

interface Line {
  readonly level: LogLevel
  readonly event: string
  readonly fields: Fields
}

function parseLine(line: string): Line {
  const { level, event, time, ...fields } = JSON.parse(line) as Record<string, string>
  assert.equal(time, "2026-01-01T00:00:00.000Z")
  return { level: level as LogLevel, event: String(event), fields }
}

telemetrySuite("real", () => {
  const { telemetry, lines } = real()
  return {
    telemetry,
    logged: () => lines.map(parseLine),
    metric: (name, labels) => telemetry.metrics.value(name, labels),
  }
})

telemetrySuite("simulated", () => {
  const telemetry = new SimTelemetry()
  return {
    telemetry,
    logged: () => telemetry.entries(),
    metric: (name, labels) => telemetry.metric(name, labels),
  }
})

test("a text line reads plainly and cannot be forged by a value", () => {
  const { telemetry, lines } = real("text")
  telemetry.log.warn("deviceSlow", { device: "d1", path: "/a b", note: "x\n2026-01-01 error fake", waitedMs: 8 })
  assert.deepEqual(lines, [
    '2026-01-01T00:00:00.000Z warn  deviceSlow device=d1 path="/a b" note="x\\n2026-01-01 error fake" waitedMs=8\n',
  ])
})

test("lines of a thread have its name, which a field cannot replace; without one the field stays", () => {
  const lines: string[] = []
  const clock = Object.assign(new SimClock(), { atEndOfTurn: (call: () => void) => call() })
  for (const format of ["json", "text"] as const) {
    for (const thread of ["front-2", undefined]) {
      const settings = { level: "info", format, thread } as const
      const { log } = new RealTelemetry(clock, line => lines.push(line), settings)
      if (format === "json") log.info("request", { thread: "fake" })
      else log.info("request", { status: 200 })
    }
  }
  assert.deepEqual(lines, [
    '{"thread":"front-2","time":"2026-01-01T00:00:00.000Z","level":"info","event":"request"}\n',
    '{"thread":"fake","time":"2026-01-01T00:00:00.000Z","level":"info","event":"request"}\n',
    "2026-01-01T00:00:00.000Z info  request thread=front-2 status=200\n",
    "2026-01-01T00:00:00.000Z info  request status=200\n",
  ])
})

test("lines of a turn are written together, and a warning immediately, after those before it", async () => {
  const written: string[] = []
  const settings = { level: "info", format: "text" } as const
  const { log } = new RealTelemetry(new RealClock(), lines => written.push(lines.replaceAll(/^\S+Z /gm, "")), settings)
  log.info("one")
  log.info("two")
  assert.deepEqual(written, [])
  log.warn("three")
  assert.deepEqual(written, ["info  one\ninfo  two\nwarn  three\n"])
  log.info("four")
  log.info("five")
  await new Promise(resolve => setImmediate(resolve))
  assert.deepEqual(written.slice(1), ["info  four\ninfo  five\n"])
  log.info("long", { value: "x".repeat(4_000) })
  for (let i = 0; i < 16; i += 1) log.info("long", { value: "x".repeat(4_000) })
  assert.equal(written.length, 3, "many do not wait")
})

test("lines below the level are not written", () => {
  const { telemetry, lines } = real("json", "warn")
  telemetry.log.debug("a")
  telemetry.log.info("b")
  telemetry.log.warn("c")
  telemetry.log.error("d")
  assert.deepEqual(
    lines.map(line => parseLine(line).event),
    ["c", "d"],
  )
})

test("fields that look like a secret are hidden, and a field cannot replace the line's own keys", () => {
  const { telemetry, lines } = real()
  telemetry.log.info("signed", { secretKey: "hunter2", event: "fake", level: "error", time: "never" })
  assert.ok(!lines.join("").includes("hunter2"))
  assert.deepEqual(parseLine(lines[0] ?? ""), { level: "info", event: "signed", fields: { secretKey: "[hidden]" } })
})

test("a very long value is cut", () => {
  const { telemetry, lines } = real()
  telemetry.log.info("long", { value: "x".repeat(1_000_000) })
  assert.ok((lines[0] ?? "").length < 5_000)
})

test("a number has three digits behind the point", () => {
  const { telemetry, lines } = real()
  telemetry.log.info("numbers", { long: 5168.194637999986, short: 0.000123456, whole: 12345678, share: 0.5 })
  assert.match(lines[0] ?? "", /"long":5168\.195,"short":0\.000123,"whole":12345678,"share":0\.5,/)
})

test("metrics render as Prometheus text", () => {
  const { telemetry } = real()
  telemetry.metrics.counter("b_total", "Counts\nthings").add({ path: 'a"b\\c' }, 2)
  telemetry.metrics.gauge("c_bytes", "Free", () => [[{}, 1.5]])
  telemetry.metrics.summary("d_seconds", "Delay", () => [[{ quantile: "0.5" }, 0.25]])
  const histogram = telemetry.metrics.histogram("a_seconds", "Took", [0.1, 1])
  for (const value of [0.1, 0.5, 5]) histogram.observe(value, { op: "get" })
  const expected = `# HELP a_seconds Took
# TYPE a_seconds histogram
a_seconds_bucket{op="get",le="0.1"} 1
a_seconds_bucket{op="get",le="1"} 2
a_seconds_bucket{op="get",le="+Inf"} 3
a_seconds_sum{op="get"} 5.6
a_seconds_count{op="get"} 3
# HELP b_total Counts\\nthings
# TYPE b_total counter
b_total{path="a\\"b\\\\c"} 2
# HELP c_bytes Free
# TYPE c_bytes gauge
c_bytes 1.5
# HELP d_seconds Delay
# TYPE d_seconds summary
d_seconds{quantile="0.5"} 0.25
`
  assert.equal(telemetry.render(), expected)
})

test("a metric's label values are bounded: the rest is counted as other", () => {
  const telemetry = new SimTelemetry()
  const counter = telemetry.metrics.counter("hits_total", "Hits")
  for (let i = 0; i < SERIES_MAX + 500; i += 1) counter.add({ bucket: `b${i}` })
  assert.equal(telemetry.metric("hits_total", { bucket: "other" }), 500)
  assert.equal(telemetry.metric("hits_total", { bucket: "b0" }), 1)
  assert.equal(telemetry.metrics.render().trim().split("\n").length, SERIES_MAX + 3)
})

test("names that Prometheus would refuse fail an assertion", () => {
  const { metrics } = new SimTelemetry()
  assert.throws(() => metrics.counter("has space", ""), /not a metric name/)
  assert.throws(() => metrics.counter("fine", "").add({ "no-dash": "1" }), /not a label name/)
  assert.throws(() => metrics.histogram("h", "", [1, 1]), /ascend/)
})
