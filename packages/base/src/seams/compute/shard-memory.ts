/**
 * Shard memory: reusable buffers for whole shards, in which compute can work in place.
 * New buffers of a megabyte each would keep the garbage collector as busy as the disks.
 *
 * Promises  The returned buffer nearest to the start of the memory is lent first: its pages are resident and in the
 *           cache. Memory that was never lent is never touched, so it costs nothing. A buffer that an abandoned call
 *           still reads into is lent again only after that call has ended.
 * Limits    The region's bytes. Beyond them, and for short shards, buffers are newly allocated;
 *           callers limit their bytes.
 */
import { must } from "../../assert.js"
import { KIB } from "../../limits.js"
import { whenFree } from "../../memory/memory-in-use.js"
import type { ShardMemory } from "./contract.js"

/** Runs of units are lent, so that shards of all lengths share the region. */
const UNIT_BYTES = 64 * KIB
/** Shorter ones are cheap to allocate, and to copy. */
const LENT_BYTES_MIN = 32 * KIB

export class ShardRegion implements ShardMemory {
  private readonly isLent: boolean[]
  /** By address of a lent buffer: its first unit and the number of units. */
  private readonly runs = new Map<number, { readonly first: number; readonly units: number }>()

  constructor(
    private readonly memory: WebAssembly.Memory,
    private readonly regionAt: number,
    regionBytes: number,
  ) {
    this.isLent = new Array<boolean>(Math.floor(regionBytes / UNIT_BYTES)).fill(false)
  }

  take(lengthBytes: number): Uint8Array {
    const units = Math.ceil(lengthBytes / UNIT_BYTES)
    const first = lengthBytes < LENT_BYTES_MIN ? undefined : this.findFree(units)
    if (first === undefined) return Buffer.allocUnsafeSlow(lengthBytes)
    this.isLent.fill(true, first, first + units)
    const end = this.regionAt + (first + units) * UNIT_BYTES
    // A shard is the end of the bytes that are read, so it begins on a multiple of its alignment.
    const at = end - lengthBytes
    this.runs.set(at, { first, units })
    return new Uint8Array(this.memory.buffer, at, lengthBytes)
  }

  give(bytes: Uint8Array): void {
    if (bytes.buffer === this.memory.buffer) whenFree(bytes, () => this.free(bytes.byteOffset))
  }

  private free(byteOffset: number): void {
    const { first, units } = must(this.runs.get(byteOffset), "a returned buffer was lent")
    this.runs.delete(byteOffset)
    this.isLent.fill(false, first, first + units)
  }

  /** The first free run of `units` units. */
  private findFree(units: number): number | undefined {
    for (let first = this.isLent.indexOf(false); first >= 0;) {
      const lent = this.isLent.indexOf(true, first)
      const end = lent < 0 ? this.isLent.length : lent
      if (end - first >= units) return first
      first = lent < 0 ? -1 : this.isLent.indexOf(false, lent)
    }
    return undefined
  }
}
