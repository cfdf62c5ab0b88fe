import assert from "node:assert/strict"
import { test } from "node:test"
import { parseModuleName } from "@hayloft/base/ids.js"
import type { ContentHeaders } from "@hayloft/objects/index.js"
import { recipeOf, skipReason } from "./base-core.js"
import { TRANSFORM_LIMITS } from "./limits.js"
import type { ModuleInfo } from "./contract.js"
import { parsePipeline } from "./pipeline-core.js"

const VERSIONS = { svgmin: "s1", image: "i1", gzip: "g1", zstd: "z1" }

test("the bytes stay as they are for a reason, and only for one", () => {
  const large = TRANSFORM_LIMITS.inputBytesMax + 1
  const cases: readonly (readonly [string, ContentHeaders, RegExp | undefined, { readonly sizeBytes?: number }?])[] = [
    ["svgmin", { contentType: "image/svg+xml" }, undefined],
    ["svgmin", {}, undefined],
    ["svgmin", { contentType: "application/octet-stream" }, undefined],
    ["svgmin", { contentType: "text/xml; charset=utf-8" }, undefined],
    ["svgmin", { contentType: "image/png" }, /no SVG/],
    ["svgmin", { contentType: "text/html" }, /no SVG/],
    ["image,width=1", { contentType: "image/png" }, undefined],
    ["image,width=1", { contentType: "image/svg+xml" }, /no image/],
    ["upper", { contentType: "text/html" }, undefined],
    ["upper", { contentType: "Video/mp4" }, /video and audio/],
    ["gzip", { contentType: "audio/mpeg" }, /video and audio/],
    ["gzip", { contentEncoding: "gzip" }, /Content-Encoding/],
    ["gzip", { contentEncoding: "aws-chunked" }, undefined],
    ["gzip", {}, undefined, { sizeBytes: large }],
    ["svgmin|gzip", {}, /more than/, { sizeBytes: large }],
    ["svgmin", { cacheControl: "max-age=1, No-Transform" }, /no-transform/],
    ["tar,member=a", { contentType: "video/mp4", contentEncoding: "br" }, undefined, { sizeBytes: large }],
  ]
  for (const [text, headers, reason, { sizeBytes = 10 } = {}] of cases) {
    const info = { headers, sizeBytes, segmentListBytes: undefined }
    const found = skipReason(info, parsePipeline(text), VERSIONS, true)
    if (reason === undefined) assert.equal(found, undefined, `${text} ${JSON.stringify(headers)}`)
    else assert.match(found ?? "", reason, text)
  }
  const swift = { headers: {}, sizeBytes: 10, segmentListBytes: 10 }
  assert.match(skipReason(swift, parsePipeline("gzip"), VERSIONS, false) ?? "", /Swift/)
  const asked = { headers: { cacheControl: "no-transform" }, sizeBytes: 10, segmentListBytes: undefined }
  assert.equal(skipReason(asked, parsePipeline("gzip"), VERSIONS, false), undefined)
  const without = { ...VERSIONS, image: undefined }
  const image = { headers: {}, sizeBytes: 10, segmentListBytes: undefined }
  assert.match(skipReason(image, parsePipeline("image,width=1"), without, false) ?? "", /sharp/)
})

test("a recipe depends on whatever its result depends on, and on nothing else", () => {
  const name = parseModuleName("upper")
  const module = { name, sha256: "a", sizeBytes: 1, contentType: undefined, modifiedMs: 1 }
  const recipe = (text: string, versions: typeof VERSIONS, found: Partial<ModuleInfo>) =>
    recipeOf(parsePipeline(text), versions, new Map([["upper", { ...module, ...found }]]))
  const first = recipe("upper|svgmin|gzip", VERSIONS, {})
  assert.equal(recipe("upper|svgmin|gzip", { ...VERSIONS, zstd: "z2", image: "i2" }, { modifiedMs: 2 }), first)
  const others = [
    recipe("upper,a=1|svgmin|gzip", VERSIONS, {}),
    recipe("upper|svgmin", VERSIONS, {}),
    recipe("upper|svgmin|gzip", { ...VERSIONS, svgmin: "s2" }, {}),
    recipe("upper|svgmin|gzip", { ...VERSIONS, gzip: "g2" }, {}),
    recipe("upper|svgmin|gzip", VERSIONS, { sha256: "b" }),
    recipe("upper|svgmin|gzip", VERSIONS, { contentType: "text/x" }),
  ]
  assert.equal(new Set([first, ...others]).size, others.length + 1)
})
