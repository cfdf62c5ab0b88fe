/**
 * Cyclic redundancy checks that S3 clients send: CRC32, CRC32C and CRC64NVME (all reflected, all ones
 * before and after).
 *
 * Slicing by 8 (Kounavis, Berry 2005) in WebAssembly, about 2 to 3 GB/s, one small memory per kind. The
 * same kernel serves both widths: a CRC of 32 bits runs in the lower half of 64.
 */
import type { Code } from "./wasm.js"
import { get, i32, i64, instantiate, parseExport, seq, set, whileTrue } from "./wasm.js"

export type CrcKind = "CRC32" | "CRC32C" | "CRC64NVME"

const POLYNOMIALS: Readonly<Record<CrcKind, { readonly reflected: bigint; readonly bytes: number }>> = {
  CRC32: { reflected: 0xedb88320n, bytes: 4 },
  CRC32C: { reflected: 0x82f63b78n, bytes: 4 },
  CRC64NVME: { reflected: 0x9a6c9329ac4bc9b5n, bytes: 8 },
}
const SLICES = 8
const TABLE_BYTES = 256 * 8
const PIECE_AT = SLICES * TABLE_BYTES
const PIECE_BYTES = 32_768

type Kernel = (crc: bigint, from: number, to: number) => bigint

/** slices[s] of byte b: the CRC register after b and then s zero bytes. */
function fillTables(words: BigUint64Array, polynomial: bigint): void {
  for (let byte = 0; byte < 256; byte += 1) {
    let value = BigInt(byte)
    for (let bit = 0; bit < 8; bit += 1) value = (value & 1n) === 1n ? (value >> 1n) ^ polynomial : value >> 1n
    words[byte] = value
  }
  for (let i = 256; i < SLICES * 256; i += 1) {
    const before = words[i - 256] ?? 0n
    words[i] = (before >> 8n) ^ (words[Number(before & 0xffn)] ?? 0n)
  }
}

/** update(crc, from, to) → crc, over bytes of the kernel's own memory. */
function kernelOn(memory: WebAssembly.Memory): Kernel {
  const [crc, from, to, low, high] = [0, 1, 2, 3, 4]
  /** The table entry of byte `index` of a word, in the slice that has as many zero bytes still to come. */
  const entry = (word: number, index: number, slice: number): Code => {
    const shifted = index === 0 ? i32.shl(get(word), i32.of(3)) : i32.shr(get(word), i32.of(8 * index - 3))
    return i64.load(i32.and(shifted, i32.of(0xff * 8)), slice * TABLE_BYTES)
  }
  const eight = [
    ...[0, 1, 2, 3].map(index => entry(low, index, 7 - index)),
    ...[0, 1, 2, 3].map(index => entry(high, index, 3 - index)),
  ].reduce((a, b) => i64.xor(a, b))
  const one = i64.xor(i64.shr(get(crc), i64.of(8n)), entry(low, 0, 0))
  const hasBytes = (bytes: number): Code => i32.atMost(i32.add(get(from), i32.of(bytes)), get(to))
  const step = (bytes: number): Code => set(from, i32.add(get(from), i32.of(bytes)))
  const body = seq(
    whileTrue(
      hasBytes(8),
      seq(
        set(crc, i64.xor(get(crc), i64.load(get(from)))),
        set(low, i32.fromI64(get(crc))),
        set(high, i32.fromI64(i64.shr(get(crc), i64.of(32n)))),
        set(crc, eight),
        step(8),
      ),
    ),
    whileTrue(hasBytes(1), seq(set(low, i32.xor(i32.fromI64(get(crc)), i32.load8(get(from)))), set(crc, one), step(1))),
    get(crc),
  )
  const update = {
    exportAs: "update",
    params: ["i64", "i32", "i32"],
    result: "i64",
    locals: ["i32", "i32"],
    body,
  } as const
  return parseExport<Kernel>(instantiate({ functions: [update] }, memory), "update")
}

interface Machine {
  readonly piece: Uint8Array
  readonly update: Kernel
}
const machines = new Map<CrcKind, Machine>()

/** Built at first use: most stores never see all kinds. */
function machineOf(kind: CrcKind): Machine {
  const known = machines.get(kind)
  if (known !== undefined) return known
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1 })
  fillTables(new BigUint64Array(memory.buffer, 0, SLICES * 256), POLYNOMIALS[kind].reflected)
  const machine = { piece: new Uint8Array(memory.buffer, PIECE_AT, PIECE_BYTES), update: kernelOn(memory) }
  machines.set(kind, machine)
  return machine
}

/** A running CRC. */
export class Crc {
  private readonly machine: Machine
  private readonly ones: bigint
  private state: bigint

  constructor(private readonly kind: CrcKind) {
    this.machine = machineOf(kind)
    this.ones = (1n << BigInt(8 * POLYNOMIALS[kind].bytes)) - 1n
    this.state = this.ones
  }

  update(bytes: Uint8Array): void {
    const { piece, update } = this.machine
    for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
      const part = bytes.length - at > PIECE_BYTES ? bytes.subarray(at, at + PIECE_BYTES) : bytes.subarray(at)
      piece.set(part)
      this.state = update(this.state, PIECE_AT, PIECE_AT + part.length)
    }
  }

  /** The CRC of everything so far, big-endian: 4 or 8 bytes. */
  digest(): Uint8Array {
    const { bytes } = POLYNOMIALS[this.kind]
    const value = Buffer.alloc(8)
    value.writeBigUInt64BE(BigInt.asUintN(64, this.state) ^ this.ones)
    return value.subarray(8 - bytes)
  }
}
