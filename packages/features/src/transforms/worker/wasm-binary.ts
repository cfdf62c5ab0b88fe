/**
 * The binary form of a WebAssembly module that is a step: what it must and must not contain, and its memory's limit.
 *
 * A step exports
 *
 *   memory                       its memory
 *   allocate(i32) -> i32         an address for that many bytes
 *   transform(i32, i32, i32, i32) -> i64
 *                                address and length of the input, and of the parameters. The result: its address in the
 *                                upper half, its length in the lower one; -1: the input is not one that it knows
 *
 * Refuses  Imports: a step reaches nothing but its own memory. A start function: nothing of a module runs before a task.
 *          More than one memory, one that is shared, or has addresses of 64 bits or pages of another size.
 * Source: WebAssembly core specification 2.0, chapter 5.5.
 */
import { fail, isFailure } from "@hayloft/base/failures.js"
import { MIB } from "@hayloft/base/limits.js"
import { TRANSFORM_LIMITS } from "../limits.js"
import { messageOf, skip } from "./step-outcome.js"

const PAGE_BYTES = 65_536
const PAGES_MAX = (TRANSFORM_LIMITS.moduleMemoryMib * MIB) / PAGE_BYTES

const HEADER = [0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0]
const SECTIONS = { types: 1, imports: 2, functions: 3, memories: 5, exports: 7, start: 8 } as const
const KINDS = { function: 0, memory: 2 } as const
const FUNCTION_TYPE = 0x60
const [I32, I64] = [0x7f, 0x7e]
const SIGNATURES = { allocate: [[I32], [I32]], transform: [[I32, I32, I32, I32], [I64]] } as const

const HAS_MAXIMUM = 1
/** Other bits of a memory's flags, by their meaning. */
const REFUSED_FLAGS = [
  [2, "a shared memory"],
  [4, "a memory with addresses of 64 bits"],
  [8, "a memory with pages of another size"],
] as const

interface Section {
  readonly id: number
  /** From its identifier to its end. */
  readonly whole: Uint8Array
  readonly content: Reader
}

const refuse = (message: string): Error => fail("invalidArgument", { message })

class Reader {
  private at = 0

  constructor(readonly bytes: Uint8Array) {}

  get isAtEnd(): boolean {
    return this.at >= this.bytes.length
  }

  byte(): number {
    const byte = this.bytes[this.at]
    if (byte === undefined) throw refuse("it is cut off")
    this.at += 1
    return byte
  }

  /** LEB128 of at most 32 bits. */
  number(): number {
    let value = 0
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.byte()
      value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) return value
    }
    throw refuse("a number in it is too long")
  }

  take(length: number): Uint8Array {
    if (length > this.bytes.length - this.at) throw refuse("it is cut off")
    this.at += length
    return this.bytes.subarray(this.at - length, this.at)
  }

  text(): string {
    return new TextDecoder().decode(this.take(this.number()))
  }

  list<T>(item: () => T): T[] {
    const items: T[] = []
    for (let left = this.number(); left > 0; left -= 1) items.push(item())
    return items
  }

  section(): Section {
    const from = this.at
    const id = this.byte()
    const content = new Reader(this.take(this.number()))
    return { id, whole: this.bytes.subarray(from, this.at), content }
  }
}

function sectionsOf(code: Uint8Array): readonly Section[] {
  if (!HEADER.every((byte, i) => code[i] === byte)) throw refuse("it is not a WebAssembly module")
  const reader = new Reader(code.subarray(HEADER.length))
  const sections: Section[] = []
  while (!reader.isAtEnd) sections.push(reader.section())
  return sections
}

/** Throws for imports and a start function. */
function refuseContacts(sections: readonly Section[]): void {
  for (const { id, content } of sections) {
    if (id === SECTIONS.start) throw refuse("it has a start function")
    if (id === SECTIONS.imports && content.number() > 0)
      throw refuse(`it imports ${content.text()}.${content.text()}, and a step imports nothing`)
  }
}

/** Throws unless everything of `SIGNATURES` is exported. */
function checkExports(sections: readonly Section[]): void {
  const contentOf = (id: number): Reader => sections.find(section => section.id === id)?.content ?? new Reader(NONE)
  const [typeList, functionList, exportList] = [SECTIONS.types, SECTIONS.functions, SECTIONS.exports].map(contentOf)
  const types = typeList?.list(() => functionType(typeList)) ?? []
  const functions = functionList?.list(() => functionList.number()) ?? []
  const exported =
    exportList?.list(() => ({ name: exportList.text(), kind: exportList.byte(), index: exportList.number() })) ?? []
  if (!exported.some(({ name, kind }) => name === "memory" && kind === KINDS.memory))
    throw refuse("it does not export memory")
  for (const [wanted, signature] of Object.entries(SIGNATURES)) {
    const found = exported.find(({ name, kind }) => name === wanted && kind === KINDS.function)
    if (found === undefined) throw refuse(`it does not export the function ${wanted}`)
    const type = types[functions[found.index] ?? -1]
    if (JSON.stringify(type) !== JSON.stringify(signature))
      throw refuse(`the function ${wanted} has other parameters or results`)
  }
}

/** No items. */
const NONE = Uint8Array.of(0)

function functionType(reader: Reader): readonly (readonly number[])[] {
  if (reader.byte() !== FUNCTION_TYPE) throw refuse("it has types other than those of functions")
  return [reader.list(() => reader.byte()), reader.list(() => reader.byte())]
}

/** The section of the memory, with a maximum that is not above that of steps. */
function limitedMemory(content: Reader): readonly number[] {
  const count = content.number()
  if (count !== 1) throw refuse(`it has ${count} memories`)
  const flags = content.byte()
  for (const [flag, name] of REFUSED_FLAGS) if ((flags & flag) !== 0) throw refuse(`it has ${name}`)
  const least = content.number()
  const most = (flags & HAS_MAXIMUM) === 0 ? PAGES_MAX : content.number()
  if (least > PAGES_MAX) throw refuse(`it needs more than ${TRANSFORM_LIMITS.moduleMemoryMib} MiB of memory`)
  const memory = [1, HAS_MAXIMUM, ...unsigned(least), ...unsigned(Math.min(most, PAGES_MAX))]
  return [SECTIONS.memories, ...unsigned(memory.length), ...memory]
}

function unsigned(value: number): readonly number[] {
  return value < 0x80 ? [value] : [(value % 0x80) | 0x80, ...unsigned(Math.floor(value / 0x80))]
}

/** The module with a limited memory. Throws `invalidArgument` if it cannot be a step. */
export function limitedModule(code: Uint8Array): Uint8Array {
  if (code.length > TRANSFORM_LIMITS.moduleBytesMax)
    throw refuse(`it has more than ${TRANSFORM_LIMITS.moduleBytesMax / MIB} MiB`)
  const sections = sectionsOf(code)
  refuseContacts(sections)
  if (sections.filter(({ id }) => id === SECTIONS.memories).length !== 1) throw refuse("it has no memory of its own")
  checkExports(sections)
  const parts = sections.map(({ id, whole, content }) =>
    id === SECTIONS.memories ? Uint8Array.from(limitedMemory(content)) : whole,
  )
  return Buffer.concat([Uint8Array.from(HEADER), ...parts])
}

/** Returns the fault of a module, or undefined if it can be a step. Compiles the module without running it. */
export function moduleFault(code: Uint8Array): string | undefined {
  try {
    // The constructor checks all of it.
    void new WebAssembly.Module(limitedModule(code))
    return undefined
  } catch (error) {
    return skip(isFailure(error) ? error.message : `it does not compile: ${messageOf(error)}`).reason
  }
}
