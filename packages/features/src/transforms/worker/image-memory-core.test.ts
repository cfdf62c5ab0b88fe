/** Tests of the memory that images take, from their headers. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { MIB } from "@hayloft/base/limits.js"
import type { ImageStep } from "../contract.js"
import { TRANSFORM_LIMITS } from "../limits.js"
import { madePixels, nativeBytesOf, type ImageShape } from "./image-memory-core.js"

const PHOTO: ImageShape = { format: "jpeg", width: 4_000, height: 3_000, frames: 1, hasAlpha: false, isDeep: false }
const step = (more: Partial<ImageStep> = {}): ImageStep => ({ kind: "image", fit: "inside", ...more })
const { nativeBytesMax } = TRANSFORM_LIMITS

test("a result has as many pixels as its sides allow, and is larger than the input only with borders", () => {
  assert.equal(madePixels(step(), PHOTO), 12_000_000)
  assert.equal(madePixels(step({ width: 400 }), PHOTO), 120_000)
  assert.equal(madePixels(step({ height: 300 }), PHOTO), 120_000)
  assert.equal(madePixels(step({ width: 8_000 }), PHOTO), 12_000_000)
  assert.equal(madePixels(step({ width: 100, height: 200, fit: "cover" }), PHOTO), 20_000)
  assert.equal(madePixels(step({ width: 8_000, height: 8_000, fit: "contain" }), PHOTO), 64_000_000)
  assert.equal(madePixels(step({ width: 10 }), { width: 100, height: 300, frames: 3 }), 300)
})

test("the memory grows with pixels, bits, transparency and the format that is made", () => {
  const bytes = (more: Partial<ImageShape>, made: ImageShape["format"] = "jpeg", of = step()) =>
    nativeBytesOf(of, { ...PHOTO, ...more }, made)
  assert.ok(bytes({ isDeep: true }) > bytes({}))
  assert.ok(bytes({ hasAlpha: true }, "avif") > bytes({}, "avif"))
  assert.ok(bytes({}, "avif") > bytes({}, "jpeg"))
  assert.ok(bytes({ isDeep: true }, "png") - bytes({ isDeep: true }, "jpeg") > bytes({}, "png") - bytes({}, "jpeg"))
  assert.ok(bytes({}, "avif", step({ width: 400 })) < bytes({}, "avif") / 2)
})

test("photos of 12 million pixels can be made in every format, and one-bit images of 49 million pixels not in AVIF", () => {
  for (const format of ["jpeg", "png", "webp", "avif"] as const)
    assert.ok(nativeBytesOf(step(), PHOTO, format) <= nativeBytesMax, format)
  const huge: ImageShape = { ...PHOTO, format: "png", width: 7_000, height: 7_000 }
  assert.ok(nativeBytesOf(step(), huge, "avif") > 1_024 * MIB)
  assert.ok(nativeBytesOf(step({ width: 300 }), huge, "avif") <= nativeBytesMax)
})
