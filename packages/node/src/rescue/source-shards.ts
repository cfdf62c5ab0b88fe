/**
 * Source shards: reads shards of a rescue like those of a running store. All source folders appear as one device with
 * every shard, so that the block layer handles ranges, verification and decoding.
 *
 * A shard in several folders is read from the first folder that has it intact.
 */
import { must } from "@hayloft/base/assert.js"
import { asFailure, fail, isFailure } from "@hayloft/base/failures.js"
import { parseDeviceId, type UploadId } from "@hayloft/base/ids.js"
import { PARTITIONS, SHARDS_MAX } from "@hayloft/base/limits.js"
import { streamOf } from "@hayloft/base/memory/pieces.js"
import { Layouts, LocalBlocks, type PieceOwner } from "@hayloft/engine/block/index.js"
import type { RecoveryHeader } from "@hayloft/engine/format/needles/recovery-header.js"
import { needleKeyOf, type NeedleHeader, type NeedleId } from "@hayloft/engine/format/needles/needle.js"
import { strictestOf } from "@hayloft/objects/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Compute } from "@hayloft/base/seams/compute/contract.js"
import type { Disk } from "@hayloft/base/seams/disk/contract.js"
import type { Metrics } from "@hayloft/base/seams/telemetry/contract.js"
import { SalvageReader, type NeedleRange, type Volumes } from "@hayloft/engine/volume/index.js"
import type { CatalogedBody } from "./plan.js"
import type { Sources } from "./sources.js"
import { noteOf, type CatalogedShard, type NeedleCatalog } from "./needle-catalog.js"

const EVERYWHERE = parseDeviceId("0".repeat(16))
/** Every slot of every partition is on the single device. */
const layout = () => ({
  version: 1,
  width: SHARDS_MAX,
  table: new Uint8Array(PARTITIONS * SHARDS_MAX),
  devices: [EVERYWHERE],
})

type WholeBody = Extract<CatalogedBody, { kind: "whole" }>
type Places = ReadonlyMap<string, readonly CatalogedShard[]>

const nameOfShard = ({ block, generation, slot }: Pick<CatalogedShard, "block" | "generation" | "slot">): string =>
  `${block} ${generation} ${slot}`

export class SourceShards {
  private readonly readers: readonly SalvageReader[]
  private readonly blocks: LocalBlocks
  /** Bodies that are being read, and how often: several objects may have the same. */
  private readonly open = new Map<UploadId, { readonly places: Places; readers: number }>()

  constructor(clock: Clock, compute: Compute, metrics: Metrics, disk: Disk, { volumes, cipher }: Sources) {
    this.readers = volumes.map(folder => new SalvageReader(disk, folder, cipher))
    const device = { id: EVERYWHERE, volumes: this.volumes(), isWritable: false }
    this.blocks = new LocalBlocks(clock, compute, new Layouts(layout()), new Map([[EVERYWHERE, device]]), metrics)
  }

  /** Reads all bytes of a body, verified. Throws `notEnoughShards`. */
  async *read(body: WholeBody, signal: AbortSignal, pieces: PieceOwner = "caller"): AsyncGenerator<Uint8Array> {
    const { extent, shards } = body
    const places = new Map<string, CatalogedShard[]>()
    for (const shard of shards) {
      const name = nameOfShard(shard)
      places.set(name, [...(places.get(name) ?? []), shard])
    }
    const opened = this.open.get(extent.uploadId) ?? { places, readers: 0 }
    opened.readers += 1
    this.open.set(extent.uploadId, opened)
    try {
      yield* streamOf(this.blocks.read({ extent, offsetBytes: 0, lengthBytes: extent.lengthBytes }, signal, pieces))
    } finally {
      opened.readers -= 1
      if (opened.readers === 0) this.open.delete(extent.uploadId)
    }
  }

  /**
   * Reads the recovery header from all shards of an upload's first block, since a rebuilt one may tell of a later lock;
   * undefined if none of them can be read.
   */
  async recoveryHeader(catalog: NeedleCatalog, uploadId: UploadId): Promise<RecoveryHeader | undefined> {
    const upload = catalog.upload(uploadId)
    const first = (upload ? catalog.shardsOf(upload).shards : []).filter(({ block }) => block === 0)
    const notes: RecoveryHeader[] = []
    for (const { folder, place } of first) {
      try {
        const isWanted = (header: NeedleHeader) => header.kind === "shard" && header.id.uploadId === uploadId
        const note = noteOf(await this.reader(folder).headerOf(place, isWanted))
        if (note) notes.push(note)
      } catch (error) {
        if (!isFailure(error)) throw error
      }
    }
    const lock = strictestOf(notes.map(note => note.lock))
    // Those from before the bytes were encrypted do not say how.
    const note = notes.find(({ sealed }) => sealed !== undefined) ?? notes[0]
    return note && { ...note, ...(lock && { lock }) }
  }

  async close(): Promise<void> {
    for (const reader of this.readers) await reader.close()
  }

  private reader(folder: number): SalvageReader {
    return must(this.readers[folder], "shards are in folders of the rescue")
  }

  private async readShard(id: NeedleId, range: NeedleRange): Promise<Uint8Array> {
    const key = needleKeyOf(id)
    const isWanted = (header: NeedleHeader) => header.kind === "shard" && needleKeyOf(header.id) === key
    let failure: unknown = fail("noSuchNeedle", { uploadId: id.uploadId, block: id.block, slot: id.slot })
    for (const { folder, place } of this.open.get(id.uploadId)?.places.get(nameOfShard(id)) ?? []) {
      try {
        return await this.reader(folder).read(place, range, isWanted)
      } catch (error) {
        if (!isFailure(error)) throw error
        failure = asFailure(error)
      }
    }
    throw failure
  }

  private volumes(): Volumes {
    const readOnly = () => Promise.reject(fail("internal", { reason: "a rescue only reads its sources" }))
    return {
      read: (id, range, ifSlow) => ifSlow(() => this.readShard(id, range)),
      has: id => this.open.get(id.uploadId)?.places.has(nameOfShard(id)) ?? false,
      // Which of several copies is intact shows only when each is verified: the reader must use the slow path.
      fetch: ({ uploadId, block, slot }) => Promise.reject(fail("noSuchNeedle", { uploadId, block, slot })),
      headerOf: readOnly,
      append: readOnly,
      remove: readOnly,
      markSuspect: () => undefined,
      indexed: () => [],
      usage: () => ({ volumes: 0, writtenBytes: 0, liveBytes: 0, deadShare: 0 }),
      durable: () => undefined,
      refusing: undefined,
      damages: [],
      close: () => Promise.resolve(),
    }
  }
}
