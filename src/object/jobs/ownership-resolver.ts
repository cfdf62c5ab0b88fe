/**
 * Block judge: whose a block is. It asks the row that the block's needles name, and never decides by
 * absence: a block that no row names is handed to `aborted-blocks.ts`, which asks every replica.
 */
import { firstOf } from "../../base/first-of.js"
import { isFailure } from "../../base/failures.js"
import type { UploadId } from "../../base/ids.js"
import type { Soon } from "../../base/soon.js"
import { blockShape, type BlockGroup, type Blocks, type LiveBlock } from "../../block/index.js"
import { blockCount, type Extent } from "../../format/extent.js"
import type { NeedleOwner } from "../../format/needle.js"
import type { Log } from "../../seams/telemetry/contract.js"
import { query, type Metadata, type Query, type RowView } from "../../metadata/index.js"
import { recoveryHeaderOf, namingsOf, type UploadName } from "../queries/named-extents-core.js"
import { isKept } from "../commands/reencode-commands-core.js"
import { readNamings } from "../commands/pending-deletion-commands-core.js"
import type { Uploads } from "../uploads.js"

/** Of the latest uploads: whose they are, and what rows said of them last. */
const UPLOADS_KEPT = 10_000

export type Verdict =
  | { readonly kind: "live"; readonly live: LiveBlock }
  /** The replica that is read has no row that names the block in this generation. */
  | { readonly kind: "unnamed"; readonly owner: NeedleOwner }
  /** It changes just now: to be asked again. */
  | { readonly kind: "changing" }
  /** None of its needles can be read: left alone. */
  | { readonly kind: "unknown" }

type BlockOfUpload = Pick<BlockGroup, "uploadId" | "part" | "block" | "generation">

/** As an argument of a query. */
const blockOf = ({ uploadId, part, block, generation }: BlockGroup): BlockOfUpload => ({
  uploadId,
  part,
  block,
  generation,
})

/** What a row names: just this block, or in its place one of another generation. */
function readNamed(view: RowView, block: BlockOfUpload, owner: NeedleOwner): "block" | "successor" | undefined {
  let named: "successor" | undefined
  for (const { extent } of namingsOf(view, { ...owner, uploadId: block.uploadId })) {
    if (isOfExtent(block, extent)) return "block"
    if (extent.part === block.part && block.block < blockCount(extent)) named = "successor"
  }
  return named
}

const named = query("Named", readNamed)

/** What rows name: just this block, or in its place one of another generation. */
export const namedBy = (group: BlockGroup, owner: NeedleOwner): Query<"block" | "successor" | undefined> =>
  named(blockOf(group), owner)

/** The first row that names an upload's bytes: its extent, and the recovery header of its first block, if wanted. */
const firstNaming = query("FirstNaming", (view, name: UploadName, wantsHeader: boolean) => {
  const naming = firstOf(namingsOf(view, name))
  return (
    naming && { extent: naming.extent, recoveryHeader: wantsHeader ? recoveryHeaderOf(view, name, naming) : undefined }
  )
})

const isBlockKept = query("IsBlockKept", (view, block: BlockOfUpload, owner: NeedleOwner) => {
  const name = { ...owner, uploadId: block.uploadId }
  for (const naming of namingsOf(view, name)) {
    if (isOfExtent(block, naming.extent) && isKept(view, name, naming)) return true
  }
  return false
})

export class OwnershipResolver {
  private readonly owners = new Map<UploadId, NeedleOwner>()
  private readonly extents = new Map<UploadId, Extent>()

  constructor(
    private readonly metadata: Metadata,
    private readonly blocks: Blocks,
    private readonly uploads: Uploads,
    private readonly log: Log,
  ) {}

  /** Rows named just this when they were asked about its upload last. Others may have changed them since. */
  wasLive(group: BlockGroup): boolean {
    const extent = this.extents.get(group.uploadId)
    return extent !== undefined && isOfExtent(group, extent)
  }

  async resolve(group: BlockGroup): Promise<Verdict> {
    const owner = await this.ownerOf(group)
    if (typeof owner === "string") return { kind: owner }
    return this.look(group, owner)
  }

  /** Whether the rows name just this now, and none of them waits for the collector, who removes the blocks first. */
  isKept(group: BlockGroup, owner: NeedleOwner): Soon<boolean> {
    return this.metadata.ask(isBlockKept(blockOf(group), owner))
  }

  /**
   * Removes a block that was judged to be nobody's, unless it has become somebody's since: an upload that
   * is coded anew gets needles of the same ids. False where that has to wait: somebody else has the upload
   * in hand, or nobody can tell now what rows will say after the next start.
   */
  async remove(group: BlockGroup, owner: NeedleOwner): Promise<boolean> {
    const { uploadId } = group
    try {
      return await this.uploads.alone(uploadId, async () => {
        const extents = await this.metadata.run(readNamings({ ...owner, uploadId }))
        if (!extents.some(extent => isOfExtent(group, extent))) await this.blocks.removeGroups([group])
      })
    } catch (error) {
      if (isFailure(error, "deviceFailed", "indeterminate", "tooManyInFlight", "stopping")) return false
      throw error
    }
  }

  /** What the committed rows of this moment say. */
  private async look(group: BlockGroup, owner: NeedleOwner): Promise<Verdict> {
    const found = await this.metadata.ask(firstNaming({ ...owner, uploadId: group.uploadId }, group.block === 0))
    if (!found) return { kind: "unnamed", owner }
    const { extent, recoveryHeader } = found
    remember(this.extents, group.uploadId, extent)
    if (!isOfExtent(group, extent)) return { kind: "unnamed", owner }
    return { kind: "live", live: { extent, owner, recoveryHeader: () => recoveryHeader } }
  }

  private async ownerOf(group: BlockGroup): Promise<NeedleOwner | "changing" | "unknown"> {
    const known = this.owners.get(group.uploadId)
    if (known) return known
    try {
      const { owner } = await this.blocks.headerOf(group)
      remember(this.owners, group.uploadId, owner)
      return owner
    } catch (error) {
      if (isFailure(error, "noSuchNeedle")) return "changing"
      if (!isFailure(error, "corruptNeedle")) throw error
      const { uploadId, block } = group
      this.log.warn("a block without a readable needle is left where it is", { upload: uploadId, block })
      return "unknown"
    }
  }
}

function isOfExtent({ part, block, generation }: BlockOfUpload, extent: Extent): boolean {
  if (extent.part !== part || block >= blockCount(extent)) return false
  return blockShape(extent, block).generation === generation
}

function remember<Value>(map: Map<UploadId, Value>, uploadId: UploadId, value: Value): void {
  map.delete(uploadId)
  map.set(uploadId, value)
  const [oldest] = map.keys()
  if (map.size > UPLOADS_KEPT && oldest !== undefined) map.delete(oldest)
}
