/**
 * The slab pool: one fixed WebAssembly memory, cut into equal slabs. It limits all body bytes
 * in flight.
 *
 * Promises  Among those that wait, the account or address with the fewest slabs is next, so that one with hundreds of
 *           bodies does not hold up another with few; within it, first come, first served. A slab is granted again only after its owner released it
 *           and no thread writes to it any more. Memory that was never granted is never touched,
 *           so it costs nothing.
 * Limits    The pool's bytes, of which a part is for parties that hold little. The server's limit on bodies also limits
 *           the waiters.
 */
import { assert, must } from "../../assert.js"
import { roundUp } from "../../text/round.js"
import { fail } from "../../failures.js"
import { NO_PAYER, Places, type Party } from "../../places-core.js"
import { MD5_SCRATCH_BYTES } from "../../simd/md5-lanes.js"
import { WASM_PAGE_BYTES } from "../../simd/wasm.js"
import { CODER_SCRATCH_BYTES } from "./coder.js"
import type { Slab, SlabPool } from "./contract.js"

/** Slabs begin on page boundaries, for the disks that write from them. */
const SLAB_ALIGN_BYTES = 4096

/** A thread's own area of the memory: its coder's tables, then those of its MD5. */
const SCRATCH_BYTES = CODER_SCRATCH_BYTES + MD5_SCRATCH_BYTES
export const scratchOf = (worker: number): { readonly coderAt: number; readonly md5At: number } => ({
  coderAt: worker * SCRATCH_BYTES,
  md5At: worker * SCRATCH_BYTES + CODER_SCRATCH_BYTES,
})

/** The addresses of one memory: scratch areas first, slabs after them, shards last. */
export interface SlabMemory {
  readonly memory: WebAssembly.Memory
  readonly slabsAt: number
  readonly slabBytes: number
  readonly slabsTotal: number
  readonly shardsAt: number
}

interface SlabMemoryPlan {
  /** The smallest size of a slab, see `slabBytesOf`. */
  readonly slabBytes: number
  /** The limit for all slabs together. */
  readonly poolBytes: number
  /** See `ShardMemory`. */
  readonly shardMemoryBytes?: number
  /** Threads that work in the memory, the calling one included: each has a scratch area, see `scratchOf`. */
  readonly workers: number
  readonly shared: boolean
}

/** Throws `invalidConfig` if the pool is too small for a single slab. */
export function allocateSlabs(plan: SlabMemoryPlan): SlabMemory {
  const slabBytes = roundUp(plan.slabBytes, SLAB_ALIGN_BYTES)
  const slabsTotal = Math.floor(plan.poolBytes / slabBytes)
  if (slabsTotal < 1) {
    throw fail("invalidConfig", {
      message: "the memory for blocks does not hold one block",
      slabBytes,
      poolBytes: plan.poolBytes,
    })
  }
  const slabsAt = roundUp(plan.workers * SCRATCH_BYTES, SLAB_ALIGN_BYTES)
  const shardsAt = slabsAt + slabsTotal * slabBytes
  const pages = Math.ceil((shardsAt + (plan.shardMemoryBytes ?? 0)) / WASM_PAGE_BYTES)
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: plan.shared })
  return { memory, slabsAt, slabBytes, slabsTotal, shardsAt }
}

/** One of so many slabs is for accounts and addresses that hold fewer than the second number. */
const RESERVE_OF = 8
const RESERVE_OF_EACH = 2

interface Waiter {
  readonly party: Party
  readonly grant: (slab: GrantedSlab) => void
  readonly refuse: (reason: unknown) => void
}

/** A slab in use: by its owner until `release`, and by a thread until it drops it. */
export class GrantedSlab implements Slab {
  private users = 1
  private released = false

  constructor(
    readonly bytes: Uint8Array,
    private readonly giveBack: () => void,
  ) {}

  /** Ends the owner's use. A second call does nothing. */
  release(): void {
    if (this.released) return
    this.released = true
    this.drop()
  }

  /** Prevents the slab from being granted again while a thread works on it, even if its owner releases it. */
  hold(): void {
    assert(this.users > 0, "a returned slab is not used")
    this.users += 1
  }

  drop(): void {
    this.users -= 1
    assert(this.users >= 0, "a slab is dropped once for each hold")
    if (this.users === 0) this.giveBack()
  }
}

export class Slabs implements SlabPool {
  readonly slabBytes: number
  readonly slabsTotal: number
  private readonly free: Uint8Array[] = []
  /** A place is a slab. */
  private readonly places: Places<Waiter>
  private closed = false

  /** `onWait` is called when a body starts to wait for a slab. */
  constructor(
    { memory, slabsAt, slabBytes, slabsTotal }: SlabMemory,
    private readonly onWait: () => void = () => undefined,
  ) {
    this.slabBytes = slabBytes
    this.slabsTotal = slabsTotal
    const inFlightReserve = Math.floor(slabsTotal / RESERVE_OF)
    const inFlightMax = slabsTotal - inFlightReserve
    this.places = new Places({ inFlightMax, inFlightReserve, reserveOfEach: RESERVE_OF_EACH, waitingMax: Infinity })
    // The slab returned last is granted first: its pages are resident and in the cache.
    for (let i = slabsTotal - 1; i >= 0; i -= 1) {
      this.free.push(new Uint8Array(memory.buffer, slabsAt + i * slabBytes, slabBytes))
    }
  }

  get slabsFree(): number {
    return this.free.length
  }

  get waiting(): number {
    return this.places.queued
  }

  async take(signal?: AbortSignal, party = NO_PAYER.payer): Promise<GrantedSlab> {
    signal?.throwIfAborted()
    if (this.closed) throw fail("stopping")
    return this.places.enter(party) ? this.grant(party) : await this.wait(signal, party)
  }

  tryMore(party = NO_PAYER.payer): GrantedSlab | undefined {
    const plenty = 2 * this.free.length > this.slabsTotal && !this.closed
    return plenty && this.places.enter(party) ? this.grant(party) : undefined
  }

  /** Rejects present and future waiters. Slabs in use stay valid. */
  close(): void {
    this.closed = true
    for (const waiter of this.places.queue) {
      this.places.drop(waiter)
      waiter.refuse(fail("stopping"))
    }
  }

  private wait(signal: AbortSignal | undefined, party: Party): Promise<GrantedSlab> {
    return new Promise<GrantedSlab>((resolve, reject) => {
      const abort = (): void => {
        this.places.drop(waiter)
        reject(signal?.reason)
      }
      const waiter: Waiter = {
        party,
        grant: slab => {
          signal?.removeEventListener("abort", abort)
          resolve(slab)
        },
        refuse: reason => {
          signal?.removeEventListener("abort", abort)
          reject(reason)
        },
      }
      this.places.wait(waiter, party)
      signal?.addEventListener("abort", abort, { once: true })
      this.onWait()
    })
  }

  /** A place was taken: a slab is free. */
  private grant(party: Party): GrantedSlab {
    const bytes = must(this.free.pop(), "there is a slab for each place")
    return new GrantedSlab(bytes, () => {
      this.free.push(bytes)
      this.places.leave(party)
      const next = this.places.admit()
      next?.grant(this.grant(next.party))
    })
  }
}
