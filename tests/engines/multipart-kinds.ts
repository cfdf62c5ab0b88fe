/** The commands on multipart uploads, with random arguments: from the creation to the completion or abort. */
import { MIB } from "@hayloft/base/limits.js"
import { STORAGE_CLASSES } from "@hayloft/base/storage-class.js"
import type { PartRecord } from "@hayloft/engine/format/records.js"
import {
  abortUpload,
  completeUpload,
  createUpload,
  putPart,
  putSegment,
  sealUpload,
  unsealUpload,
  type Completion,
  type FrozenParts,
  type UploadAddress,
} from "@hayloft/objects/commands/multipart-commands-core.js"
import { NO_CHECKSUM } from "@hayloft/objects/commands/row-editor-core.js"
import { restorePart } from "@hayloft/upkeep/reconcile/restore-commands-core.js"
import { sealedExtent } from "./encrypt-kinds.js"
import { ACCOUNTS, commandKind, type PlayKind, type Scene } from "./scene.js"

const TOKENS = [1, 2].map(number => new Uint8Array(16).fill(number))

/** Mostly the one that the upload is sealed with. */
function completionOf(scene: Scene, address: UploadAddress): Completion {
  const sealed = scene.upload(address)?.completion
  if (sealed !== undefined && !scene.oneIn(8)) return sealed
  const { own, other = own } = scene.actor
  return { incarnation: scene.oneIn(6) ? other : own, token: scene.pick(TOKENS) }
}

/** Mostly one that is sealed. */
function sealedAddress(scene: Scene): UploadAddress {
  const sealed = scene.addresses("uploads").filter(address => scene.upload(address)?.completion !== undefined)
  return sealed.length > 0 && !scene.oneIn(4) ? scene.pick(sealed) : scene.uploadAddress()
}

function newPart(scene: Scene, isSealed = false): Omit<PartRecord, "modifiedMs"> {
  const partNumber = 1 + scene.random.below(4)
  const extent = isSealed ? sealedExtent(scene.extent(partNumber)) : scene.extent(partNumber)
  return { partNumber, md5: scene.random.bytes(16), checksumValue: scene.pick([undefined, "AAAAAA=="]), extent }
}

/** The number of parts of every completed upload, and so of every segment. */
export const PARTS = 2

/** A segment of as many parts: of the upload's own, or of others that it had before. */
function segmentOf(scene: Scene, address: UploadAddress, number: number) {
  const others = Array.from({ length: PARTS }, () => ({ ...newPart(scene), modifiedMs: scene.nowMs }))
  return { offsetBytes: number * MIB, parts: [...scene.parts(address), ...others].slice(0, PARTS) }
}

export const lengthOf = (parts: readonly PartRecord[]): number =>
  parts.reduce((sum, { extent }) => sum + extent.lengthBytes, 0)

/** Usually an upload that can be completed. */
export function completionIn(scene: Scene) {
  const written = scene.addresses("segments").filter(({ multipartId }) => scene.upload({ multipartId }) !== undefined)
  const address = written.length > 0 && !scene.oneIn(8) ? scene.pick(written) : sealedAddress(scene)
  const parts = scene.segment(address)?.parts ?? scene.parts(address)
  const completion = completionOf(scene, address)
  const content = { kind: "segments", multipartId: address.multipartId, completion: completion.token } as const
  const stored = { content, payload: undefined, sizeBytes: lengthOf(parts), parts: PARTS }
  const { sealing } = scene.upload(address) ?? {}
  const bound = sealing && { ...sealing, bind: scene.random.bytes(16) }
  const described = {
    md5: scene.random.bytes(16),
    random: scene.random.bytes(8),
    details: scene.details(),
    ...(bound && !scene.oneIn(8) && { sealing: bound }),
  }
  const version = {
    ...stored,
    ...described,
    checksum: NO_CHECKSUM,
    storageClass: scene.pick(STORAGE_CLASSES),
    isShared: false,
  }
  const partsBytes = lengthOf(scene.parts(address))
  return { ...address, completion, conditions: scene.conditions(address), version, partsBytes }
}

/** Returns the frozen part list of the upload; undefined if it is not frozen, and sometimes if it is. */
export function frozenOf(scene: Scene, address: UploadAddress): FrozenParts | undefined {
  const completion = scene.upload(address)?.completion
  return completion && !scene.oneIn(8) ? { completion, partsBytes: lengthOf(scene.parts(address)) } : undefined
}

/** Mostly one that the upload does not have. */
function restore(scene: Scene) {
  const address = scene.uploadAddress()
  const present = scene.oneIn(4) ? scene.parts(address) : []
  return restorePart({ ...address, part: scene.pickOr<Omit<PartRecord, "modifiedMs">>(present, () => newPart(scene)) })
}

export const MULTIPART_COMMANDS: readonly PlayKind[] = [
  commandKind("CreateUpload", 6, scene => {
    const { bucketId, key } = scene.object()
    const checksum = scene.pick([undefined, { algorithm: "CRC32", type: "FULL_OBJECT" } as const])
    const upload = { checksum, details: scene.details(), initiator: scene.pick(ACCOUNTS), completion: undefined }
    const ofRename = scene.oneIn(3) ? { renamedBy: scene.actor.own } : {}
    return createUpload({ bucketId, key, multipartId: scene.newMultipartId() }, { ...upload, ...ofRename })
  }),
  commandKind("PutPart", 12, scene => {
    const address = scene.uploadAddress()
    const isSealed = scene.upload(address)?.sealing !== undefined && !scene.oneIn(4)
    return putPart({ ...address, part: newPart(scene, isSealed), hints: scene.hints() })
  }),
  commandKind("RestorePart", 3, restore),
  commandKind("SealUpload", 5, scene => {
    const address = scene.uploadAddress()
    return sealUpload(address, completionOf(scene, address))
  }),
  commandKind("UnsealUpload", 2, scene => {
    const address = sealedAddress(scene)
    return unsealUpload(address, completionOf(scene, address))
  }),
  commandKind("PutSegment", 10, scene => {
    const address = sealedAddress(scene)
    const number = scene.oneIn(8) ? 1 : 0
    return putSegment(address, completionOf(scene, address), number, segmentOf(scene, address, number))
  }),
  commandKind("CompleteUpload", 7, scene => completeUpload(completionIn(scene))),
  commandKind("AbortUpload", 2, scene => {
    const address = scene.uploadAddress()
    return abortUpload(address, frozenOf(scene, address))
  }),
]
