/**
 * Body writer: a stream of bytes becomes blocks in slabs, hashed and coded as they fill.
 *
 * A body takes credit (a slab) for one whole block before it reads on past its first bytes, and
 * further ones only while the pool is mostly free; without credit it stops reading, and its client's
 * socket is paused. It never waits for a slab while it holds one, so bodies cannot starve each other,
 * and a client that dawdles while others wait for a slab loses the one that it holds.
 */
import { fail } from "../base/failures.js"
import { concatBytes, copyPlainly } from "../base/bytes.js"
import type { Extent } from "../format/extent.js"
import type { Clock } from "../seams/clock/contract.js"
import type { Compute, Lane, LanePlan, Slab } from "../seams/compute/contract.js"
import type { BlockWriter, WrittenBlock } from "./block-writer.js"
import type { WholeWriteRequest, WriteRequest, WrittenBody, WrittenExtent } from "./contract.js"
import { describeBody } from "./describe-core.js"
import { BLOCK_LIMITS } from "./limits.js"
import { PatientSource } from "./patient-source.js"

/** Writes one body; see `Blocks.write`. */
export async function writeBody(
  clock: Clock,
  compute: Compute,
  writer: BlockWriter,
  request: WriteRequest,
  remove: (extent: Extent) => Promise<void>,
): Promise<WrittenBody> {
  const { inlineBytesMax, lengthBytesMax, plan } = request
  const source = new PatientSource(request.source, clock, compute.slabs)
  let endWatch: (() => void) | undefined
  const held: Uint8Array[] = []
  let lengthBytes = 0
  let body: OpenBody | undefined
  const open = (): OpenBody => {
    const opened = new OpenBody(compute, writer, request)
    endWatch = source.watch(() => opened.holdsSlab)
    return opened
  }
  try {
    for (let next = await source.next(); next.done !== true; next = await source.next()) {
      const chunk = next.value
      lengthBytes += chunk.length
      if (lengthBytes > lengthBytesMax) throw fail("entityTooLarge", { lengthBytesMax })
      if (!body && lengthBytes <= inlineBytesMax) {
        held.push(new Uint8Array(chunk))
        continue
      }
      body ??= open()
      for (const piece of held.splice(0)) await body.add(piece)
      await body.add(chunk)
    }
    if (body) return await body.finish(lengthBytes)
    if (inlineBytesMax === 0) return await new OpenBody(compute, writer, request).finish(0)
    const bytes = concatBytes(held)
    return { lengthBytes, digests: compute.hash(plan, bytes), content: { kind: "inline", bytes }, debts: [] }
  } catch (error) {
    await source.close()
    await body?.abandon(remove)
    throw error
  } finally {
    endWatch?.()
  }
}

/** Writes one body that is there; see `Blocks.writeWhole`. */
export async function writeWhole(
  compute: Compute,
  writer: BlockWriter,
  request: WholeWriteRequest,
  remove: (extent: Extent) => Promise<void>,
): Promise<WrittenExtent> {
  const { uploadId, part, owner, policy, birthNote, bytes } = request
  const slab = await compute.slabs.take()
  copyPlainly(slab.bytes, bytes, 0)
  const lane = compute.openLane(HASHED_BEFORE)
  try {
    const block = { uploadId, part, owner, policy, birthNote, generation: 0, care: "asFits" } as const
    const written = await writer.write(block, lane, slab, 0, bytes.length)
    return describeBody(request, bytes.length, [written])
  } catch (error) {
    // What stays behind is judged after the next start.
    await remove(describeBody(request, bytes.length, []).extent).catch(() => undefined)
    throw error
  } finally {
    lane.close()
  }
}

const HASHED_BEFORE: LanePlan = { md5: false, sha256: false, checksum: undefined }

class OpenBody {
  private readonly lane: Lane
  private slab: Slab | undefined
  private filled = 0
  private fed = 0
  private block = 0
  private inFlight: Promise<WrittenBlock>[] = []
  private readonly blocks: Promise<WrittenBlock>[] = []

  constructor(
    private readonly compute: Compute,
    private readonly writer: BlockWriter,
    private readonly request: WriteRequest,
  ) {
    this.lane = compute.openLane(request.plan)
  }

  get holdsSlab(): boolean {
    return this.slab !== undefined
  }

  async add(chunk: Uint8Array): Promise<void> {
    let at = 0
    while (at < chunk.length) {
      const slab = (this.slab ??= await this.nextSlab())
      const length = Math.min(chunk.length - at, this.request.blockBytes - this.filled)
      copyPlainly(slab.bytes, chunk.subarray(at, at + length), this.filled)
      this.filled += length
      at += length
      if (this.filled - this.fed >= BLOCK_LIMITS.feedBytes) this.feed(slab)
      if (this.filled === this.request.blockBytes) this.send(slab)
    }
  }

  private feed(slab: Slab): void {
    if (this.filled > this.fed) this.lane.feed(slab, this.fed, this.filled)
    this.fed = this.filled
  }

  private async nextSlab(): Promise<Slab> {
    this.request.signal.throwIfAborted()
    if (this.inFlight.length >= BLOCK_LIMITS.bodyBlocksInFlightMax) await Promise.race(this.inFlight)
    const more = this.inFlight.length > 0 ? this.compute.slabs.tryMore() : undefined
    if (more) return more
    await Promise.all(this.inFlight)
    return this.compute.slabs.take(this.request.signal)
  }

  private send(slab: Slab): void {
    this.feed(slab)
    const request = { ...this.request, generation: 0, care: "asFits" } as const
    const written = this.writer.write(request, this.lane, slab, this.block, this.filled)
    this.blocks.push(written)
    this.inFlight.push(written)
    const done = () => void (this.inFlight = this.inFlight.filter(other => other !== written))
    written.then(done, () => undefined)
    this.slab = undefined
    this.filled = 0
    this.fed = 0
    this.block += 1
  }

  async finish(lengthBytes: number): Promise<WrittenBody> {
    try {
      if (this.slab) this.send(this.slab)
      // Asked for before they are needed: the last bytes are hashed while the last blocks are written.
      const digests = this.lane.digests()
      const blocks: WrittenBlock[] = []
      for (const block of this.blocks) blocks.push(await block)
      const { extent, debts } = describeBody(this.request, lengthBytes, blocks)
      return { lengthBytes, digests: await digests, content: { kind: "extent", extent }, debts }
    } finally {
      this.lane.close()
    }
  }

  /** Ends everything under way and takes back what was written; what stays behind is judged after the next start. */
  async abandon(remove: (extent: Extent) => Promise<void>): Promise<void> {
    this.lane.close()
    const outcomes = await Promise.allSettled(this.blocks)
    this.slab?.release()
    const blocks = outcomes.flatMap(outcome => (outcome.status === "fulfilled" ? [outcome.value] : []))
    if (outcomes.length > 0) await this.takeBack(outcomes.length, blocks, remove).catch(() => undefined)
  }

  private async takeBack(
    begun: number,
    blocks: readonly WrittenBlock[],
    remove: (extent: Extent) => Promise<void>,
  ): Promise<void> {
    await remove(describeBody(this.request, begun * this.request.blockBytes, blocks).extent)
  }
}
