/**
 * MD5 of the bodies of one thread, hashed as a batch if several of them have bytes waiting.
 *
 * A body's bytes stay in place until every other body has some too; then one kernel hashes all of them, each in
 * a separate lane. Four bodies take a third of the time that they would take in sequence. A single body
 * does not wait. A body stops waiting for the others once its digest is requested, once WAITING_BYTES_MAX of it wait,
 * and after `flush`.
 *
 * Promises  Reads the bytes of a body until `whenConsumed` or `digest` calls back, and not after that.
 * Limits    About WAITING_BYTES_MAX wait for each body.
 */
import { assert, must } from "../assert.js"
import { KIB, MIB } from "../limits.js"
import type { Md5State } from "./md5-lanes.js"
import { MD5_BLOCK_BYTES, MD5_LANES_MAX, Md5Kernel, md5Start } from "./md5-lanes.js"

/** Two blocks of the usual size: a body with more waiting is hashed with those that are ready. */
const WAITING_BYTES_MAX = 8 * MIB
/** Hashed of each body before the batch is chosen again. */
const TURN_BLOCKS = (256 * KIB) / MD5_BLOCK_BYTES

type OnDigest = (digest: Uint8Array | undefined) => void

interface Range {
  at: number
  lengthBytes: number
  /** Called once the bytes are consumed. A range that has one does not grow any more. */
  onConsumed: (() => void) | undefined
}

/** One body in the batch. */
export class Md5Body {
  readonly state: Md5State = md5Start()
  waitingBytes = 0
  lengthBytes = 0
  /** Set once the digest is requested. */
  onDigest: OnDigest | undefined
  private readonly ranges: Range[] = []
  /** The beginning of a block whose end is in another range. */
  private begun: Uint8Array | undefined
  private begunBytes = 0

  constructor(
    private readonly memory: Uint8Array,
    private readonly kernel: Md5Kernel,
  ) {}

  /** Address of the next bytes. */
  get at(): number {
    return must(this.ranges[0], "there are bytes").at
  }

  /** Full blocks at that address. */
  get blocks(): number {
    return this.begunBytes > 0 ? 0 : Math.floor((this.ranges[0]?.lengthBytes ?? 0) / MD5_BLOCK_BYTES)
  }

  /** Copies the bytes after the last full block, for a body without full blocks. */
  copyRest(into: Uint8Array, at: number): void {
    const [rest] = this.ranges
    const { begun, begunBytes } = this
    assert(this.ranges.length <= 1 && begunBytes + this.waitingBytes < MD5_BLOCK_BYTES, "all full blocks are consumed")
    for (let i = 0; i < begunBytes; i += 1) into[at + i] = begun?.[i] ?? 0
    if (rest === undefined) return
    for (let i = 0; i < rest.lengthBytes; i += 1) into[at + begunBytes + i] = this.memory[rest.at + i] ?? 0
  }

  add(at: number, lengthBytes: number): void {
    if (lengthBytes === 0) return
    const last = this.ranges.at(-1)
    if (last !== undefined && mayGrow(last) && last.at + last.lengthBytes === at) last.lengthBytes += lengthBytes
    else this.ranges.push({ at, lengthBytes, onConsumed: undefined })
    this.waitingBytes += lengthBytes
    this.lengthBytes += lengthBytes
    this.straighten()
  }

  whenConsumed(then: () => void): void {
    const last = this.ranges.at(-1)
    if (last === undefined) return then()
    const before = last.onConsumed
    last.onConsumed = before === undefined ? then : () => (before(), then())
    this.straighten()
  }

  /** Marks this many of `blocks` as included in the state. */
  consume(blocks: number): void {
    this.take(blocks * MD5_BLOCK_BYTES)
    this.straighten()
  }

  /** Drops the bytes, which are not needed any more. */
  giveUp(): void {
    while (this.ranges.length > 0) this.take(this.ranges[0]?.lengthBytes ?? 0)
  }

  /** Copies the ends of ranges until a full block is first, or less than a block in a range that may grow. */
  private straighten(): void {
    for (let [first] = this.ranges; first !== undefined; [first] = this.ranges) {
      const isLast = this.ranges.length === 1 && mayGrow(first)
      if (this.begunBytes === 0 && (first.lengthBytes >= MD5_BLOCK_BYTES || isLast)) return
      const block = this.begin(Math.min(first.lengthBytes, MD5_BLOCK_BYTES - this.begunBytes))
      if (this.begunBytes < MD5_BLOCK_BYTES) continue
      this.kernel.hashBlock(this.state, block)
      this.begunBytes = 0
    }
  }

  private begin(lengthBytes: number): Uint8Array {
    this.begun ??= new Uint8Array(MD5_BLOCK_BYTES)
    this.begun.set(this.memory.subarray(this.at, this.at + lengthBytes), this.begunBytes)
    this.begunBytes += lengthBytes
    this.take(lengthBytes)
    return this.begun
  }

  private take(lengthBytes: number): void {
    const first = must(this.ranges[0], "there are bytes")
    first.at += lengthBytes
    first.lengthBytes -= lengthBytes
    this.waitingBytes -= lengthBytes
    assert(first.lengthBytes >= 0, "no more is consumed than was added")
    if (first.lengthBytes > 0) return
    this.ranges.shift()
    first.onConsumed?.()
  }
}

export class Md5Batch {
  /** No set: filling and emptying one for each batch costs more than the hashes of small bodies. */
  private bodies: Md5Body[] = []
  private readonly memory: Uint8Array
  private readonly kernel: Md5Kernel
  private isFlushing = false

  /** `scratchAt`: address of MD5_SCRATCH_BYTES that belong to this batch alone. */
  constructor(memory: WebAssembly.Memory, scratchAt: number) {
    this.memory = new Uint8Array(memory.buffer)
    this.kernel = new Md5Kernel(memory, scratchAt)
  }

  join(): Md5Body {
    const body = new Md5Body(this.memory, this.kernel)
    this.bodies.push(body)
    return body
  }

  /** `work` calls `then` with the digest of the body's bytes, and removes the body; `leave` calls it without one. */
  digest(body: Md5Body, then: OnDigest): void {
    body.onDigest = then
  }

  /** Removes the body. Safe also after `digest`. */
  leave(body: Md5Body): void {
    this.bodies = this.bodies.filter(other => other !== body)
    body.giveUp()
    body.onDigest?.(undefined)
    body.onDigest = undefined
  }

  /** All bytes that are waiting now are hashed without waiting for other bodies. */
  flush(): void {
    this.isFlushing = true
  }

  /**
   * Hashes some of the batch, in less than a millisecond for each body.
   * @returns false if nothing can be hashed yet. Before the next call the caller adds bytes that have arrived.
   */
  work(): boolean {
    const ready: Md5Body[] = []
    const ended: Md5Body[] = []
    for (const body of this.bodies) {
      if (body.blocks > 0) ready.push(body)
      else if (body.onDigest !== undefined && ended.length < MD5_LANES_MAX) ended.push(body)
    }
    if (ended.length > 0) {
      this.end(ended)
      return true
    }
    if (ready.length === 0) this.isFlushing = false
    if (!this.isWorthwhile(ready)) return false
    const batch = mostUrgent(ready)
    let blocks = TURN_BLOCKS
    for (const body of batch) blocks = Math.min(blocks, body.blocks)
    this.kernel.hash(batch, blocks)
    for (const body of batch) body.consume(blocks)
    return true
  }

  private end(bodies: readonly Md5Body[]): void {
    const digests = this.kernel.digests(bodies)
    this.bodies = bodies.length === this.bodies.length ? [] : this.bodies.filter(body => !bodies.includes(body))
    let i = 0
    for (const body of bodies) {
      const then = must(body.onDigest, "its digest is requested")
      body.onDigest = undefined
      body.giveUp()
      then(digests[i])
      i += 1
    }
  }

  private isWorthwhile(ready: readonly Md5Body[]): boolean {
    if (ready.length === 0) return false
    const isFull = ready.length >= Math.min(this.bodies.length, MD5_LANES_MAX)
    return isFull || this.isFlushing || ready.some(isUrgent)
  }
}

const mayGrow = (range: Range): boolean => range.onConsumed === undefined

const isUrgent = ({ waitingBytes, onDigest }: Md5Body): boolean =>
  onDigest !== undefined || waitingBytes >= WAITING_BYTES_MAX

/** Picks a body for each lane: first bodies whose digest is requested, then those with most bytes. */
function mostUrgent(ready: Md5Body[]): Md5Body[] {
  if (ready.length <= MD5_LANES_MAX) return ready
  const urgency = (body: Md5Body): number => (body.onDigest === undefined ? body.waitingBytes : Infinity)
  return ready.sort((a, b) => (urgency(a) < urgency(b) ? 1 : -1)).slice(0, MD5_LANES_MAX)
}
