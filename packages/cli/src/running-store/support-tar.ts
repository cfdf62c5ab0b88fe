/**
 * A tar archive of a few short files, in the format that every tar reads (POSIX.1-1988 "ustar", POSIX.1-2017 pax,
 * section "ustar Interchange Format"). Pure.
 */
import { assert } from "@hayloft/base/assert.js"
import { concatBytes } from "@hayloft/base/bytes.js"

interface TarFile {
  /** ASCII, at most 100 characters. */
  readonly name: string
  readonly bytes: Uint8Array
}

const BLOCK_BYTES = 512
const NAME_BYTES = 100
const CHECKSUM_AT = 148
const CHECKSUM_BYTES = 8

export function tarOf(files: readonly TarFile[], modifiedMs: number): Uint8Array {
  const blocks = files.flatMap(({ name, bytes }) => [
    headerOf(name, bytes.length, modifiedMs),
    bytes,
    new Uint8Array((BLOCK_BYTES - (bytes.length % BLOCK_BYTES)) % BLOCK_BYTES),
  ])
  return concatBytes([...blocks, new Uint8Array(2 * BLOCK_BYTES)])
}

/** Numbers are octal digits that end with a zero byte. */
const octal = (value: number, widthBytes: number): string => `${value.toString(8).padStart(widthBytes - 1, "0")}\0`

function headerOf(name: string, lengthBytes: number, modifiedMs: number): Uint8Array {
  assert(/^[\x21-\x7e]+$/.test(name) && name.length <= NAME_BYTES, "the name fits into a header")
  const [mode, owner] = [octal(0o600, 8), octal(0, 8)]
  const size = octal(lengthBytes, 12)
  const modified = octal(Math.floor(modifiedMs / 1000), 12)
  // The sum counts its own field as blanks.
  const before = `${name.padEnd(NAME_BYTES, "\0")}${mode}${owner}${owner}${size}${modified}`
  const after = `0${"\0".repeat(NAME_BYTES)}ustar\x0000`
  const text = `${before}${" ".repeat(CHECKSUM_BYTES)}${after}`
  const header = new Uint8Array(BLOCK_BYTES)
  header.set(Buffer.from(text, "latin1"))
  const sum = header.reduce((total, byte) => total + byte, 0)
  header.set(Buffer.from(`${octal(sum, 7)} `, "latin1"), CHECKSUM_AT)
  return header
}
