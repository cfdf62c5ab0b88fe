import { test } from "node:test"
import assert from "node:assert/strict"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { Flatness } from "./flatness.js"
import {
  all,
  any,
  atLeast,
  atMost,
  measureRow,
  median,
  targetText,
  Unmeasured,
  verdictOf,
  type Measured,
  type Result,
} from "./row.js"
import { QUICK } from "./scale.js"
import { theme } from "./theme.js"

const measured: Measured = { figure: 9, unit: "ms", limit: 10, also: { p99Ms: 20 } }

test("a verdict applies the bounds to figure, ratio and further figures", () => {
  assert.equal(verdictOf(undefined, measured), "reported")
  assert.equal(verdictOf(all(atMost("ratio", 0.9)), measured), "met")
  assert.equal(verdictOf(all(atMost("ratio", 0.89)), measured), "missed")
  assert.equal(verdictOf(all(atLeast("figure", 9), atMost("p99Ms", 19)), measured), "missed")
  assert.equal(verdictOf(any(atLeast("figure", 10), atMost("p99Ms", 20)), measured), "met")
  assert.equal(verdictOf(any(atLeast("figure", 10), atMost("nothing", 20)), measured), "missed")
})

test("an unmeasured bound is neither met nor missed, unless another bound missed", () => {
  const { limit: _, ...alone } = measured
  assert.equal(verdictOf(all(atMost("ratio", 1)), alone), "unmeasured")
  assert.equal(verdictOf(all(atMost("ratio", 1), atMost("figure", 1)), alone), "missed")
})

test("the text of a target states its bounds", () => {
  assert.equal(targetText(all(atMost("figure", 500), atMost("stallMs", 20))), "<= 500, stallMs <= 20")
  assert.equal(targetText(any(atMost("s a GiB", 3), atLeast("ratio", 1.4))), "s a GiB <= 3 or ratio >= 1.4")
  assert.equal(targetText(undefined), "")
})

test("the median round by ratio is the result; the others are reported", async () => {
  const ratios = [0.5, 3, 0.7]
  const row = { work: "w", measure: async () => ({ figure: (ratios.shift() ?? 0) * 4, unit: "s", limit: 4 }) }
  const result = await measureRow("t", { ...row, target: all(atMost("ratio", 1)) }, undefined, 3)
  assert.deepEqual([result.ratio, result.verdict], [0.7, "met"])
  assert.deepEqual(result.rounds, [0.5, 3, 0.7])
  assert.equal(median([4, 1, 3, 2, 5]), 3)
})

test("a figure is valid only if its precondition held", async () => {
  const verdictBeside = async (share: number): Promise<string> => {
    const row = { work: "w", measure: async () => ({ figure: 1, unit: "ms", also: { share } }) }
    const result = await measureRow(
      "t",
      { ...row, target: all(atMost("figure", 2)), given: [atLeast("share", 0.5)] },
      undefined,
      1,
    )
    assert.equal(result.measured?.figure, 1)
    return result.verdict
  }
  assert.equal(await verdictBeside(0.5), "met")
  assert.equal(await verdictBeside(0.4), "unmeasured")
})

test("a row marked as measured once is measured once, and a failed row stays with its reason", async () => {
  let count = 0
  const once = await measureRow(
    "t",
    { work: "w", isOnce: true, measure: async () => ({ figure: (count += 1), unit: "" }) },
    undefined,
    5,
  )
  assert.deepEqual([count, once.verdict, once.rounds], [1, "reported", [1]])
  const failing = (error: Error) =>
    measureRow("t", { work: "w", measure: () => Promise.reject(error) }, undefined, 2).then(row => [
      row.verdict,
      row.why,
    ])
  assert.deepEqual(await failing(new Unmeasured("needs /proc")), ["unmeasured", "needs /proc"])
  assert.deepEqual(await failing(new Error("broke")), ["failed", "broke"])
})

test("rows whose fixture this machine cannot have stay with the reason, and another failure ends the run", async () => {
  const tellsOf = async (error: Error) => {
    const rows = [{ work: "w", measure: async () => measured }]
    const broken = theme({ name: "t", open: () => Promise.reject(error), rows: () => rows })
    const results: Result[] = []
    const signal = new AbortController().signal
    const bench = { clock: new RealClock(), signal, scale: QUICK, workFolder: "", say: () => undefined }
    await broken.run(
      bench,
      () => true,
      result => results.push(result),
    )
    return results.map(({ theme, work, verdict, why }) => [theme, work, verdict, why])
  }
  assert.deepEqual(await tellsOf(new Unmeasured("needs Node 24")), [["t", "w", "unmeasured", "needs Node 24"]])
  await assert.rejects(tellsOf(new Error("broke")), /broke/)
})

test("flatness is relative to the median round among the fewest keys", () => {
  const flatness = new Flatness()
  assert.deepEqual(
    [10, 30, 20].map(figure => flatness.of("get", 100, figure)),
    [1, 1, 1],
  )
  assert.equal(flatness.of("get", 10_000, 15), 0.75)
  assert.equal(flatness.of("head", 10_000, 15), 1)
})
