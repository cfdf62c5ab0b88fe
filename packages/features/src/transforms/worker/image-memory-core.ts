/**
 * How much memory the image library takes at most for one image, outside of the JavaScript heap: known from the header of the
 * image, before its pixels are read.
 *
 * Promises  More than any image was measured to take (`tests/transforms/memory.test.ts` measures some again): the input whole, with
 *           all its channels and bits, as decoders of most formats and the turning upright hold it, and what an encoder holds for each
 *           pixel of the result.
 */
import { MIB } from "@hayloft/base/limits.js"
import type { ImageFormat, ImageStep } from "../contract.js"

export interface ImageShape {
  readonly format: ImageFormat | "gif"
  /** Turned upright. */
  readonly width: number
  /** The height of all frames, one below the other. */
  readonly height: number
  readonly frames: number
  readonly hasAlpha: boolean
  /** More than 8 bits for each channel. */
  readonly isDeep: boolean
}

/** The library itself, its threads, and buffers that do not depend on the image. */
const FIXED_BYTES = 32 * MIB
/** The bytes that a decoder holds for each pixel besides the pixel. */
const DECODER_BYTES: Readonly<Record<ImageShape["format"], number>> = { jpeg: 6, png: 0, webp: 4, gif: 8, avif: 9 }
/** The bytes that an encoder holds for each pixel of the result, with the encoded bytes. */
const ENCODER_BYTES: Readonly<Record<ImageShape["format"], number>> = { jpeg: 10, png: 8, webp: 36, gif: 14, avif: 36 }
/** An encoder that makes a second image of the transparency. */
const AVIF_ALPHA_BYTES = 18

/** The pixels of the result, of all frames: never fewer than it has. */
export function madePixels(step: ImageStep, image: Pick<ImageShape, "width" | "height" | "frames">): number {
  const { fit } = step
  const { frames } = image
  const own = { width: image.width, height: image.height / frames }
  const asked = { width: step.width ?? own.width, height: step.height ?? own.height }
  // Only borders make an image larger.
  if (fit === "contain") return asked.width * asked.height * frames
  const width = Math.min(own.width, asked.width)
  const height = Math.min(own.height, asked.height)
  if (step.width === undefined) return Math.ceil((own.width * height) / own.height) * height * frames
  if (step.height === undefined) return width * Math.ceil((own.height * width) / own.width) * frames
  return width * height * frames
}

export function nativeBytesOf(step: ImageStep, image: ImageShape, made: ImageShape["format"]): number {
  const { format, width, height, hasAlpha, isDeep } = image
  const pixelBytes = (hasAlpha ? 4 : 3) * (isDeep ? 2 : 1)
  const depth = made === "png" && isDeep ? 2 : 1
  const encoder = ENCODER_BYTES[made] * depth + (made === "avif" && hasAlpha ? AVIF_ALPHA_BYTES : 0)
  return FIXED_BYTES + width * height * (pixelBytes + DECODER_BYTES[format]) + madePixels(step, image) * encoder
}
