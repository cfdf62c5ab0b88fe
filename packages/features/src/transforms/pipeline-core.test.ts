import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure } from "@hayloft/base/failures.js"
import { TRANSFORM_LIMITS } from "./limits.js"
import { parsePipeline, withoutCoding } from "./pipeline-core.js"

test("steps and their parameters", () => {
  assert.deepEqual(parsePipeline("svgmin"), { text: "svgmin", steps: [{ kind: "svgmin" }] })
  assert.deepEqual(parsePipeline("tar,member=a/b%2C%7C%25.svg|svgmin|gzip"), {
    text: "tar,member=a/b%2C%7C%25.svg|svgmin|gzip",
    archive: { kind: "member", path: "a/b,|%.svg" },
    steps: [{ kind: "svgmin" }],
    coding: "gzip",
  })
  assert.deepEqual(parsePipeline("image,quality=80,width=200,format=webp").steps, [
    { kind: "image", fit: "inside", width: 200, format: "webp", quality: 80 },
  ])
  assert.deepEqual(parsePipeline("tar"), {
    text: "tar",
    archive: { kind: "list", prefix: "", after: "", membersMax: TRANSFORM_LIMITS.listedMax },
    steps: [],
  })
  assert.deepEqual(parsePipeline("upper,a=1,b=%41").steps, [{ kind: "module", name: "upper", parameters: "a=1,b=%41" }])
})

test("the canonical text of a pipeline parses to the same pipeline, and does not depend on how it was written", () => {
  const texts = ["tar,prefix=x%2Cy", "tar,member=%C3%A4%20b|image,height=4,fit=cover|zstd", "up,q=1|svgmin", "gzip"]
  for (const text of texts) {
    const pipeline = parsePipeline(text)
    assert.deepEqual(parsePipeline(pipeline.text), pipeline)
  }
  assert.equal(parsePipeline("image,height=3,width=2").text, parsePipeline("image,width=2,height=3,fit=inside").text)
  assert.equal(withoutCoding(parsePipeline("svgmin|gzip")).text, "svgmin")
})

test("what makes no sense is refused, with the fault in the message", () => {
  const cases: readonly (readonly [string, RegExp])[] = [
    ["", /no such step/],
    ["SVGMIN", /no such step/],
    ["svgmin,precision=2", /no parameter precision/],
    ["image", /say a width/],
    ["image,width=0", /width is a number from 1/],
    ["image,width=1e3", /width is a number/],
    ["image,width=16385", /to 16384/],
    ["image,width=2,width=3", /twice/],
    ["image,fit=stretch,width=1", /fit is one of/],
    ["image,format=svg", /format is one of/],
    ["image,quality=101", /quality is a number/],
    ["image,width", /name=value/],
    ["tar,member=", /path of a file/],
    ["tar,member=a,max=1", /no parameter max/],
    ["tar,member=%FF", /percent-encoded/],
    ["svgmin|tar,member=a", /tar is the first/],
    ["tar,member=a|tar,member=b", /tar is the first/],
    ["tar|svgmin", /follow a listing/],
    ["gzip|svgmin", /gzip is the last/],
    ["gzip|zstd", /gzip is the last/],
    ["a|".repeat(8) + "a", /at most 8 steps/],
    [`m,a=${"x".repeat(2_000)}`, /at most 1024 bytes/],
    [`tar,member=${"ü".repeat(400)}`, /at most 1024 bytes once/],
  ]
  for (const [text, fault] of cases)
    assert.throws(
      () => parsePipeline(text),
      (error: unknown) => isFailure(error, "invalidArgument") && fault.test(String(error.details["message"])),
      text,
    )
})
