/** Golden bytes of formats, for tests: what a record was once written as, it is written as for ever. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { bytesOfHex, hexOf } from "@hayloft/base/bytes.js"
import { isFailure } from "@hayloft/base/failures.js"

/** So many bytes, which count up. */
export const filled = (length: number, from: number) => Uint8Array.from({ length }, (_, i) => (from + i) & 0xff)

interface Sample {
  readonly name: string
  readonly value: unknown
  readonly bytes: Uint8Array
  readonly decode: (bytes: Uint8Array) => unknown
}

export const sample = <T>(
  name: string,
  value: T,
  encode: (value: T) => Uint8Array,
  decode: (bytes: Uint8Array) => T,
): Sample => {
  return { name, value, bytes: encode(value), decode }
}

/** Buffers and plain arrays of bytes compare as equal. */
export function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return hexOf(value)
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value !== "object" || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, field]) => field !== undefined)
      .map(([name, field]) => [name, plain(field)]),
  )
}

function goldensOf(text: string): ReadonlyMap<string, string> {
  return new Map(
    text
      .trim()
      .split("\n")
      .map(line => [line.slice(0, line.lastIndexOf(" ")), line.slice(line.lastIndexOf(" ") + 1)]),
  )
}

/** Checks each sample against its golden bytes in the file's text, both ways, and against hostile bytes. */
export function testGoldens(samples: readonly Sample[], file: string): void {
  const goldens = goldensOf(file)
  for (const { name, value, bytes, decode } of samples) {
    test(`${name}: version 1 is what it always was, byte for byte, both ways`, () => {
      const golden = goldens.get(name)
      assert.equal(hexOf(bytes), golden, `${name} ${hexOf(bytes)}`)
      assert.deepEqual(plain(decode(must(bytesOfHex(golden ?? ""), "golden bytes are hex"))), plain(value))
    })

    test(`${name}: every prefix is refused`, () => {
      for (let length = 0; length < bytes.length; length += 1) {
        assert.throws(
          () => decode(bytes.subarray(0, length)),
          error => isFailure(error),
          `${length} bytes`,
        )
      }
    })

    test(`${name}: a flipped bit gives a refusal or a value, nothing else`, () => {
      for (let bit = 0; bit < 8 * bytes.length; bit += 1) {
        const flipped = Uint8Array.from(bytes)
        flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
        try {
          decode(flipped)
        } catch (error) {
          assert.ok(isFailure(error), `bit ${bit}: ${String(error)}`)
        }
      }
    })
  }
}
