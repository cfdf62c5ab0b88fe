/**
 * Byte sealer: encrypts what existing rows reference, a payload at once, an upload block by block: it announces the
 * new needles with an intent row, writes them, and then one command makes every row that references the upload
 * reference them.
 *
 * Promises  At any moment a row references whole bytes, and its sealing opens them. An interruption leaves unreferenced
 *           needles and their intent, which the next attempt or re-encoding gives up.
 */
import { must } from "../../base/assert.js"
import { fail } from "../../base/failures.js"
import type { BucketId, ObjectKey } from "../../base/ids.js"
import { owned } from "../../base/lent.js"
import { COMMAND_ROWS_MAX } from "../../base/limits.js"
import type { Policy } from "../../base/policy.js"
import { blockShape, type Blocks } from "../../block/index.js"
import { blockCount, type Extent } from "../../format/extent.js"
import { RECOVERY_HEADER_BYTES_MAX } from "../../format/needle.js"
import { isSameSealing, type BoundSealing, type Sealing } from "../../format/sealing.js"
import type { VersionHead } from "../../format/version-record.js"
import type { ObjectKeys, Protection } from "../../keys/contract.js"
import { extentKeyOf } from "../../keys/index.js"
import type { Metadata } from "../../metadata/index.js"
import type { Compute } from "../../seams/compute/contract.js"
import {
  addSealing,
  bytesToSeal,
  sealPayload,
  swapSealed,
  type SharedBytes,
} from "../commands/encrypt-commands-core.js"
import { beginReencoding, giveUpReencoding } from "../commands/reencode-commands-core.js"
import { HINTS_PER_COMMAND, recordHints, type MissingShardHint } from "../commands/version-commands-core.js"
import { factsOf } from "../encryption-core.js"
import type { UploadName } from "../queries/named-extents-core.js"
import { sealedExtentOf, sealedHeader, type EncryptFamily, type EncryptRow } from "./encrypt-core.js"
import { reencodedExtent } from "./reencode-core.js"

const AT_REST: Protection = { mode: "atRest" }
/** Versions of an object that share bytes change in one command. */
const SHARING_MAX = COMMAND_ROWS_MAX / 2

interface SealerSeams {
  readonly metadata: Metadata
  readonly blocks: Pick<Blocks, "reencode">
  readonly keys: ObjectKeys
  readonly compute: Pick<Compute, "seal">
  /** Generations are above it. */
  readonly policyVersion: () => number
}

/** The sealing of bytes, and their key. */
interface KeyOfBytes {
  readonly sealing: Sealing
  readonly key: Uint8Array
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
    const sealing = await this.bound(bucketId, key, created.sealing, head)
    const payload = compute.seal(plain, { key: created.key, block: 0, segment: 0, isLast: true })
    return metadata.run(sealPayload({ bucketId, key, head, sealing, payload }))
  }

  private async bound(bucketId: BucketId, key: ObjectKey, sealing: Sealing, head: VersionHead): Promise<BoundSealing> {
    return this.seams.keys.bind(sealing, factsOf(bucketId, key, head))
  }

  /**
   * Gives what has these bytes a sealing, unless it has one; from then on new parts of an open upload are sealed.
   * Undefined: nothing has these bytes any more. Throws `conflict`, `keysUnavailable`.
   */
  async keyOf(bytes: SharedBytes): Promise<KeyOfBytes | undefined> {
    const { metadata, keys } = this.seams
    const { bucketId, key } = bytes
    const { heads, isKept, sealing: before } = await metadata.ask(bytesToSeal(bytes))
    if (!isKept) return undefined
    if (before !== undefined) return { sealing: before, key: await keys.open(bucketId, before, undefined) }
    if (heads.length > SHARING_MAX)
      throw fail("conflict", { message: `more than ${SHARING_MAX} versions share these bytes: delete some` })
    const created = await keys.create(bucketId, AT_REST)
    const binds = new Map<number, Uint8Array>()
    for (const head of heads) binds.set(head.order, (await this.bound(bucketId, key, created.sealing, head)).bind)
    const sealing = await metadata.run(addSealing({ ...bytes, sealing: created.sealing, binds }))
    if (sealing === undefined) return undefined
    if (isSameSealing(sealing, created.sealing)) return { sealing, key: created.key }
    return { sealing, key: await keys.open(bucketId, sealing, undefined) }
  }

  /**
   * Announces the sealed blocks of an upload. Undefined: rows reference it no longer, or in another place. The caller
   * holds the upload. Throws `conflict` while others change it, and as `keyOf`.
   */
  async begin({ bytes, extent: from, policy }: PlainUpload): Promise<SealingUpload | undefined> {
    const { metadata, policyVersion } = this.seams
    const found = await this.keyOf(bytes)
    if (found === undefined) return undefined
    const { sealing, key } = found
    const name = { bucketId: bytes.bucketId, key: bytes.key, uploadId: from.uploadId }
    const planned = sealedExtentOf(from, policy, 0)
    const recoveryHeader = await metadata.ask(sealedHeader(name, planned))
    if (recoveryHeader === undefined) return undefined
    if (recoveryHeader.length > RECOVERY_HEADER_BYTES_MAX)
      throw fail("metadataTooLarge", { message: "content type and user metadata leave no space for the encryption" })
    const blocks = blockCount(planned)
    const begin = {
      ...{ ...name, from, policy, runs: runsOf(blocks), sealedLengthBytes: planned.lengthBytes },
      generationFloor: policyVersion(),
    }
    const generation = await metadata.run(beginReencoding(begin))
    if (generation === undefined) return undefined
    return {
      ...{ name, from, sealing, recoveryHeader },
      to: sealedExtentOf(from, policy, generation),
      extentKey: extentKeyOf(key, from.uploadId, from.part),
      ...{ remaining: Array.from({ length: blocks }, (_, block) => block), late: new Map(), hints: [] },
    }
  }

  /** Writes the next block of an upload that has one. Returns its stored bytes; 0 if memory is short. */
  async writeBlock(upload: SealingUpload, signal: AbortSignal): Promise<number> {
    const { name, from, to, extentKey } = upload
    const block = must(upload.remaining[0], "the upload has a next block")
    const written = await this.seams.blocks.reencode(
      {
        ...{ extent: from, block, owner: name, policy: to.policy, generation: to.generation, sealKey: extentKey },
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
