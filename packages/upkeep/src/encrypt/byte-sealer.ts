/**
 * Byte sealer: encrypts what existing rows reference, a payload at once, an upload block by block: it announces the
 * new needles with an intent row, writes them, and then one command makes every row that references the upload
 * reference them.
 *
 * Promises  At any moment a row references whole bytes, and its sealing opens them. An interruption leaves unreferenced
 *           needles and their intent, which the next attempt or re-encoding gives up.
 */
import { must } from "@hayloft/base/assert.js"
import { fail } from "@hayloft/base/failures.js"
import type { BucketId, ObjectKey } from "@hayloft/base/ids.js"
import { owned } from "@hayloft/base/memory/lent.js"
import type { Policy } from "@hayloft/base/policy.js"
import { blockShape, type Blocks } from "@hayloft/engine/block/index.js"
import { blockCount, type Extent } from "@hayloft/engine/format/needles/extent.js"
import { RECOVERY_HEADER_BYTES_MAX } from "@hayloft/engine/format/needles/needle.js"
import type { Sealing } from "@hayloft/engine/format/needles/sealing.js"
import type { VersionHead } from "@hayloft/engine/format/objects/version-record.js"
import type { ObjectKeys } from "@hayloft/access/keys/contract.js"
import { extentKeyOf } from "@hayloft/access/keys/index.js"
import type { Metadata } from "@hayloft/engine/metadata/index.js"
import type { Compute } from "@hayloft/base/seams/compute/contract.js"
import {
  sealPayload,
  swapSealed,
  type SharedBytes,
  beginReencoding,
  giveUpReencoding,
  factsOf,
  AT_REST,
  keyOfBytes,
  type UploadName,
} from "@hayloft/objects/door/bytes.js"
import { HINTS_PER_COMMAND, recordHints, type MissingShardHint } from "@hayloft/objects/door/rows.js"
import { sealedExtentOf, sealedHeader, type EncryptFamily, type EncryptRow } from "./encrypt-core.js"
import { reencodedExtent } from "../reencode/reencode-core.js"

interface SealerSeams {
  readonly metadata: Metadata
  readonly blocks: Pick<Blocks, "reencode">
  readonly keys: ObjectKeys
  readonly compute: Pick<Compute, "seal">
  /** Generations are above it. */
  readonly policyVersion: () => number
}

/** An upload that is being sealed. */
export interface SealingUpload {
  readonly name: UploadName
  readonly from: Extent
  /** But for slots that are late. */
  readonly to: Extent
  readonly sealing: Sealing
  readonly extentKey: Uint8Array
  readonly recoveryHeader: Uint8Array
  /** Blocks still to be sealed, in order. */
  readonly remaining: number[]
  readonly late: Map<number, readonly number[]>
  readonly hints: MissingShardHint[]
}

interface PlainUpload {
  readonly bytes: SharedBytes
  readonly extent: Extent
  readonly policy: Policy
}

export class ByteSealer {
  constructor(private readonly seams: SealerSeams) {}

  /** Seals the payload of a version. False: the version has changed, or has gone. */
  async payload(
    { bucketId, key }: { readonly bucketId: BucketId; readonly key: ObjectKey },
    head: VersionHead,
    family: EncryptFamily,
    { rowKey, row }: EncryptRow,
  ): Promise<boolean> {
    const { metadata, keys, compute } = this.seams
    const plain = await owned(metadata.payload(family, rowKey, row))
    if (plain === undefined) return false
    if (plain.length !== head.sizeBytes) throw fail("corruptRow", { reason: "the payload has another length" })
    const created = await keys.create(bucketId, AT_REST)
    const sealing = await keys.bind(created.sealing, factsOf(bucketId, key, head))
    const payload = compute.seal(plain, { key: created.key, block: 0, segment: 0, isLast: true })
    const kept = family === "deleted" ? { deletedRow: rowKey } : {}
    return metadata.run(sealPayload({ bucketId, key, head, sealing, payload, ...kept }))
  }

  /**
   * Announces the sealed blocks of an upload. Undefined: rows reference it no longer, or in another place. The caller
   * holds the upload. Throws `conflict` while others change it, and as `keyOfBytes`.
   */
  async begin({ bytes, extent: from, policy }: PlainUpload): Promise<SealingUpload | undefined> {
    const { metadata, policyVersion } = this.seams
    const found = await keyOfBytes(this.seams, bytes)
    if (found === undefined) return undefined
    const { sealing, key } = found
    const { of: _, ...object } = bytes
    const name = { ...object, uploadId: from.uploadId }
    const planned = sealedExtentOf(from, policy, 0)
    const recoveryHeader = await metadata.ask(sealedHeader(name, planned))
    if (recoveryHeader === undefined) return undefined
    if (recoveryHeader.length > RECOVERY_HEADER_BYTES_MAX)
      throw fail("metadataTooLarge", { message: "content type and user metadata leave no space for the encryption" })
    const blocks = blockCount(planned)
    const begin = {
      ...name,
      from,
      policy,
      runs: runsOf(blocks),
      sealedLengthBytes: planned.lengthBytes,
      generationFloor: policyVersion(),
    }
    const generation = await metadata.run(beginReencoding(begin))
    if (generation === undefined) return undefined
    return {
      name,
      from,
      sealing,
      recoveryHeader,
      to: sealedExtentOf(from, policy, generation),
      extentKey: extentKeyOf(key, from.uploadId, from.part),
      remaining: Array.from({ length: blocks }, (_, block) => block),
      late: new Map(),
      hints: [],
    }
  }

  /** Writes the next block of an upload that has one. Returns its stored bytes; 0 if memory is short. */
  async writeBlock(upload: SealingUpload, signal: AbortSignal): Promise<number> {
    const { name, from, to, extentKey } = upload
    const block = must(upload.remaining[0], "the upload has a next block")
    const written = await this.seams.blocks.reencode(
      {
        extent: from,
        block,
        owner: name,
        policy: to.policy,
        generation: to.generation,
        sealKey: extentKey,
        recoveryHeader: block === 0 ? upload.recoveryHeader : undefined,
      },
      signal,
    )
    if (written === undefined) return 0
    upload.remaining.shift()
    if (written.missingSlots.length > 0) upload.late.set(block, written.missingSlots)
    upload.hints.push(...written.hints)
    return blockShape(to, block).lengthBytes
  }

  /** Makes the rows reference the sealed blocks, once all are written. Throws `conflict`. */
  async swap({ name, from, to, sealing, late, hints }: SealingUpload): Promise<void> {
    const { metadata } = this.seams
    for (let at = 0; at < hints.length; at += HINTS_PER_COMMAND)
      await metadata.run(recordHints(hints.slice(at, at + HINTS_PER_COMMAND)))
    const { policy, generation } = to
    const runs = runsOf(blockCount(to))
    const written = runs.length === 0 ? to : reencodedExtent(to, policy, generation, { runs, kept: [] }, late)
    await metadata.run(swapSealed({ ...name, generation, from, to: written, sealing }))
  }

  /** The new blocks become a pending deletion. */
  async giveUp({ name }: SealingUpload): Promise<void> {
    await this.seams.metadata.run(giveUpReencoding(name))
  }
}

const runsOf = (blocks: number) => (blocks === 0 ? [] : [{ firstBlock: 0, lastBlock: blocks - 1 }])
