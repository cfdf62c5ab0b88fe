/**
 * The checksums that clients sent with an object, which MinIO keeps in its metadata. Pure.
 *
 * Each is a number of bits for its kind, the checksum, and of an upload in parts their count and perhaps their own checksums.
 * That of parts is a checksum of checksums, unless a bit says that it is of all bytes, as a CRC-64 always is.
 */
import { createHash } from "node:crypto"
import { concatBytes, equalBytes } from "@hayloft/base/bytes.js"
import { Crc, type CrcKind } from "@hayloft/base/simd/crc.js"
import { damaged } from "./failure.js"

interface StoredChecksum {
  readonly kind: Kind
  readonly digest: Uint8Array
  /** A checksum of those of the parts. */
  readonly isOfParts: boolean
}

const KINDS = [
  { name: "SHA256", bit: 1 << 1, bytes: 32 },
  { name: "SHA1", bit: 1 << 2, bytes: 20 },
  { name: "CRC32", bit: 1 << 3, bytes: 4 },
  { name: "CRC32C", bit: 1 << 4, bytes: 4 },
  { name: "CRC64NVME", bit: 1 << 8, bytes: 8 },
] as const
type Kind = (typeof KINDS)[number]["name"]
const [IN_PARTS, WITH_PARTS, OF_ALL_BYTES] = [1 << 6, 1 << 7, 1 << 9]

/** Throws `damaged`. */
export function parseChecksums(bytes: Uint8Array): readonly StoredChecksum[] {
  const found: StoredChecksum[] = []
  let at = 0
  const take = (lengthBytes: number): Uint8Array => {
    if (lengthBytes > bytes.length - at) throw damaged("a stored checksum ends early")
    at += lengthBytes
    return bytes.subarray(at - lengthBytes, at)
  }
  const number = (): number => {
    let value = 0
    for (let scale = 1; scale < 2 ** 35; scale *= 128) {
      const [byte = 0] = take(1)
      value += (byte & 0x7f) * scale
      if (byte < 0x80) return value
    }
    throw damaged("a stored checksum has no kind")
  }
  while (at < bytes.length) {
    const bits = number()
    const kind = KINDS.find(({ bit }) => (bits & bit) !== 0)
    if (kind === undefined) throw damaged("a stored checksum is of an unknown kind")
    const digest = take(kind.bytes)
    if ((bits & IN_PARTS) !== 0) {
      const parts = number()
      if ((bits & WITH_PARTS) !== 0) take(parts * kind.bytes)
    }
    const isOfAll = (bits & OF_ALL_BYTES) !== 0 || kind.name === "CRC64NVME"
    found.push({ kind: kind.name, digest, isOfParts: (bits & IN_PARTS) !== 0 && !isOfAll })
  }
  return found
}

interface Running {
  update(bytes: Uint8Array): unknown
  digest(): Uint8Array
}

const isCrc = (kind: Kind): kind is CrcKind & Kind => kind.startsWith("CRC")
const runningOf = (kind: Kind): Running => (isCrc(kind) ? new Crc(kind) : createHash(kind))

/** Compares the bytes of an object, part by part, with its stored checksums. */
export class ChecksumCheck {
  readonly #checks: readonly { readonly stored: StoredChecksum; readonly parts: Uint8Array[]; running: Running }[]

  constructor(checksums: readonly StoredChecksum[]) {
    this.#checks = checksums.map(stored => ({ stored, parts: [], running: runningOf(stored.kind) }))
  }

  update(bytes: Uint8Array): void {
    for (const { running } of this.#checks) running.update(bytes)
  }

  endPart(): void {
    for (const check of this.#checks) {
      if (!check.stored.isOfParts) continue
      check.parts.push(check.running.digest())
      check.running = runningOf(check.stored.kind)
    }
  }

  /** Throws `damaged`. */
  end(): void {
    for (const { stored, parts, running } of this.#checks) {
      if (stored.isOfParts) running.update(concatBytes(parts))
      if (!equalBytes(running.digest(), stored.digest)) throw damaged(`its bytes are not those of its ${stored.kind}`)
    }
  }
}
