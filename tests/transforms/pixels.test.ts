/**
 * A minified SVG image is drawn as its original: icons of the Debian package tango-icon-theme, in a real Chromium, on
 * white and on nothing, larger than they say they are. Skipped if either is not installed.
 */
import assert from "node:assert/strict"
import { existsSync, readdirSync, readFileSync, realpathSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import type { Page } from "playwright-core"
import { minifySvg } from "@hayloft/features/transforms/worker/svgmin.js"
import { noChromium, withChromium } from "../harness/chromium.js"

const ICONS = "/usr/share/icons/Tango/scalable"
const FILES_MIN = 100
const FILES_MAX = 240
const SCALES = [1, 2.7]
const MEDIAN_MAX = 0.7
const DIFFERENCE_MAX = 1
/** Images that one call compares. */
const BATCH = 20

interface Pair {
  readonly file: string
  readonly original: string
  readonly minified: string
  readonly ratio: number
}

function icons(): readonly string[] {
  const all = readdirSync(ICONS, { recursive: true, encoding: "utf8" }).filter(name => name.endsWith(".svg"))
  const files = [...new Set(all.map(name => realpathSync(join(ICONS, name))))].sort()
  const step = Math.max(1, files.length / FILES_MAX)
  return Array.from({ length: Math.min(FILES_MAX, files.length) }, (_, i) => files[Math.floor(i * step)] ?? "")
}

function pairOf(file: string): Pair {
  const bytes = readFileSync(file)
  const made = minifySvg({ kind: "made", bytes, type: "image/svg+xml" })
  assert.equal(made.kind, "made", made.kind === "skipped" ? `${file}: ${made.reason}` : file)
  const minified = made.kind === "made" ? Buffer.from(made.bytes) : bytes
  const text = (image: Buffer): string => `data:image/svg+xml;base64,${image.toString("base64")}`
  return { file, original: text(bytes), minified: text(minified), ratio: minified.length / bytes.length }
}

/** In the page: the largest difference of a channel, for each pair of images. */
const COMPARE = `async (pairs, scales) => {
  const load = async source => {
    const image = new Image()
    image.src = source
    await image.decode()
    return image
  }
  const draw = (image, scale, background) => {
    const canvas = document.createElement("canvas")
    canvas.width = Math.ceil(image.naturalWidth * scale)
    canvas.height = Math.ceil(image.naturalHeight * scale)
    const context = canvas.getContext("2d", { willReadFrequently: true })
    context.fillStyle = background
    context.fillRect(0, 0, canvas.width, canvas.height)
    context.drawImage(image, 0, 0, canvas.width, canvas.height)
    return context.getImageData(0, 0, canvas.width, canvas.height).data
  }
  const found = []
  for (const { original, minified } of pairs) {
    const [before, after] = [await load(original), await load(minified)]
    let most = 0
    for (const scale of scales) {
      for (const background of ["white", "transparent"]) {
        const [old, now] = [draw(before, scale, background), draw(after, scale, background)]
        if (old.length === 0 || old.length !== now.length || old.every(byte => byte === old[0])) most = 1000
        for (let i = 0; i < old.length; i += 1) most = Math.max(most, Math.abs(old[i] - now[i]))
      }
    }
    found.push(most)
  }
  return found
}`

const differences = (page: Page, pairs: readonly Pair[]): Promise<number[]> =>
  page.evaluate<number[]>(`(${COMPARE})(${JSON.stringify(pairs)}, ${JSON.stringify(SCALES)})`)

const missing = noChromium || (existsSync(ICONS) ? false : "tango-icon-theme is not installed")

test("minified icons have the pixels of their originals, and far fewer bytes", { skip: missing }, async context => {
  const startedMs = performance.now()
  const pairs = icons().map(pairOf)
  const tookMs = performance.now() - startedMs
  assert.ok(pairs.length >= FILES_MIN, `${pairs.length} icons`)
  const worst: { file: string; difference: number }[] = []
  await withChromium(async browser => {
    const page = await browser.newPage()
    for (let from = 0; from < pairs.length; from += BATCH) {
      const batch = pairs.slice(from, from + BATCH)
      const found = await differences(page, batch)
      for (const [i, { file }] of batch.entries()) worst.push({ file, difference: found[i] ?? Infinity })
    }
  })
  worst.sort((a, b) => b.difference - a.difference)
  const ratios = pairs.map(({ ratio }) => ratio).sort((a, b) => a - b)
  const [median = 1, most = 1] = [ratios[ratios.length >> 1], ratios.at(-1)]
  context.diagnostic(
    `${pairs.length} icons: median ratio ${median.toFixed(3)}, largest ${most.toFixed(3)}, ` +
      `largest difference ${worst[0]?.difference}, ${(tookMs / pairs.length).toFixed(1)} ms each`,
  )
  assert.deepEqual(
    worst.filter(({ difference }) => !(difference <= DIFFERENCE_MAX)),
    [],
  )
  assert.ok(most < 1, "none is larger")
  assert.ok(median <= MEDIAN_MAX, `the median of the ratios is ${median}`)
})
