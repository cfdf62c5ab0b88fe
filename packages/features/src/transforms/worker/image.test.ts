import assert from "node:assert/strict"
import { test } from "node:test"
import type { Sharp } from "sharp"
import type { ImageStep } from "../contract.js"
import { imageStep, imageVersion } from "./image.js"

const missing = (await imageVersion()) === undefined ? "the package sharp is not installed" : false
const sharp = missing === false ? (await import("sharp")).default : undefined

const INSIDE = { kind: "image", fit: "inside" } as const

function picture(width: number, height: number, background = "#336699"): Sharp {
  assert.ok(sharp)
  return sharp({ create: { width, height, channels: 4, background } })
}

async function make(bytes: Uint8Array, step: Partial<ImageStep>) {
  const made = await imageStep({ ...INSIDE, ...step }, { kind: "made", bytes, type: "image/x" })
  assert.ok(made.kind === "made" && sharp, JSON.stringify(made))
  const metadata = await sharp(made.bytes, { animated: true }).metadata()
  return { ...made, metadata, size: [metadata.width, metadata.height] }
}

async function reasonFor(bytes: Uint8Array, step: Partial<ImageStep> = {}): Promise<string> {
  const made = await imageStep({ ...INSIDE, ...step }, { kind: "made", bytes, type: "image/x" })
  return made.kind === "skipped" ? made.reason : "made"
}

/** A PNG whose header states a size that its bytes do not have. */
async function claiming(width: number, height: number): Promise<Buffer> {
  const png = await picture(4, 4).png().toBuffer()
  const header = png.subarray(12, 29)
  header.writeUInt32BE(width, 4)
  header.writeUInt32BE(height, 8)
  png.writeUInt32BE(crcOf(header), 29)
  return png
}

function crcOf(bytes: Uint8Array): number {
  let crc = ~0
  for (const byte of bytes) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0)
  }
  return ~crc >>> 0
}

const images = { skip: missing }

test("an image becomes smaller, and never larger", images, async () => {
  const png = await picture(400, 200).png().toBuffer()
  assert.deepEqual((await make(png, { width: 100 })).size, [100, 50])
  assert.deepEqual((await make(png, { width: 100, height: 20 })).size, [40, 20])
  assert.deepEqual((await make(png, { width: 100, height: 100, fit: "cover" })).size, [100, 100])
  assert.deepEqual((await make(png, { width: 100, height: 100, fit: "contain" })).size, [100, 100])
  assert.deepEqual((await make(png, { width: 30, height: 90, fit: "fill" })).size, [30, 90])
  assert.deepEqual((await make(png, { width: 4_000 })).size, [400, 200])
})

test("formats change; without one, that of the input stays", images, async () => {
  const png = await picture(40, 20).png().toBuffer()
  for (const format of ["jpeg", "png", "webp", "avif"] as const) {
    const { bytes, type } = await make(png, { format })
    assert.equal(type, `image/${format}`)
    assert.equal((await make(bytes, { width: 20 })).type, `image/${format}`, "and is read again")
  }
})

test("a lower quality makes fewer bytes", images, async () => {
  assert.ok(sharp)
  const noise = { type: "gaussian", mean: 128, sigma: 40 } as const
  const png = await sharp({ create: { width: 200, height: 200, channels: 3, background: "red", noise } })
    .png()
    .toBuffer()
  for (const format of ["jpeg", "webp", "avif"] as const) {
    const [low, high] = [await make(png, { format, quality: 10 }), await make(png, { format, quality: 90 })]
    assert.ok(low.bytes.length < high.bytes.length, format)
  }
})

test("an image is turned upright, and its metadata goes", images, async () => {
  const turned = await picture(40, 20)
    .withExif({ IFD0: { Copyright: "nobody" } })
    .withMetadata({ orientation: 6 })
    .jpeg()
    .toBuffer()
  const { size, metadata } = await make(turned, {})
  assert.deepEqual(size, [20, 40])
  assert.deepEqual([metadata.exif, metadata.icc, metadata.orientation], [undefined, undefined, undefined])
})

test("colours stay when a profile goes", images, async () => {
  assert.ok(sharp)
  const profiled = await picture(4, 4, "#c04020").flatten().withIccProfile("p3").png().toBuffer()
  const { data } = await sharp((await make(profiled, {})).bytes)
    .raw()
    .toBuffer({ resolveWithObject: true })
  for (const [i, wanted] of [0xc0, 0x40, 0x20].entries())
    assert.ok(Math.abs((data[i] ?? 0) - wanted) <= 2, `${data[i]}`)
})

test("what is transparent becomes white in a JPEG", images, async () => {
  assert.ok(sharp)
  const clear = await picture(4, 4, "#00000000").png().toBuffer()
  const { data } = await sharp((await make(clear, { format: "jpeg" })).bytes)
    .raw()
    .toBuffer({ resolveWithObject: true })
  assert.deepEqual([...data.subarray(0, 3)], [255, 255, 255])
})

test("frames stay in formats that have them", images, async () => {
  assert.ok(sharp)
  const frames = [await picture(10, 10, "red").png().toBuffer(), await picture(10, 10, "blue").png().toBuffer()]
  const gif = await sharp(frames, { join: { animated: true } })
    .gif()
    .toBuffer()
  assert.equal((await make(gif, { width: 5 })).metadata.pages, 2)
  assert.equal((await make(gif, { format: "webp" })).metadata.pages, 2)
  const { size, metadata } = await make(gif, { format: "png" })
  assert.deepEqual([metadata.pages ?? 1, size], [1, [10, 10]])
})

test("broken images are skipped", images, async () => {
  const noisy = await picture(300, 300).jpeg().toBuffer()
  const png = await picture(300, 300).png().toBuffer()
  for (const bytes of [noisy.subarray(0, noisy.length >> 1), png.subarray(0, png.length >> 1), png.subarray(0, 20)])
    assert.match(await reasonFor(bytes), /^the image cannot be read: [ -~]+$/)
})

test("images with too many pixels are skipped before they are decoded", images, async () => {
  assert.match(await reasonFor(await claiming(60_000, 60_000)), /pixel/)
  const png = await picture(10, 10).png().toBuffer()
  assert.match(await reasonFor(png, { width: 60_000, height: 60_000, fit: "contain" }), /^more than \d+ pixels$/)
})

test("other formats are refused, also by the library", images, async () => {
  assert.ok(sharp)
  const svg = Buffer.from(`<svg xmlns="http://www.w3.org/2000/svg" width="4" height="4"/>`)
  for (const bytes of [svg, Buffer.from("%PDF-1.4"), Buffer.from("II*\0"), Buffer.alloc(0), Buffer.from("BM")])
    assert.equal(await reasonFor(bytes), "not a JPEG, PNG, WebP, GIF or AVIF image")
  await assert.rejects(sharp(svg).png().toBuffer())
  const tiff = await picture(4, 4).tiff().toBuffer()
  await assert.rejects(sharp(tiff).png().toBuffer())
})
