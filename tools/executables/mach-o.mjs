/**
 * Signs a program for macOS without a name ("ad hoc"): hashes of its pages, as `codesign --sign -` writes them. A Mac with an
 * Apple processor runs no program without these. They prove nothing about who made it: checksums of a release do, and its signature.
 */
import { createHash } from "node:crypto"

const HEADER_BYTES = 32
const [SEGMENT, SIGNATURE] = [0x19, 0x1d]
const COMMAND_BYTES = 16
const HASH_BYTES = 32
const PAGE_BITS = 12
const PAGE_BYTES = 2 ** PAGE_BITS
const MEMORY_PAGE_BYTES = 2 ** 14
const DIRECTORY_BYTES = 88
const BLOB_BYTES = 20
/** Ad hoc, and made by a linker. */
const FLAGS = 0x20002
const MAIN_PROGRAM = 1

const alignedTo = (value, step) => Math.ceil(value / step) * step
const at = (bytes, offset) => Number(bytes.readBigUInt64LE(offset))

/** Finds the parts that a signature concerns. Throws if the file is no such program, or is signed. */
function partsOf(program) {
  const expect = (holds, what) => {
    if (!holds) throw new Error(`cannot sign this program for macOS: ${what}`)
  }
  expect(program.readUInt32LE(0) === 0xfeedfacf, "it is no Mach-O file of 64 bits")
  const [count, size] = [program.readUInt32LE(16), program.readUInt32LE(20)]
  const segments = new Map()
  let first = Infinity
  let offset = HEADER_BYTES
  for (let i = 0; i < count; i++) {
    const kind = program.readUInt32LE(offset)
    expect(kind !== SIGNATURE, "it has a signature")
    if (kind === SEGMENT) {
      segments.set(program.toString("latin1", offset + 8, offset + 24).replace(/\0+$/, ""), offset)
      const sections = program.readUInt32LE(offset + 64)
      for (let at = offset + 72, j = 0; j < sections; j++, at += 80) {
        const from = program.readUInt32LE(at + 48)
        if (from > 0) first = Math.min(first, from)
      }
    }
    offset += program.readUInt32LE(offset + 4)
  }
  const [text, link] = ["__TEXT", "__LINKEDIT"].map(name => segments.get(name))
  expect(text !== undefined && link !== undefined, "a segment is missing")
  expect(at(program, link + 40) + at(program, link + 48) === program.length, "its last segment does not end it")
  expect(HEADER_BYTES + size + COMMAND_BYTES <= first, "it has no space for one command more")
  return { count, size, text, link }
}

/** Returns the program with a signature of its pages. */
export function signed(program, identifier) {
  const { count, size, text, link } = partsOf(program)
  const codeBytes = alignedTo(program.length, 16)
  const name = Buffer.from(`${identifier}\0`)
  const pages = Math.ceil(codeBytes / PAGE_BYTES)
  const hashesAt = DIRECTORY_BYTES + name.length
  const directoryBytes = hashesAt + pages * HASH_BYTES
  const signatureBytes = BLOB_BYTES + directoryBytes
  const result = Buffer.alloc(codeBytes + alignedTo(signatureBytes, 16))
  program.copy(result)

  result.writeUInt32LE(count + 1, 16)
  result.writeUInt32LE(size + COMMAND_BYTES, 20)
  for (const [i, value] of [SIGNATURE, COMMAND_BYTES, codeBytes, result.length - codeBytes].entries())
    result.writeUInt32LE(value, HEADER_BYTES + size + i * 4)
  const linkBytes = result.length - at(program, link + 40)
  result.writeBigUInt64LE(BigInt(alignedTo(linkBytes, MEMORY_PAGE_BYTES)), link + 32)
  result.writeBigUInt64LE(BigInt(linkBytes), link + 48)

  const words = [
    [0xfade0cc0, signatureBytes, 1, 0, BLOB_BYTES],
    [0xfade0c02, directoryBytes, 0x20400, FLAGS, hashesAt, DIRECTORY_BYTES, 0, pages, codeBytes],
  ].flat()
  const start = codeBytes + words.length * 4
  for (const [i, word] of words.entries()) result.writeUInt32BE(word, codeBytes + i * 4)
  // Size of a hash, SHA-256, no platform, size of a page.
  for (const [i, value] of [HASH_BYTES, 2, 0, PAGE_BITS].entries()) result[start + i] = value
  const textValues = [at(program, text + 40), at(program, text + 48), MAIN_PROGRAM]
  for (const [i, value] of textValues.entries()) result.writeBigUInt64BE(BigInt(value), start + 28 + i * 8)
  const directory = codeBytes + BLOB_BYTES
  name.copy(result, directory + DIRECTORY_BYTES)
  for (let page = 0; page < pages; page++) {
    const from = page * PAGE_BYTES
    const code = result.subarray(from, Math.min(from + PAGE_BYTES, codeBytes))
    createHash("sha256")
      .update(code)
      .digest()
      .copy(result, directory + hashesAt + page * HASH_BYTES)
  }
  return result
}
