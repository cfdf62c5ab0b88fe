/**
 * Body writer: a body, whole or as a stream, becomes blocks in slabs, hashed and coded as they fill.
 *
 * A body takes credit (a slab) for one whole block before it reads past its first bytes, and takes more slabs only
 * while the pool is mostly free. Without credit it stops reading, and its client's socket is paused. It never waits for
 * a slab while it holds one, so bodies cannot starve each other; among those that wait, the account with the fewest slabs
 * is next. A client that is too slow while others wait for a slab
 * loses the slab that it holds.
 *
 * If some blocks may be known, it is decided for one block after the other whether it is written. Those that are written
 * are runs of neighbours, each an upload of its own whose blocks are numbered from 0.
 *
 * The last segment of a sealed extent is marked, so a full block of it is sent once it is known whether more follows: at
 * once if the body's length is known, else when the next byte or the end arrives.
 */
import { fail } from "@hayloft/base/failures.js"
import { concatBytes, copyPlainly } from "@hayloft/base/bytes.js"
import { NO_PAYER } from "@hayloft/base/places-core.js"
import { openedBytesOf } from "@hayloft/base/encryption/segments.js"
import type { UploadId } from "@hayloft/base/ids.js"
import type { Extent } from "../format/needles/extent.js"
import { storedBytesOf } from "../format/needles/sealing.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Compute, HashPipeline, SealedBlock, Slab } from "@hayloft/base/seams/compute/contract.js"
import type { BlockWriter, WrittenBlock } from "./block-writer.js"
import type { KnownBlocks, WriteRequest, WrittenBody, WrittenRun } from "./contract.js"
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

/** Neighbouring blocks that are written under one upload. */
interface OpenRun {
  readonly uploadId: UploadId
  readonly firstBlock: number
  /** The number of runs that have begun. */
  blocks: number
  lengthBytes: number
  readonly written: Promise<WrittenBlock>[]
}

class OpenBody {
  /** The pieces of a body that still fits inline. */
  private readonly held: Uint8Array[] = []
  private lengthBytes = 0
  private openHashPipeline: HashPipeline | undefined
  private slab: Slab | undefined
  /** The bytes of the body in slabs until now. */
  private takenBytes = 0
  private filled = 0
  private fed = 0
  private block = 0
  private inFlight: Promise<unknown>[] = []
  private readonly sent: Promise<unknown>[] = []
  private readonly runs: OpenRun[] = []
  /** The run that the next block belongs to if it is written. */
  private run: OpenRun | undefined
  /** Resolves once the writer has decided for all blocks sent whether to write them. */
  private decided: Promise<unknown> = Promise.resolve()
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

  /** Returns true if the body fits inline with this piece. */
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
    const { known } = this.request
    const sent =
      known === undefined ? this.write(slab, this.filled, seal) : this.writeUnlessKnown(known, slab, block, this.filled)
    this.sent.push(sent)
    this.inFlight.push(sent)
    const done = () => void (this.inFlight = this.inFlight.filter(other => other !== sent))
    sent.then(done, () => undefined)
    this.slab = undefined
    this.filled = 0
    this.fed = 0
    this.block += 1
  }

  /** Takes over the slab, once the blocks before it are decided. */
  private async writeUnlessKnown(known: KnownBlocks, slab: Slab, block: number, lengthBytes: number): Promise<void> {
    const identifies = block < known.blocksMax
    const identified = identifies ? this.pipeline.identify(slab, lengthBytes, known.key) : undefined
    identified?.catch(() => undefined)
    const written = this.decided.then(async (): Promise<{ readonly write: Promise<unknown> | undefined }> => {
      const digest = await identified
      const isKnown = digest !== undefined && (await known.isKnown(digest, block, lengthBytes))
      if (isKnown) this.run = undefined
      else this.run ??= this.beginRun(block)
      return { write: isKnown ? undefined : this.write(slab, lengthBytes) }
    })
    this.decided = written
    const { write } = await written.catch((error: unknown) => {
      slab.release()
      throw error
    })
    if (write === undefined) slab.release()
    else await write
  }

  private beginRun(firstBlock: number): OpenRun {
    const { uploadId, known } = this.request
    const isFirst = this.runs.length === 0
    const run: OpenRun = {
      uploadId: isFirst || known === undefined ? uploadId : known.nextUpload(),
      firstBlock,
      blocks: 0,
      lengthBytes: 0,
      written: [],
    }
    this.runs.push(run)
    return run
  }

  /** Takes over the slab, with the next block of the run. */
  private write(slab: Slab, lengthBytes: number, seal?: SealedBlock): Promise<WrittenBlock> {
    const run = (this.run ??= this.beginRun(0))
    const request = { ...this.request, uploadId: run.uploadId, seal, generation: 0, care: "asFits" } as const
    const written = this.writer.write(request, this.pipeline, slab, run.blocks, lengthBytes)
    run.blocks += 1
    run.lengthBytes += lengthBytes
    run.written.push(written)
    return written
  }

  async finish(): Promise<WrittenBody> {
    const { compute, lengthBytes } = this
    const { inlineBytesMax, plan, seal, statedBytes = 0 } = this.request
    if (inlineBytesMax > 0 && lengthBytes <= inlineBytesMax) {
      const bytes = concatBytes(this.held)
      return { lengthBytes, digests: compute.hash(plan, bytes), content: { kind: "inline", bytes }, hints: [] }
    }
    // Its last block may have been sent without the mark.
    if (seal !== undefined && lengthBytes < statedBytes) throw fail("incompleteBody", { lengthBytes })
    try {
      if (this.slab) this.send(this.slab, true)
      await this.decided
      // Requested early: the last bytes are hashed while the last blocks are written.
      const digests = this.pipeline.digests()
      for (const sent of this.sent) await sent
      const described: (WrittenRun & Pick<WrittenBody, "hints">)[] = []
      for (const run of this.runs) described.push(await this.describe(run))
      const hints = described.flatMap(run => run.hints)
      return { lengthBytes, digests: await digests, content: this.contentOf(described), hints }
    } finally {
      this.pipeline.close()
    }
  }

  private contentOf(runs: readonly WrittenRun[]): WrittenBody["content"] {
    if (this.request.known !== undefined && this.sent.length > 0) return { kind: "runs", runs: runs.map(toRun) }
    const [run] = runs
    // An empty body has no blocks.
    return { kind: "extent", extent: run?.extent ?? describeBody(this.request, 0, []).extent }
  }

  private async describe(run: OpenRun): Promise<WrittenRun & Pick<WrittenBody, "hints">> {
    const { seal, blockBytes } = this.request
    const storedBytes = seal === undefined ? run.lengthBytes : storedBytesOf(run.lengthBytes, blockBytes)
    const request = { ...this.request, uploadId: run.uploadId }
    const blocks: WrittenBlock[] = []
    for (const block of run.written) blocks.push(await block)
    return { firstBlock: run.firstBlock, ...describeBody(request, storedBytes, blocks) }
  }

  /** Ends all writes and removes the written blocks; the orphan resolver removes leftovers after the next start. */
  async abandon(remove: (extent: Extent) => Promise<unknown>): Promise<void> {
    this.openHashPipeline?.close()
    await Promise.allSettled(this.sent)
    this.slab?.release()
    for (const run of this.runs) await this.takeBack(run, remove).catch(() => undefined)
  }

  private async takeBack(run: OpenRun, remove: (extent: Extent) => Promise<unknown>): Promise<void> {
    const outcomes = await Promise.allSettled(run.written)
    const blocks = outcomes.flatMap(outcome => (outcome.status === "fulfilled" ? [outcome.value] : []))
    const request = { ...this.request, uploadId: run.uploadId }
    await remove(describeBody(request, run.blocks * this.request.blockBytes, blocks).extent)
  }
}

const toRun = ({ firstBlock, extent }: WrittenRun): WrittenRun => ({ firstBlock, extent })
