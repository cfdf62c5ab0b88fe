/**
 * The step that resizes images and changes their format, by the package sharp, which is optional and loaded only if it
 * is used.
 *
 * Promises  An image is turned upright as its metadata says, its colours become sRGB, and no metadata remains.
 *           It is never enlarged. A GIF or WebP image keeps its frames if the result is one too; other formats get the
 *           first. JPEG has no transparency: what is transparent becomes white.
 * Refuses   Anything but JPEG, PNG, WebP, GIF and AVIF; other loaders of the library are blocked. Broken images.
 * Limits    Pixels of all frames, before and after. Memory, by `image-memory-core.ts`, before any pixel is read. One thread of the library for each task; nothing is cached.
 *           The library's own limit of time ends loading and resizing, and not an encoder, so that large AVIF images are
 *           encoded faster, and less densely.
 */
import type { Metadata, Sharp, SharpOptions } from "sharp"
import { MIB } from "@hayloft/base/limits.js"
import type { ImageFormat, ImageStep } from "../contract.js"
import { TRANSFORM_LIMITS } from "../limits.js"
import { madePixels, nativeBytesOf, type ImageShape } from "./image-memory-core.js"
import { isPassing, messageOf, skip, type MadeBytes, type Skipped } from "./step-outcome.js"

/** Incremented with each change of what the step does. */
const STEP = 1

type ReadFormat = ImageFormat | "gif"
type Library = Awaited<ReturnType<typeof loadLibrary>>

const { nativeBytesMax, pixelsMax, taskMs } = TRANSFORM_LIMITS
/** Below the limit of the task, so that a large image is skipped rather than its process ended. */
const TIMEOUT_S = Math.floor((taskMs * 0.8) / 1000)
const WHITE = { r: 255, g: 255, b: 255, alpha: 1 }
const CLEAR = { r: 0, g: 0, b: 0, alpha: 0 }
const ANIMATED: ReadonlySet<ReadFormat> = new Set(["gif", "webp"])
const LOADERS = ["Jpeg", "Png", "Webp", "Nsgif", "Heif"].map(name => `VipsForeignLoad${name}`)

/** Pixels of an AVIF image that are encoded with at most this setting; a step takes about four seconds at most. */
const AVIF_SPEEDS = [
  { pixels: 500_000, setting: 4 },
  { pixels: 8_000_000, setting: 2 },
] as const

const SIGNATURES: readonly (readonly [ReadFormat, number, RegExp])[] = [
  ["jpeg", 0, /^\xff\xd8\xff/],
  ["png", 0, /^\x89PNG\r\n/],
  ["gif", 0, /^GIF8[79]a/],
  ["webp", 0, /^RIFF[^]{4}WEBP/],
  ["avif", 4, /^ftyp(avif|avis)|^ftypmif1[^]{4}([^]{4})*?avif/],
]
const SIGNATURE_BYTES = 64

let library: Promise<Library | undefined> | undefined

async function loadLibrary() {
  const { default: sharp } = await import("sharp")
  sharp.cache(false)
  sharp.concurrency(1)
  sharp.block({ operation: ["VipsForeignLoad"] })
  sharp.unblock({ operation: LOADERS })
  return sharp
}

/** Returns undefined if the library is not installed, or not for this machine. */
function installed(): Promise<Library | undefined> {
  library ??= loadLibrary().catch(() => undefined)
  return library
}

export async function imageVersion(): Promise<string | undefined> {
  const sharp = await installed()
  if (sharp === undefined) return undefined
  const { sharp: own, vips, aom, heif, mozjpeg, png, webp } = sharp.versions
  const parts = { sharp: own, vips, aom, heif, mozjpeg, png, webp }
  const names = Object.entries(parts).map(([name, version]) => `${name} ${version ?? "of the system"}`)
  return [...names, `step ${STEP}`].join(", ")
}

export async function imageStep(step: ImageStep, { bytes }: MadeBytes): Promise<MadeBytes | Skipped> {
  const sharp = await installed()
  if (sharp === undefined) return skip("the package sharp is not installed")
  const read = formatOf(bytes)
  if (read === undefined) return skip("not a JPEG, PNG, WebP, GIF or AVIF image")
  const format = step.format ?? read
  const options = optionsOf(read, format)
  try {
    const shape = shapeOf(await sharp(bytes, options).metadata(), read)
    const pixels = Math.max(shape.width * shape.height, madePixels(step, shape))
    if (pixels > pixelsMax) return skip(`more than ${pixelsMax} pixels`)
    const neededBytes = nativeBytesOf(step, shape, format)
    if (neededBytes > nativeBytesMax)
      return skip(`it would take ${Math.ceil(neededBytes / MIB)} MiB of memory, more than ${nativeBytesMax / MIB}`)
    const image = resized(sharp(bytes, options).timeout({ seconds: TIMEOUT_S }).autoOrient(), step, format)
    const made = await encoded(image, step, format, pixels).toBuffer()
    return { kind: "made", bytes: made, type: `image/${format}` }
  } catch (error) {
    if (isPassing(error)) throw error
    return skip(`the image cannot be read: ${messageOf(error)}`)
  }
}

function formatOf(bytes: Uint8Array): ReadFormat | undefined {
  const start = Buffer.from(bytes.subarray(0, SIGNATURE_BYTES)).toString("latin1")
  return SIGNATURES.find(([, at, signature]) => signature.test(start.slice(at)))?.[0]
}

/** From here on, metadata turns an image upright by its sides. */
const TURNED_FROM = 5

/** Frames are one below the other. */
function shapeOf(metadata: Metadata, format: ReadFormat): ImageShape {
  const { width, height, pages: frames = 1, depth, orientation = 1 } = metadata
  const isTurned = orientation >= TURNED_FROM
  return {
    format,
    frames,
    hasAlpha: metadata.hasAlpha,
    isDeep: depth !== "uchar",
    ...(isTurned ? { width: height, height: width } : { width, height }),
  }
}

/** The memory that the step takes, at most. Images that it skips take none. */
export async function imageBytes(step: ImageStep, bytes: Uint8Array): Promise<number> {
  const sharp = await installed()
  const read = formatOf(bytes)
  if (sharp === undefined || read === undefined) return 0
  try {
    const format = step.format ?? read
    const metadata = await sharp(bytes, optionsOf(read, format)).metadata()
    return nativeBytesOf(step, shapeOf(metadata, read), format)
  } catch (error) {
    if (isPassing(error)) throw error
    return 0
  }
}

const optionsOf = (read: ReadFormat, format: ReadFormat): SharpOptions => ({
  failOn: "error",
  limitInputPixels: pixelsMax,
  animated: ANIMATED.has(read) && ANIMATED.has(format),
})

function resized(image: Sharp, { width, height, fit }: ImageStep, format: ReadFormat): Sharp {
  const size = { ...(width !== undefined && { width }), ...(height !== undefined && { height }) }
  const background = format === "jpeg" ? WHITE : CLEAR
  return width === undefined && height === undefined
    ? image
    : image.resize({ ...size, fit, background, withoutEnlargement: true })
}

function encoded(image: Sharp, { width, height, quality }: ImageStep, format: ReadFormat, pixels: number): Sharp {
  const asked = quality === undefined ? {} : { quality }
  switch (format) {
    case "jpeg":
      return image.flatten({ background: WHITE }).jpeg(asked)
    case "webp":
      return image.webp(asked)
    case "avif": {
      const made = Math.min(pixels, (width ?? Infinity) * (height ?? Infinity))
      const { setting } = AVIF_SPEEDS.find(speed => made <= speed.pixels) ?? { setting: 0 }
      return image.avif({ ...asked, ["effort"]: setting })
    }
    // These two lose nothing, whatever the quality.
    case "png":
      return image.png()
    case "gif":
      return image.gif()
  }
}
