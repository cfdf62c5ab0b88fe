/**
 * The body of an upload among the shards of a rescue. Its bytes may have been encrypted after they were written: needles
 * of some generations then have plaintext, and those of later ones the same bytes, sealed. Pure.
 *
 * Promises  Blocks of plaintext and sealed blocks are never taken for one body.
 */
import { bodyOf } from "@hayloft/engine/block/index.js"
import type { Extent } from "@hayloft/engine/format/needles/extent.js"
import { areSealedLengths, plainBytesOf } from "@hayloft/engine/format/needles/sealing.js"
import type { UploadId } from "@hayloft/base/ids.js"
import type { CatalogedShard, CatalogedUpload, NeedleCatalog } from "./needle-catalog.js"
import type { CatalogedBody } from "./plan.js"

type Found = ReturnType<NeedleCatalog["shardsOf"]>
type Upload = Pick<CatalogedUpload, "uploadId" | "part" | "born" | "sealed">

/** `row`: the extent in a row of the upload, if one is known. It may be from before or after the encryption. */
export function bodyOfUpload(
  upload: Upload,
  found: Found,
  row: Extent | undefined,
  blockBytes: number | undefined,
): CatalogedBody {
  const { sealed, born } = upload
  const sealedAs = (row && sealedAsOf(row)) ?? sealed?.sealedAs
  const whole = (
    lengthBytes: number | undefined,
    isOf: (shard: CatalogedShard) => boolean = () => true,
  ): CatalogedBody => bodyOf(upload, { ...found, shards: found.shards.filter(isOf) }, { lengthBytes, blockBytes })
  const plainBytes = row ? plainBytesOf(row) : born?.plannedLengthBytes
  if (sealedAs === undefined) return whole(plainBytes)
  const storedBytes = row?.isSealed ? row.lengthBytes : sealed?.lengthBytes
  const from = sealed?.from ?? 0
  const later = sealedBody(
    whole(storedBytes, ({ generation }) => generation >= from),
    sealedAs,
  )
  if (later.kind === "whole" || from === 0) return later
  const earlier = whole(plainBytes, ({ generation }) => generation < from)
  if (earlier.kind === "whole") return earlier
  // A header of plaintext is left: the shards are of both.
  if (born?.plannedLengthBytes !== undefined) return later
  // Encrypted from the beginning: just its first block was re-encoded.
  const all = sealedBody(whole(storedBytes), sealedAs)
  return all.kind === "whole" ? all : later
}

/** The body with its encryption; incomplete if encrypted bytes cannot have its lengths. */
function sealedBody(body: CatalogedBody, sealedAs: UploadId): CatalogedBody {
  if (body.kind === "incomplete") return body
  if (!areSealedLengths(body.extent))
    return { kind: "incomplete", reason: "its blocks are not those of encrypted bytes" }
  return { ...body, extent: { ...body.extent, isSealed: true, sealedAs } }
}

/** Returns the upload under which the bytes of a row were encrypted. */
const sealedAsOf = ({ isSealed, uploadId, sealedAs = uploadId }: Extent): UploadId | undefined => isSealed && sealedAs
