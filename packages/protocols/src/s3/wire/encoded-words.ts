/**
 * Header values beyond ASCII as RFC 2047 writes them: in encoded words of at most 75 characters, which every HTTP client passes
 * on. Values in ASCII stay as they are.
 *
 * Source  "Working with object metadata", Amazon S3 User Guide: values with other characters are "encoded as per RFC 2047 to
 *         make them mail-safe before returning".
 */
import { isUtf8 } from "node:buffer"

const WORD_CHARACTERS_MAX = 75
const FRAME_CHARACTERS = "=?UTF-8?Q??=".length
/** The limit counts bytes of UTF-8 in one word: base64 of them is a multiple of four characters. */
const BASE64_BYTES_MAX = Math.floor((WORD_CHARACTERS_MAX - FRAME_CHARACTERS) / 4) * 3
const QUOTED_CHARACTERS_MAX = WORD_CHARACTERS_MAX - FRAME_CHARACTERS

/** Characters that stand for themselves in a quoted word, wherever it is. */
const PLAIN = /[A-Za-z0-9!*+\-/]/

function quoted(character: string): string {
  if (character === " ") return "_"
  if (PLAIN.test(character)) return character
  return [...Buffer.from(character)].map(byte => `=${byte.toString(16).toUpperCase().padStart(2, "0")}`).join("")
}

/** Puts characters into groups whose sizes are at most `max`. */
function grouped(characters: readonly string[], sizeOf: (character: string) => number, max: number): string[] {
  const groups: string[] = []
  let size = Infinity
  for (const character of characters) {
    const added = sizeOf(character)
    const isFull = size + added > max
    groups.push(isFull ? character : `${groups.pop() ?? ""}${character}`)
    size = isFull ? added : size + added
  }
  return groups
}

/** The value, of one character a byte, as a header shows it. Bytes that are not UTF-8 are taken for Latin-1. */
export function encodedWords(value: string): string {
  if (!/[\x80-\xff]/.test(value)) return value
  const bytes = Buffer.from(value, "latin1")
  const characters = [...(isUtf8(bytes) ? bytes.toString() : value)]
  const ascii = characters.filter(character => character < "\x80").length
  if (2 * ascii > characters.length) {
    const words = grouped(characters, character => quoted(character).length, QUOTED_CHARACTERS_MAX)
    return words.map(word => `=?UTF-8?Q?${[...word].map(quoted).join("")}?=`).join(" ")
  }
  const words = grouped(characters, character => Buffer.byteLength(character), BASE64_BYTES_MAX)
  return words.map(word => `=?UTF-8?B?${Buffer.from(word).toString("base64")}?=`).join(" ")
}
