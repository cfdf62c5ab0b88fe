/**
 * Packs whose rows a rescue does not have: their directories say which objects they have. See decision 91.
 *
 * What the snapshot tells of an object that was packed later are bytes that are gone: those are found in the pack by the
 * version. Without a complete snapshot, a directory also attests objects.
 *
 * Limits    `PACKS_LIMITS`: packs beyond are not read, and a note says so.
 */
import { hexOf } from "@hayloft/base/bytes.js"
import { isFailure } from "@hayloft/base/failures.js"
import { PACKED_PART } from "@hayloft/base/limits.js"
import { parseUploadId, type UploadId } from "@hayloft/base/ids.js"
import { isDecidedBelow, type UploadMark } from "@hayloft/engine/format/metadata-backup.js"
import type { NeedleOwner } from "@hayloft/engine/format/needles/needle.js"
import { decodePackDirectory } from "@hayloft/engine/format/objects/packing-rows.js"
import { decodeRecoveryHeader } from "@hayloft/engine/format/needles/recovery-header.js"
import type { NeedleCatalog } from "./needle-catalog.js"
import type { CatalogedBody, PackedBody, WholeBody } from "./plan.js"

const PACKS_LIMITS = {
  /** Objects of directories that are kept in memory: up to about 1 GiB. */
  entriesMax: 1_000_000,
} as const

interface ReadPacks {
  readonly bodyOf: (catalog: NeedleCatalog, uploadId: UploadId) => CatalogedBody
  readonly read: (body: WholeBody) => AsyncIterable<Uint8Array>
  /** Uploads that rows of the snapshot reference, and the mark below which all were decided when a complete one began. */
  readonly named: ReadonlySet<UploadId>
  readonly decidedBelow: UploadMark | undefined
}

export class RescuePacks {
  private readonly byKey = new Map<string, { readonly owner: NeedleOwner; readonly bodies: PackedBody[] }>()
  private entries = 0
  /** Packs that were not read. */
  left = 0

  of(owner: NeedleOwner): readonly PackedBody[] {
    return this.byKey.get(nameOfOwner(owner))?.bodies ?? []
  }

  /** Keys of objects in packs. */
  *owners(): Generator<NeedleOwner> {
    for (const { owner } of this.byKey.values()) yield owner
  }

  /** Reads the directories of packs in the catalog. Those that cannot be read are left out. */
  async add(catalog: NeedleCatalog, packs: ReadPacks): Promise<void> {
    const { named, decidedBelow } = packs
    for (const { bucketId, uploads } of catalog.keys())
      for (const { uploadId, part } of uploads) {
        const isOver = decidedBelow !== undefined && isDecidedBelow(uploadId, decidedBelow)
        if (part !== PACKED_PART || named.has(uploadId) || isOver) continue
        const body = packs.bodyOf(catalog, uploadId)
        if (body.kind !== "whole") continue
        if (this.entries >= PACKS_LIMITS.entriesMax) this.left += 1
        else await this.addPack(bucketId, body, packs)
      }
  }

  private async addPack(bucketId: NeedleOwner["bucketId"], body: WholeBody, { read }: ReadPacks): Promise<void> {
    try {
      const pieces: Uint8Array[] = []
      for await (const piece of read(body)) pieces.push(piece.slice())
      for (const entry of decodePackDirectory(Buffer.concat(pieces))) {
        const { key, version, upload, segments, offsetBytes, lengthBytes } = entry
        const header = decodeRecoveryHeader(entry.recoveryHeader)
        const owner = { bucketId, key }
        const known = this.byKey.get(nameOfOwner(owner)) ?? { owner, bodies: [] }
        this.byKey.set(nameOfOwner(owner), known)
        const ids = { version: hexOf(version), upload: upload && parseUploadId(hexOf(upload)), segments }
        known.bodies.push({ body, offsetBytes, lengthBytes, ...ids, header })
        this.entries += 1
      }
    } catch (error) {
      if (!isFailure(error)) throw error
    }
  }
}

const nameOfOwner = ({ bucketId, key }: NeedleOwner): string => `${bucketId}/${key}`
