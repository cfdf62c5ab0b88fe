/**
 * Ownership resolver: finds the owner of a block. It reads the row that the block's needles name. Absence alone decides
 * nothing: an unreferenced block is passed to `aborted-blocks.ts`, which queries every replica.
 */
import { firstOf } from "@hayloft/base/first-of.js"
import { isFailure } from "@hayloft/base/failures.js"
import { rowKeyAfter, type RowKey, type UploadId } from "@hayloft/base/ids.js"
import type { Soon } from "@hayloft/base/soon.js"
import { blockShape, type BlockGroup, type Blocks, type LiveBlock } from "@hayloft/engine/block/index.js"
import { blockCount, type Extent } from "@hayloft/engine/format/needles/extent.js"
import { objectRowKeyOf, suffixRange } from "@hayloft/engine/format/row-key.js"
import type { NeedleOwner } from "@hayloft/engine/format/needles/needle.js"
import type { Log } from "@hayloft/base/seams/telemetry/contract.js"
import { keepLatest } from "@hayloft/base/keep-latest.js"
import { query, type Metadata, type Query, type RowView } from "@hayloft/engine/metadata/index.js"
import {
  extentsOf,
  recoveryHeaderOf,
  namingsOf,
  type UploadName,
  intendedExtent,
  isKept,
  readNamings,
  type ObjectBackend,
  type RowPlace,
  type Uploads,
} from "@hayloft/objects/door/bytes.js"

/** The rows cannot be read now. */
const NOT_NOW = [
  "deviceFailed",
  "indeterminate",
  "tooManyInFlight",
  "stopping",
  "databaseUnreachable",
  "databaseRolledBack",
] as const

/** Recent uploads whose owners, extents and rows are cached. */
const UPLOADS_KEPT = 10_000
/** Further versions of a key that a search reads: walks meet the blocks of all of them, in no order. */
const OTHERS_MAX = 1_000

type Verdict =
  | { readonly kind: "live"; readonly live: LiveBlock }
  /** The local replica has no row that references the block in this generation. */
  | { readonly kind: "unnamed"; readonly owner: NeedleOwner }
  /** The block is being changed: resolve it again later. */
  | { readonly kind: "changing" }
  /** None of its needles can be read: the block is left alone. */
  | { readonly kind: "unknown" }

type BlockOfUpload = Pick<BlockGroup, "uploadId" | "part" | "block" | "generation">

/** Returns the block in the form that queries take. */
const blockOf = ({ uploadId, part, block, generation }: BlockGroup): BlockOfUpload => ({
  uploadId,
  part,
  block,
  generation,
})

/**
 * Returns whether a row references or announces exactly this block, or references a successor of another generation.
 */
function readNamed(view: RowView, block: BlockOfUpload, owner: NeedleOwner): "block" | "successor" | undefined {
  const name = { ...owner, uploadId: block.uploadId }
  const intended = intendedExtent(view, name)
  if (intended && isOfExtent(block, intended)) return "block"
  let named: "successor" | undefined
  for (const { extent } of namingsOf(view, name)) {
    if (isOfExtent(block, extent)) return "block"
    if (extent.part === block.part && block.block < blockCount(extent)) named = "successor"
  }
  return named
}

export const named = query("Named", readNamed)

/** Returns whether rows reference or announce exactly this block, or reference a successor of another generation. */
export const namedBy = (group: BlockGroup, owner: NeedleOwner): Query<"block" | "successor" | undefined> =>
  named(blockOf(group), owner)

interface FoundExtent {
  readonly extent: Extent
  readonly foundIn: RowPlace
}

/** Extents of versions that are older than the one in a row, up to one that is damaged. */
function olderExtents(view: RowView, rowKey: RowKey): readonly FoundExtent[] {
  const found: FoundExtent[] = []
  const { end } = suffixRange(objectRowKeyOf(rowKey))
  let rows = 0
  try {
    for (const [key, row] of view.range("versions", { start: rowKeyAfter(rowKey), end })) {
      for (const extent of extentsOf("versions", row))
        found.push({ extent, foundIn: { family: "versions", rowKey: key } })
      rows += 1
      if (rows === OTHERS_MAX) break
    }
  } catch (error) {
    if (!isFailure(error, "corruptRecord")) throw error
  }
  return found
}

/**
 * The first row that references an upload's bytes: its extent, and optionally its first block's recovery header. Also
 * the extent that a re-encoding is writing, and others of the key if it was searched.
 */
export const firstNaming = query("FirstNaming", (view, name: UploadName, wantsHeader: boolean) => {
  const naming = firstOf(namingsOf(view, name))
  if (naming === undefined) return undefined
  const { extent, family, rowKey } = naming
  const foundIn = { family, rowKey }
  const recoveryHeader = wantsHeader ? recoveryHeaderOf(view, name, naming) : undefined
  const others = name.foundIn === undefined && family === "versions" ? olderExtents(view, rowKey) : []
  return { extent, foundIn, recoveryHeader, intended: intendedExtent(view, name), others }
})

export const isBlockKept = query("IsBlockKept", (view, block: BlockOfUpload, name: UploadName) => {
  for (const naming of namingsOf(view, name)) {
    if (isOfExtent(block, naming.extent) && isKept(view, name, naming)) return true
  }
  return false
})

export class OwnershipResolver {
  private readonly owners = new Map<UploadId, NeedleOwner>()
  private readonly extents = new Map<UploadId, Extent>()
  /** The next blocks of an upload, and further questions about one, do not search the versions of its key. */
  private readonly rows = new Map<UploadId, RowPlace>()

  private readonly metadata: Metadata
  private readonly blocks: Blocks
  private readonly uploads: Uploads
  private readonly log: Log

  constructor({ metadata, blocks, uploads, log }: ObjectBackend) {
    this.metadata = metadata
    this.blocks = blocks
    this.uploads = uploads
    this.log = log
  }

  /**
   * Returns true if rows referenced exactly this block when its upload was last resolved. They may have changed since.
   */
  wasLive(group: BlockGroup): boolean {
    const extent = this.extents.get(group.uploadId)
    return extent !== undefined && isOfExtent(group, extent)
  }

  /** From now on `wasLive` only knows what is resolved again. */
  forgetLive(): void {
    this.extents.clear()
  }

  async resolve(group: BlockGroup): Promise<Verdict> {
    const owner = await this.ownerOf(group)
    if (typeof owner === "string") return { kind: owner }
    return this.lookUp(group, owner)
  }

  /** Returns true if rows reference exactly this block now, apart from rows that wait for the collector. */
  isKept(group: BlockGroup, owner: NeedleOwner): Soon<boolean> {
    return this.metadata.ask(isBlockKept(blockOf(group), this.nameOf(group, owner)))
  }

  /**
   * Removes an unreferenced block, unless a row references or announces it by now: the rows are those of the newest
   * decision. Returns false if the removal must wait: the upload is held, a device is out of reach, or the rows after the next
   * start are uncertain.
   */
  async remove(group: BlockGroup, owner: NeedleOwner): Promise<boolean> {
    const { uploadId } = group
    try {
      let isRemoved = true
      const isOurs = await this.uploads.exclusively(uploadId, async () => {
        const extents = await this.metadata.run(readNamings({ ...owner, uploadId }))
        if (!extents.some(extent => isOfExtent(group, extent))) isRemoved = await this.blocks.removeGroups([group])
      })
      return isOurs && isRemoved
    } catch (error) {
      if (isFailure(error, ...NOT_NOW)) return false
      throw error
    }
  }

  /** Resolves the owner from the rows committed now. */
  private async lookUp(group: BlockGroup, owner: NeedleOwner): Promise<Verdict> {
    const found = await this.metadata.ask(firstNaming(this.nameOf(group, owner), group.block === 0))
    if (!found) return { kind: "unnamed", owner }
    const { extent, recoveryHeader, intended, others } = found
    for (const each of [...others, found]) {
      const { uploadId } = each.extent
      keepLatest(this.extents, uploadId, each.extent, UPLOADS_KEPT)
      keepLatest(this.rows, uploadId, each.foundIn, UPLOADS_KEPT)
    }
    if (intended && isOfExtent(group, intended)) return { kind: "changing" }
    if (!isOfExtent(group, extent)) return { kind: "unnamed", owner }
    return { kind: "live", live: { extent, owner, recoveryHeader: () => recoveryHeader } }
  }

  private nameOf({ uploadId }: BlockGroup, owner: NeedleOwner): UploadName {
    return { ...owner, uploadId, foundIn: this.rows.get(uploadId) }
  }

  private async ownerOf(group: BlockGroup): Promise<NeedleOwner | "changing" | "unknown"> {
    const known = this.owners.get(group.uploadId)
    if (known) return known
    try {
      const { owner } = await this.blocks.headerOf(group)
      keepLatest(this.owners, group.uploadId, owner, UPLOADS_KEPT)
      return owner
    } catch (error) {
      if (isFailure(error, "noSuchNeedle")) return "changing"
      if (!isFailure(error, "corruptNeedle")) throw error
      const { uploadId, block } = group
      this.log.warn("block_without_readable_needle", { upload: uploadId, block })
      return "unknown"
    }
  }
}

function isOfExtent({ part, block, generation }: BlockOfUpload, extent: Extent): boolean {
  if (extent.part !== part || block >= blockCount(extent)) return false
  return blockShape(extent, block).generation === generation
}
