import { test } from "node:test"
import assert from "node:assert/strict"
import { Latencies, percentile, ratio } from "../src/main/client/load/latencies.js"
import { parseOptions } from "./options.js"
import { textOfReport } from "./report.js"

test("percentiles are values that occurred", () => {
  const hundred = Array.from({ length: 100 }, (_, i) => i + 1)
  assert.deepEqual(
    [0.5, 0.95, 0.99, 1].map(share => percentile(hundred, share)),
    [50, 95, 99, 100],
  )
  assert.equal(percentile([7], 0.99), 7)
  assert.equal(percentile([], 0.5), 0)
})

test("a summary counts what succeeded, and errors apart", () => {
  const latencies = new Latencies()
  for (const ms of [4, 1, 3, 2]) latencies.record(ms, 500_000)
  latencies.fail()
  const summary = latencies.summary(2)
  assert.deepEqual(
    [
      summary.count,
      summary.errors,
      summary.operationsPerSecond,
      summary.megabytesPerSecond,
      summary.p50Ms,
      summary.maxMs,
    ],
    [4, 1, 2, 1, 2, 4],
  )
  assert.equal(ratio(1, 3), 0.33)
  assert.equal(ratio(1, 0), undefined)
})

test("options: defaults, a quick run that stays overridable, refusals", () => {
  const options = parseOptions([])
  assert.ok(options !== "help" && options.sizes.includes(16 * 1024 * 1024) && options.keysMax === 100_000)
  const quick = parseOptions(["--quick", "--sizes", "1MiB", "--ops", "put,get"])
  assert.ok(quick !== "help")
  assert.deepEqual(
    [quick.sizes, quick.operations, quick.seconds, quick.keysMax],
    [[1 << 20], ["put", "get"], 0.3, 1000],
  )
  assert.equal(parseOptions(["-h"]), "help")
  for (const bad of [
    ["--sizes", "big"],
    ["--ops", "head"],
    ["--seconds", "0"],
    ["--concurrency", ""],
    ["--what"],
    ["extra"],
  ]) {
    assert.throws(() => parseOptions(bad), Error, bad.join(" "))
  }
})

test("the report names every figure", () => {
  const result = new Latencies().summary(1)
  const of = { redundancy: "ec:4+3" }
  const scrub = {
    ...of,
    what: "scrub",
    bytes: 2 ** 30,
    seconds: 4,
    plainSeconds: 3,
    isCold: true,
    share: 0.75,
    isMet: true,
  } as const
  const alone = { p50Ms: 1, p99Ms: 4 }
  const felt = {
    ...of,
    during: "repair",
    requestsPerSecond: 50,
    alone,
    load: result,
    p99Times: 3,
    isMet: false,
  } as const
  const text = textOfReport({
    machine: { cpu: "c", cores: 2, node: "20" },
    workload: [{ operation: "put", sizeBytes: 4096, concurrency: 4, result, ofDisk: 0.5 }],
    multipart: {
      bytes: 2 ** 30,
      uploadSeconds: 8,
      downloadSeconds: 4,
      uploadMegabytesPerSecond: 134,
      downloadMegabytesPerSecond: 268,
    },
    listing: [{ keys: 1000, fillSeconds: 1, page: result, againstSmallest: 1 }],
    idleMegabytes: 99,
    devices: [{ speeds: [scrub], latencies: [felt] }],
    judging: [{ what: "anew", milliseconds: 51, isMet: false }],
  })
  assert.match(text, /scrub +ec:4\+3 +1\.0 GiB +4\.00 +3\.00 +disk +0\.75 +>= 0\.6 +met/)
  assert.match(text, /repair +ec:4\+3 +50 .* 3 +<= 2 +missed/)
  assert.match(text, /put +4\.0 KiB +4 .* 0\.5/)
  assert.match(text, /1\.0 GiB by multipart.*8 s up \(134 MB\/s\)/)
  assert.match(text, /idle: 99 MB/)
  assert.match(text, /anew +51\.00 +<= 50 +missed/)
})
