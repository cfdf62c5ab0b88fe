/**
 * MD5 of the bodies of one thread, hashed together where several have bytes waiting.
 *
 * A body's bytes stay where they are until every other body has some too; then all are hashed at once
 * in the lanes of one kernel, which takes four bodies a third of the time of one after the other. A
 * body without others waits for nobody, and nobody waits for company that does not come: digests that
 * are asked for, much that waits, and memory that gets scarce (`hurry`) end it.
 *
 * Promises  Bytes that were fed are read until `whenEaten` or `digest` says that they are not any more.
 * Limits    About WAITING_BYTES_MAX wait for each body.
 */
import { assert, must } from "../base/assert.js"
import { KIB, MIB } from "../base/limits.js"
import type { Md5State } from "./md5-lanes.js"
import { MD5_BLOCK_BYTES, MD5_LANES_MAX, Md5Kernel, md5Start } from "./md5-lanes.js"

/** Two blocks of the usual size: a body with more waiting is hashed with whoever is there. */
const WAITING_BYTES_MAX = 8 * MIB
/** What is hashed of each body before company is looked for again. */
const TURN_BLOCKS = (256 * KIB) / MD5_BLOCK_BYTES

interface Range {
  at: number
  lengthBytes: number
  /** Called once the bytes are not needed any more. Nothing is added to a range that has one. */
  readonly eaten: (() => void)[]
}

/** One body on its way through the company. */
export class Md5Body {
  readonly state: Md5State = md5Start()
  waitingBytes = 0
  /** Set once the digest is wanted. */
  onDigest: ((digest: Uint8Array | undefined) => void) | undefined
  private readonly ranges: Range[] = []
  /** The beginning of a block whose end lies elsewhere. */
  private readonly begun = new Uint8Array(MD5_BLOCK_BYTES)
  private begunBytes = 0
  private lengthBytes = 0

  constructor(
    private readonly memory: WebAssembly.Memory,
    private readonly kernel: Md5Kernel,
  ) {}

  /** Where the next bytes lie. */
  get at(): number {
    return must(this.ranges[0], "there are bytes").at
  }

  /** Full blocks that lie there in one piece. */
  get blocks(): number {
    return this.begunBytes > 0 ? 0 : Math.floor((this.ranges[0]?.lengthBytes ?? 0) / MD5_BLOCK_BYTES)
  }

  add(at: number, lengthBytes: number): void {
    if (lengthBytes === 0) return
    const last = this.ranges.at(-1)
    if (last?.eaten.length === 0 && last.at + last.lengthBytes === at) last.lengthBytes += lengthBytes
    else this.ranges.push({ at, lengthBytes, eaten: [] })
    this.waitingBytes += lengthBytes
    this.lengthBytes += lengthBytes
    this.straighten()
  }

  whenEaten(then: () => void): void {
    const last = this.ranges.at(-1)
    if (last === undefined) then()
    else last.eaten.push(then)
    this.straighten()
  }

  /** The state has taken so many of `blocks`. */
  eat(blocks: number): void {
    this.take(blocks * MD5_BLOCK_BYTES)
    this.straighten()
  }

  /** Needs all full blocks eaten. */
  digest(): Uint8Array {
    const [rest] = this.ranges
    if (rest !== undefined) this.begin(rest.lengthBytes)
    assert(this.waitingBytes === 0, "all full blocks are eaten")
    return this.kernel.digest(this.state, this.begun.subarray(0, this.begunBytes), this.lengthBytes)
  }

  /** The bytes are not needed any more. */
  giveUp(): void {
    while (this.ranges.length > 0) this.take(this.ranges[0]?.lengthBytes ?? 0)
  }

  /** Copies what lies in pieces, until a full block is first, or too little that may be continued in place. */
  private straighten(): void {
    for (let [first] = this.ranges; first !== undefined; [first] = this.ranges) {
      const mayGrow = this.ranges.length === 1 && first.eaten.length === 0
      if (this.begunBytes === 0 && (first.lengthBytes >= MD5_BLOCK_BYTES || mayGrow)) return
      this.begin(Math.min(first.lengthBytes, MD5_BLOCK_BYTES - this.begunBytes))
      if (this.begunBytes < MD5_BLOCK_BYTES) continue
      this.kernel.eatBlock(this.state, this.begun)
      this.begunBytes = 0
    }
  }

  private begin(lengthBytes: number): void {
    this.begun.set(new Uint8Array(this.memory.buffer, this.at, lengthBytes), this.begunBytes)
    this.begunBytes += lengthBytes
    this.take(lengthBytes)
  }

  private take(lengthBytes: number): void {
    const first = must(this.ranges[0], "there are bytes")
    first.at += lengthBytes
    first.lengthBytes -= lengthBytes
    this.waitingBytes -= lengthBytes
    assert(first.lengthBytes >= 0, "no more is eaten than is there")
    if (first.lengthBytes > 0) return
    this.ranges.shift()
    for (const then of first.eaten) then()
  }
}

export class Md5Company {
  private readonly bodies = new Set<Md5Body>()
  private readonly kernel: Md5Kernel
  private hurries = false

  /** `scratchAt`: address of MD5_SCRATCH_BYTES that belong to this company alone. */
  constructor(
    private readonly memory: WebAssembly.Memory,
    scratchAt: number,
  ) {
    this.kernel = new Md5Kernel(memory, scratchAt)
  }

  join(): Md5Body {
    const body = new Md5Body(this.memory, this.kernel)
    this.bodies.add(body)
    return body
  }

  /** `then` is called with the digest of all that was fed to the body, which leaves; with nothing where it leaves before. */
  digest(body: Md5Body, then: (digest: Uint8Array | undefined) => void): void {
    body.onDigest = then
    if (body.blocks === 0) this.end(body)
  }

  /** The body leaves. Safe also after `digest`. */
  leave(body: Md5Body): void {
    this.bodies.delete(body)
    body.giveUp()
    body.onDigest?.(undefined)
    body.onDigest = undefined
  }

  /** What waits now waits for nobody. */
  hurry(): void {
    this.hurries = true
  }

  /**
   * Hashes some of what has company, in less than a millisecond for each body; false where there is nothing to
   * hash yet. Whoever drives it feeds first what has arrived meanwhile.
   */
  work(): boolean {
    const ready = this.ready()
    if (ready.length === 0) this.hurries = false
    if (!this.isWorthwhile(ready)) return false
    const blocks = Math.min(TURN_BLOCKS, ...ready.map(body => body.blocks))
    this.kernel.eat(ready, blocks)
    for (const body of ready) {
      body.eat(blocks)
      if (body.onDigest !== undefined && body.blocks === 0) this.end(body)
    }
    return true
  }

  private end(body: Md5Body): void {
    const then = must(body.onDigest, "its digest is wanted")
    body.onDigest = undefined
    this.bodies.delete(body)
    then(body.digest())
  }

  /** Whoever has a full block waiting; of more than there are lanes those that are awaited, then those with most. */
  private ready(): Md5Body[] {
    const ready = [...this.bodies].filter(body => body.blocks > 0)
    if (ready.length <= MD5_LANES_MAX) return ready
    const urgency = (body: Md5Body): number => (body.onDigest === undefined ? body.waitingBytes : Infinity)
    return ready.sort((a, b) => (urgency(a) < urgency(b) ? 1 : -1)).slice(0, MD5_LANES_MAX)
  }

  private isWorthwhile(ready: readonly Md5Body[]): boolean {
    if (ready.length === 0) return false
    const full = ready.length >= Math.min(this.bodies.size, MD5_LANES_MAX)
    return full || this.hurries || ready.some(isUrgent)
  }
}

const isUrgent = ({ waitingBytes, onDigest }: Md5Body): boolean =>
  onDigest !== undefined || waitingBytes >= WAITING_BYTES_MAX
