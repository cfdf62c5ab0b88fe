/** Byte functions that need no Node: hex, concatenation, comparison, byte strings. */
const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"))

export function hexOf(bytes: Uint8Array): string {
  let text = ""
  for (const byte of bytes) text += HEX[byte]
  return text
}

/** The value of each character code below 128 as a hex digit; 255 if it is not one. */
const DIGITS = new Uint8Array(128).fill(0xff)
for (let value = 0; value < 16; value += 1) {
  const digit = value.toString(16)
  DIGITS[digit.charCodeAt(0)] = value
  DIGITS[digit.toUpperCase().charCodeAt(0)] = value
}

/** The bytes of a hex text; undefined if it is not an even number of hex digits. */
export function bytesOfHex(text: string): Uint8Array | undefined {
  if (text.length % 2 !== 0) return undefined
  const bytes = new Uint8Array(text.length / 2)
  for (let i = 0; i < bytes.length; i += 1) {
    const high = DIGITS[text.charCodeAt(2 * i)] ?? 0xff
    const low = DIGITS[text.charCodeAt(2 * i + 1)] ?? 0xff
    if ((high | low) > 0x0f) return undefined
    bytes[i] = (high << 4) | low
  }
  return bytes
}

/**
 * The bytes of a text in base64url without padding; undefined if it is not the one text of its bytes. Node's decoder
 * skips unknown characters and ignores the spare bits of the last one: several texts would stand for the same bytes.
 */
export function bytesOfBase64Url(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, "base64url")
  return bytes.toString("base64url") === text ? bytes : undefined
}

export function concatBytes(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

/**
 * Copies into or out of memory that threads share. V8 copies such memory word by word, seven times slower
 * if the two addresses are not aligned alike; filling a range with as many bytes is one plain copy.
 */
export function copyPlainly(target: Uint8Array, bytes: Uint8Array, at: number): void {
  if (bytes.length === 0) return
  Buffer.from(target.buffer, target.byteOffset, target.length).fill(bytes, at, at + bytes.length)
}

export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && Buffer.compare(a, b) === 0
}

/**
 * The smallest byte string above every one that begins with `prefix`; undefined if there is none
 * (an empty prefix, or one of 0xFF only).
 */
export function afterPrefix(prefix: string): string | undefined {
  for (let i = prefix.length - 1; i >= 0; i -= 1) {
    const byte = prefix.charCodeAt(i)
    if (byte < 0xff) return prefix.slice(0, i) + String.fromCharCode(byte + 1)
  }
  return undefined
}

/** The byte string of bytes: one character a byte. */
export const byteStringOfBytes = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1")

/** The order of the code units of texts, and so that of the bytes of byte strings. */
export const compareTexts = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
