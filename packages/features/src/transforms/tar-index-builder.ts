/**
 * Makes the index of a tar archive: reads its headers and jumps over what lies between them.
 *
 * Reads     in windows: 64 KiB after a jump, and twice as much each time that the next header is near, up to 1 MiB. A
 *           member that ends within a window costs no read of its own.
 * Refuses   `invalidRequest` for what is no plain tar archive, or a broken one, or beyond `TRANSFORM_LIMITS`.
 * Limits    One window, an extended header of up to 1 MiB, and the members in memory (`tar-members-core.ts`).
 */
import { fail } from "@hayloft/base/failures.js"
import { KIB, MIB } from "@hayloft/base/limits.js"
import type { ByteRange } from "@hayloft/objects/contract.js"
import { TRANSFORM_LIMITS } from "./limits.js"
import { TarScanner } from "./tar-core.js"
import { TarMembers, type MemberLimits } from "./tar-members-core.js"

const WINDOW_BYTES_MIN = 64 * KIB
const WINDOW_BYTES_MAX = MIB
/** The next header is near if it is at most this part of a window behind it. */
const NEAR = 1 / 4

/** Yields the bytes of a range of the archive; each piece is used before the next one is requested. */
export type ReadRange = (range: ByteRange) => AsyncIterable<Uint8Array>

/** `pause` resolves in a later turn of the event loop: it is called between steps that take some milliseconds. */
export async function buildTarIndex(
  read: ReadRange,
  sizeBytes: number,
  signal: AbortSignal,
  pause: () => Promise<void>,
  limits: MemberLimits = TRANSFORM_LIMITS,
): Promise<Uint8Array> {
  const scanner = new TarScanner(sizeBytes)
  const window = new ArchiveWindow(read, sizeBytes, signal)
  const members = new TarMembers(limits)
  for (let needed = scanner.needed; needed !== undefined; needed = scanner.needed) {
    if (!window.has(needed)) await window.moveTo(needed)
    const member = scanner.take(window.bytesOf(needed))
    if (member !== undefined) members.add(member)
  }
  for (const _ of members.sorting()) await pauseUnlessAborted(signal, pause)
  const writing = members.written(sizeBytes)
  for (;;) {
    const step = writing.next()
    if (step.done === true) return step.value
    await pauseUnlessAborted(signal, pause)
  }
}

async function pauseUnlessAborted(signal: AbortSignal, pause: () => Promise<void>): Promise<void> {
  signal.throwIfAborted()
  await pause()
}

/** The part of the archive that is in memory. */
class ArchiveWindow {
  /** Used again for window after window. */
  private memory = Buffer.alloc(0)
  private bytes = this.memory
  private first = 0
  private windowBytes = WINDOW_BYTES_MIN / 2

  constructor(
    private readonly read: ReadRange,
    private readonly sizeBytes: number,
    private readonly signal: AbortSignal,
  ) {}

  private get end(): number {
    return this.first + this.bytes.length
  }

  has({ first, lengthBytes }: ByteRange): boolean {
    return first >= this.first && first + lengthBytes <= this.end
  }

  bytesOf({ first, lengthBytes }: ByteRange): Buffer {
    return this.bytes.subarray(first - this.first, first - this.first + lengthBytes)
  }

  /** Reads the window that begins with a range. */
  async moveTo({ first, lengthBytes }: ByteRange): Promise<void> {
    this.signal.throwIfAborted()
    const isNear = first - this.end <= this.windowBytes * NEAR
    this.windowBytes = isNear ? Math.min(2 * this.windowBytes, WINDOW_BYTES_MAX) : WINDOW_BYTES_MIN
    const wantedBytes = Math.min(Math.max(this.windowBytes, lengthBytes), this.sizeBytes - first)
    if (this.memory.length < wantedBytes) this.memory = Buffer.allocUnsafe(wantedBytes)
    const bytes = this.memory.subarray(0, wantedBytes)
    let at = 0
    for await (const piece of this.read({ first, lengthBytes: wantedBytes })) {
      if (piece.length > wantedBytes - at) throw differs(first, wantedBytes)
      bytes.set(piece, at)
      at += piece.length
    }
    if (at < wantedBytes) throw differs(first, wantedBytes)
    this.bytes = bytes
    this.first = first
  }
}

const differs = (first: number, wantedBytes: number) =>
  fail("internal", { message: "a read of an archive gave other bytes than were asked for", first, wantedBytes })
