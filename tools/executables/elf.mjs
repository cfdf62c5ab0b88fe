/**
 * Puts data into an ELF program for Linux, 64 bits, little-endian: as a note, in a segment of its own, where Node looks for the
 * application of an executable.
 *
 * The table of segments needs one entry more. It grows over the path of the dynamic linker, which moves into the place of the
 * notes of the compiler, that nothing reads of a program; so no other byte moves. Tables for debuggers, which lie behind
 * the last segment, are left out: a seventh of the file.
 */
const HEADER_BYTES = 64
const ENTRY_BYTES = 56
const [LOAD, INTERPRETER, NOTE, TABLE] = [1, 3, 4, 6]
/** The greatest size of a page of the processors. */
const PAGE_BYTES = 2 ** 16
const READABLE = 4

const at = (bytes, offset) => Number(bytes.readBigUInt64LE(offset))
const alignedTo = (value, step) => Math.ceil(value / step) * step

function entryOf(bytes, offset) {
  const [type, flags] = [bytes.readUInt32LE(offset), bytes.readUInt32LE(offset + 4)]
  const [from, address, , fileBytes, memoryBytes, align] = [8, 16, 24, 32, 40, 48].map(more => at(bytes, offset + more))
  return { type, flags, from, address, fileBytes, memoryBytes, align }
}

function writeEntry(bytes, offset, { type, flags, from, address, fileBytes, memoryBytes, align }) {
  bytes.writeUInt32LE(type, offset)
  bytes.writeUInt32LE(flags, offset + 4)
  const values = [from, address, address, fileBytes, memoryBytes, align]
  for (const [i, value] of values.entries()) bytes.writeBigUInt64LE(BigInt(value), offset + 8 + i * 8)
}

/** A note as `dl_iterate_phdr` finds it. */
function noteOf(name, data) {
  const named = Buffer.from(`${name}\0`)
  const header = Buffer.alloc(12 + alignedTo(named.length, 4))
  header.writeUInt32LE(named.length, 0)
  header.writeUInt32LE(data.length, 4)
  named.copy(header, 12)
  return Buffer.concat([header, data, Buffer.alloc(alignedTo(data.length, 4) - data.length)])
}

/** Returns the program with the data as a note of this name. Throws if its layout is another one than that of Node's programs. */
export function withNote(program, name, data) {
  const head = Buffer.from(program.subarray(0, 4096))
  const expect = (holds, what) => {
    if (!holds) throw new Error(`cannot put data into this program for Linux: ${what}`)
  }
  expect(head.toString("latin1", 0, 6) === "\x7fELF\x02\x01", "it is no ELF file of 64 bits, little-endian")
  const [count, tableAt] = [head.readUInt16LE(56), at(head, 32)]
  const entries = Array.from({ length: count }, (_, i) => entryOf(head, tableAt + i * ENTRY_BYTES))
  const loads = entries.filter(({ type }) => type === LOAD)
  const notes = entries.filter(({ type }) => type === NOTE)
  const [linker, table] = [INTERPRETER, TABLE].map(wanted => entries.find(({ type }) => type === wanted))
  expect(tableAt === HEADER_BYTES && head.readUInt16LE(54) === ENTRY_BYTES, "its table of segments is elsewhere")
  expect(loads.length > 0 && notes.length === 1 && linker && table, "it has other kinds of segments")
  const [note, tableEnd] = [notes[0], tableAt + count * ENTRY_BYTES]
  const noteEnd = note.from + note.fileBytes
  const between = note.from - (linker.from + linker.fileBytes)
  expect(linker.from === tableEnd && between >= 0 && between < 16, "its notes are elsewhere")
  expect(tableEnd + ENTRY_BYTES + linker.fileBytes <= noteEnd, "its table of segments cannot grow")

  const moved = Math.floor((tableEnd + ENTRY_BYTES + 3) / 4) * 4
  expect(moved + linker.fileBytes <= noteEnd, "the path of the dynamic linker does not fit")
  const linkerPath = Buffer.from(head.subarray(linker.from, linker.from + linker.fileBytes))
  const fileEnd = Math.max(...loads.map(({ from, fileBytes }) => from + fileBytes))
  const memoryEnd = Math.max(...loads.map(({ address, memoryBytes }) => address + memoryBytes))
  const text = noteOf(name, data)
  const from = alignedTo(fileEnd, PAGE_BYTES)
  const place = { from, address: alignedTo(memoryEnd, PAGE_BYTES), fileBytes: text.length, memoryBytes: text.length }
  const added = { ...place, type: LOAD, flags: READABLE, align: PAGE_BYTES }
  const shift = linker.address - linker.from
  const changed = entries.flatMap(entry => {
    if (entry === note) return [{ ...place, type: NOTE, flags: READABLE, align: 4 }]
    if (entry === linker) return [{ ...entry, from: moved, address: moved + shift }]
    if (entry === table)
      return [{ ...entry, fileBytes: entry.fileBytes + ENTRY_BYTES, memoryBytes: entry.memoryBytes + ENTRY_BYTES }]
    return entry === loads.at(-1) ? [entry, added] : [entry]
  })
  for (const [i, entry] of changed.entries()) writeEntry(head, tableAt + i * ENTRY_BYTES, entry)
  head.fill(0, tableEnd + ENTRY_BYTES, noteEnd)
  linkerPath.copy(head, moved)
  head.writeUInt16LE(changed.length, 56)
  // No table of sections.
  head.writeBigUInt64LE(0n, 40)
  for (const offset of [58, 60, 62]) head.writeUInt16LE(0, offset)
  return Buffer.concat([
    head.subarray(0, fileEnd),
    program.subarray(head.length, fileEnd),
    Buffer.alloc(from - fileEnd),
    text,
  ])
}
