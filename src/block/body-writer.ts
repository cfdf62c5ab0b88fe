/**
 * Body writer: a body, whole or as a stream, becomes blocks in slabs, hashed and coded as they fill.
 *
 * A body takes credit (a slab) for one whole block before it reads past its first bytes, and takes more slabs only
 * while the pool is mostly free. Without credit it stops reading, and its client's socket is paused. It never waits for
 * a slab while it holds one, so bodies cannot starve each other; among those that wait, the account with the fewest slabs
 * is next. A client that is too slow while others wait for a slab
 * loses the slab that it holds.
 *
 * The last segment of a sealed extent is marked, so a full block of it is sent once it is known whether more follows: at
 * once if the body's length is known, else when the next byte or the end arrives.
 */
import { fail } from "../base/failures.js"
import { concatBytes, copyPlainly } from "../base/bytes.js"
import { NO_PAYER } from "../base/places-core.js"
import { openedBytesOf } from "../base/segments.js"
import type { Extent } from "../format/extent.js"
import { storedBytesOf } from "../format/sealing.js"
import type { Clock } from "../seams/clock/contract.js"
import type { Compute, HashPipeline, Slab } from "../seams/compute/contract.js"
import type { BlockWriter, WrittenBlock } from "./block-writer.js"
import type { WriteRequest, WrittenBody } from "./contract.js"
import { describeBody } from "./describe-core.js"
import { BLOCK_LIMITS } from "./limits.js"
import { BackPressuredSource } from "./back-pressured-source.js"

/** Writes one body; see `Blocks.write`. */
export async function writeBody(
  clock: Clock,
  compute: Compute,
  writer: BlockWriter,
  request: WriteRequest,
  remove: (extent: Extent) => Promise<unknown>,
): Promise<WrittenBody> {
  const { source } = request
  const body = new OpenBody(compute, writer, request)
  try {
    if (source instanceof Uint8Array) await body.take(source)
    else await takeAll(body, new BackPressuredSource(source, clock, compute.slabs, request.payer ?? NO_PAYER))
    return await body.finish()
  } catch (error) {
    await body.abandon(remove)
    throw error
  }
}

async function takeAll(body: OpenBody, source: BackPressuredSource): Promise<void> {
  let endWatch: (() => void) | undefined
  try {
    for (let next = await source.next(); next.done !== true; next = await source.next()) {
      if (!body.fitsInline(next.value)) endWatch ??= source.watch(() => body.holdsSlab)
      await body.take(next.value)
    }
  } catch (error) {
    await source.close()
    throw error
  } finally {
    endWatch?.()
  }
}

class OpenBody {
  /** The pieces of a body that still fits inline. */
  private readonly held: Uint8Array[] = []
  private lengthBytes = 0
  private openHashPipeline: HashPipeline | undefined
  private slab: Slab | undefined
  /** Of the body, in slabs until now. */
  private takenBytes = 0
  private filled = 0
  private fed = 0
  private block = 0
  private inFlight: Promise<WrittenBlock>[] = []
  private readonly blocks: Promise<WrittenBlock>[] = []
  /** Bytes of the body in a full block. */
  private readonly blockBytes: number

  constructor(
    private readonly compute: Compute,
    private readonly writer: BlockWriter,
    private readonly request: WriteRequest,
  ) {
    const { blockBytes, seal } = request
    this.blockBytes = seal === undefined ? blockBytes : openedBytesOf(blockBytes)
  }

  get holdsSlab(): boolean {
    return this.slab !== undefined
  }

  private get pipeline(): HashPipeline {
    return (this.openHashPipeline ??= this.compute.openHashPipeline(this.request.plan))
  }

  /** Whether the body fits inline with this piece. */
  fitsInline(chunk: Uint8Array): boolean {
    return this.lengthBytes + chunk.length <= this.request.inlineBytesMax
  }

  /** Takes the next piece of the body. Throws `entityTooLarge`. */
  async take(chunk: Uint8Array): Promise<void> {
    const { lengthBytesMax } = this.request
    const fitsInline = this.fitsInline(chunk)
    this.lengthBytes += chunk.length
    if (this.lengthBytes > lengthBytesMax) throw fail("entityTooLarge", { lengthBytesMax })
    if (fitsInline) this.held.push(new Uint8Array(chunk))
    else {
      for (const piece of this.held.splice(0)) await this.add(piece)
      await this.add(chunk)
    }
  }

  private async add(chunk: Uint8Array): Promise<void> {
    let at = 0
    while (at < chunk.length) {
      if (this.slab !== undefined && this.filled === this.blockBytes) this.send(this.slab, false)
      const slab = (this.slab ??= await this.nextSlab())
      const length = Math.min(chunk.length - at, this.blockBytes - this.filled)
      copyPlainly(slab.bytes, chunk.subarray(at, at + length), this.filled)
      this.filled += length
      at += length
      if (this.filled - this.fed >= BLOCK_LIMITS.feedBytes) this.feed(slab)
      this.takenBytes += length
      if (this.filled === this.blockBytes && this.isMoreKnown) this.send(slab, false)
    }
  }

  private get isMoreKnown(): boolean {
    const { seal, statedBytes = 0 } = this.request
    return seal === undefined || this.takenBytes < statedBytes
  }

  private feed(slab: Slab): void {
    if (this.filled > this.fed) this.pipeline.feed(slab, this.fed, this.filled)
    this.fed = this.filled
  }

  private async nextSlab(): Promise<Slab> {
    const { signal, payer = NO_PAYER } = this.request
    signal?.throwIfAborted()
    if (this.inFlight.length >= BLOCK_LIMITS.bodyBlocksInFlightMax) await Promise.race(this.inFlight)
    const more = this.inFlight.length > 0 ? this.compute.slabs.tryMore(payer.payer) : undefined
    if (more) return more
    await Promise.all(this.inFlight)
    return this.compute.slabs.take(signal, payer.payer)
  }

  private send(slab: Slab, isLast: boolean): void {
    this.feed(slab)
    const { block } = this
    const seal = this.request.seal && { key: this.request.seal.key, block, isLast }
    const request = { ...this.request, seal, generation: 0, care: "asFits" } as const
    const written = this.writer.write(request, this.pipeline, slab, block, this.filled)
    this.blocks.push(written)
    this.inFlight.push(written)
    const done = () => void (this.inFlight = this.inFlight.filter(other => other !== written))
    written.then(done, () => undefined)
    this.slab = undefined
    this.filled = 0
    this.fed = 0
    this.block += 1
  }

  async finish(): Promise<WrittenBody> {
    const { compute, lengthBytes } = this
    const { inlineBytesMax, plan, seal, blockBytes, statedBytes = 0 } = this.request
    if (inlineBytesMax > 0 && lengthBytes <= inlineBytesMax) {
      const bytes = concatBytes(this.held)
      return { lengthBytes, digests: compute.hash(plan, bytes), content: { kind: "inline", bytes }, hints: [] }
    }
    // Its last block may have been sent without the mark.
    if (seal !== undefined && lengthBytes < statedBytes) throw fail("incompleteBody", { lengthBytes })
    try {
      if (this.slab) this.send(this.slab, true)
      // Requested early: the last bytes are hashed while the last blocks are written.
      const digests = this.pipeline.digests()
      const blocks: WrittenBlock[] = []
      for (const block of this.blocks) blocks.push(await block)
      const storedBytes = seal === undefined ? lengthBytes : storedBytesOf(lengthBytes, blockBytes)
      const { extent, hints } = describeBody(this.request, storedBytes, blocks)
      return { lengthBytes, digests: await digests, content: { kind: "extent", extent }, hints }
    } finally {
      this.pipeline.close()
    }
  }

  /** Ends all writes and removes the written blocks; the orphan resolver removes leftovers after the next start. */
  async abandon(remove: (extent: Extent) => Promise<unknown>): Promise<void> {
    this.openHashPipeline?.close()
    const outcomes = await Promise.allSettled(this.blocks)
    this.slab?.release()
    const blocks = outcomes.flatMap(outcome => (outcome.status === "fulfilled" ? [outcome.value] : []))
    if (outcomes.length > 0) await this.takeBack(outcomes.length, blocks, remove).catch(() => undefined)
  }

  private async takeBack(
    begun: number,
    blocks: readonly WrittenBlock[],
    remove: (extent: Extent) => Promise<unknown>,
  ): Promise<void> {
    await remove(describeBody(this.request, begun * this.request.blockBytes, blocks).extent)
  }
}
