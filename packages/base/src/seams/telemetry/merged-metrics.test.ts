/** Metrics of several threads: as data, as one text, and after a thread has ended. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { sharedMetrics } from "./contract.js"
import { MergedMetrics, renderMetrics, SERIES_MAX, type MetricsSnapshot } from "./metrics-text-core.js"
import { MetricsInMemory } from "./metrics.js"

/** The lines of samples of a text. */
const samplesOf = (text: string): readonly string[] => text.split("\n").filter(line => line !== "" && line[0] !== "#")

/** The snapshot of a thread, as another one receives it. */
function snapshotOf(fill: (metrics: MetricsInMemory) => void): MetricsSnapshot {
  const metrics = new MetricsInMemory()
  fill(metrics)
  return structuredClone(metrics.snapshot())
}

test("a snapshot that went to another thread renders as the metrics do", () => {
  const metrics = new MetricsInMemory()
  metrics.counter("b_total", "Counts\nthings").add({ path: 'a"b\\c' }, 2)
  metrics.counter("none_total", "Nothing yet")
  metrics.gauge("c_bytes", "Free", () => [
    [{}, 1.5],
    [{ at: "" }, NaN],
    [{ at: "x" }, Infinity],
    [{ at: "y" }, -Infinity],
  ])
  metrics.summary("d_seconds", "Delay", () => [[{ quantile: "0.5" }, 0.25]])
  metrics.total("e_total", "Sum", () => [[{}, 7]])
  const histogram = metrics.histogram("a_seconds", "Took", [0.1, 1])
  for (const value of [0.1, 0.5, 5]) histogram.observe(value, { op: "get" })
  histogram.observe(0.7)
  const text = renderMetrics([structuredClone(metrics.snapshot())])
  assert.equal(text, metrics.render())
  assert.deepEqual(samplesOf(text), [
    'a_seconds_bucket{op="get",le="0.1"} 1',
    'a_seconds_bucket{op="get",le="1"} 2',
    'a_seconds_bucket{op="get",le="+Inf"} 3',
    'a_seconds_sum{op="get"} 5.6',
    'a_seconds_count{op="get"} 3',
    'a_seconds_bucket{le="0.1"} 0',
    'a_seconds_bucket{le="1"} 1',
    'a_seconds_bucket{le="+Inf"} 1',
    "a_seconds_sum 0.7",
    "a_seconds_count 1",
    'b_total{path="a\\"b\\\\c"} 2',
    "c_bytes 1.5",
    'c_bytes{at=""} NaN',
    'c_bytes{at="x"} +Inf',
    'c_bytes{at="y"} -Inf',
    'd_seconds{quantile="0.5"} 0.25',
    "e_total 7",
  ])
})

test("counters, totals, histograms and gauges of threads add up; of quantiles the largest counts", () => {
  const thread = (count: number) =>
    snapshotOf(metrics => {
      metrics.counter("a_total", "A").add({ op: "get" }, count)
      metrics.counter("a_total", "A").add({ op: `only ${count}` })
      metrics.total("b_total", "B", () => [[{}, count]])
      metrics.histogram("c_seconds", "C", [1, 10]).observe(count)
      metrics.gauge("d_waiting", "D", () => [[{}, count]])
      metrics.summary("e_seconds", "E", () => [[{ quantile: "1" }, count === 2 ? 0.5 : 0.1]])
    })
  assert.deepEqual(samplesOf(renderMetrics([thread(1), thread(2), thread(30)])), [
    'a_total{op="get"} 33',
    'a_total{op="only 1"} 1',
    'a_total{op="only 2"} 1',
    'a_total{op="only 30"} 1',
    "b_total 33",
    'c_seconds_bucket{le="1"} 1',
    'c_seconds_bucket{le="10"} 2',
    'c_seconds_bucket{le="+Inf"} 3',
    "c_seconds_sum 33",
    "c_seconds_count 3",
    "d_waiting 33",
    'e_seconds{quantile="1"} 0.5',
  ])
})

test("facts of the store or the process are those of the first thread that knows them; of ages the largest counts", () => {
  const thread = (value: number, more: string) =>
    snapshotOf(metrics => {
      const shared = sharedMetrics(metrics)
      shared.gauge("a_expiry_seconds", "A", () => [
        [{ file: "cert" }, value],
        [{ file: more }, value],
      ])
      shared.total("b_cpu_seconds_total", "B", () => [[{}, value]])
      shared.counter("c_total", "C").add({}, value)
      shared.histogram("d_seconds", "D", [5]).observe(value)
      shared.summary("e_seconds", "E", () => [[{}, value]])
      metrics.gauge("f_age_seconds", "F", () => [[{}, value]], "largest")
    })
  assert.deepEqual(samplesOf(renderMetrics([thread(4, "x"), thread(9, "y"), thread(6, "x")])), [
    'a_expiry_seconds{file="cert"} 4',
    'a_expiry_seconds{file="x"} 4',
    'a_expiry_seconds{file="y"} 9',
    "b_cpu_seconds_total 4",
    "c_total 19",
    'd_seconds_bucket{le="5"} 1',
    'd_seconds_bucket{le="+Inf"} 3',
    "d_seconds_sum 19",
    "d_seconds_count 3",
    "e_seconds 9",
    "f_age_seconds 9",
  ])
})

test("the series of all threads together are bounded: the rest is counted as other, and gauges beyond are left out", () => {
  const thread = (name: string) =>
    snapshotOf(metrics => {
      const counter = metrics.counter("hits_total", "Hits")
      for (let i = 0; i < SERIES_MAX - 100; i += 1) counter.add({ bucket: `${name}"other" ${i}`, kind: "k" })
      metrics.gauge("size_bytes", "Size", () =>
        Array.from({ length: 600 }, (_, i) => [{ bucket: name + i }, 1] as const),
      )
    })
  const samples = samplesOf(renderMetrics([thread("a"), thread("b")]))
  const hits = samples.filter(line => line.startsWith("hits_total"))
  assert.equal(hits.length, SERIES_MAX + 1)
  assert.equal(hits.at(-1), 'hits_total{bucket="other",kind="other"} 800')
  assert.equal(samples.length - hits.length, SERIES_MAX)
})

test("no sum falls when a thread ends and another takes its place; what it held vanishes", () => {
  const all = new MergedMetrics()
  const thread = (count: number) =>
    snapshotOf(metrics => {
      metrics.counter("a_total", "A").add({}, count)
      metrics.total("b_total", "B", () => [[{}, count]])
      metrics.histogram("c_seconds", "C", [1]).observe(count)
      metrics.gauge("d_waiting", "D", () => [[{}, count]])
      metrics.gauge("d_waiting", "D", () => [[{ of: String(count) }, count]])
      metrics.summary("e_seconds", "E", () => [[{}, count]])
      sharedMetrics(metrics).total("f_cpu_total", "F", () => [[{}, count]])
    })
  const own = thread(1)
  all.retire(thread(10))
  all.retire(thread(20))
  assert.deepEqual(samplesOf(renderMetrics([all.merge(own, [thread(3)])])), [
    "a_total 34",
    "b_total 34",
    'c_seconds_bucket{le="1"} 1',
    'c_seconds_bucket{le="+Inf"} 4',
    "c_seconds_sum 34",
    "c_seconds_count 4",
    "d_waiting 4",
    'd_waiting{of="1"} 1',
    'd_waiting{of="3"} 3',
    "e_seconds 3",
    "f_cpu_total 1",
  ])
  assert.deepEqual(samplesOf(renderMetrics([all.merge(own, [])])).slice(0, 2), ["a_total 31", "b_total 31"])
})

test("one name for two things of different threads fails an assertion", () => {
  const counter = snapshotOf(metrics => metrics.counter("a", "A").add())
  const gauge = snapshotOf(metrics => metrics.gauge("a", "A", () => []))
  assert.throws(() => renderMetrics([counter, gauge]), /metric a is two things/)
  const histogram = (bound: number) => snapshotOf(metrics => metrics.histogram("h", "H", [bound]).observe(1))
  assert.throws(() => renderMetrics([histogram(1), histogram(2)]), /metric h is two things/)
})
