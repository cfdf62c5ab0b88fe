/** Renames, with random arguments: of payloads in rows, of copied extents, and of uploads with copied parts. */
import type { BucketId } from "@hayloft/base/ids.js"
import type { UploadAddress } from "@hayloft/objects/commands/multipart-commands-core.js"
import { renamable, renameObject, type Rename, type RenamedBytes } from "@hayloft/objects/commands/rename-core.js"
import { commandKind, queryKind, type PlayKind, type Scene, type StoredVersion } from "./scene.js"

const TOKENS = [undefined, undefined, { token: "t", parameters: "a" }, { token: "t", parameters: "b" }]

/** Mostly of an object that is there, to another key of its bucket. */
function renameOf(scene: Scene, of: StoredVersion | undefined, to = scene.key(), toBucketId?: BucketId): Rename {
  const { bucketId: fromBucketId, key: from } = of ?? scene.object()
  const bucketId = toBucketId ?? fromBucketId
  const conditions = scene.conditions({ bucketId, key: to })
  const sourceConditions = scene.conditions({ bucketId: fromBucketId, key: from })
  const elsewhere = toBucketId === undefined ? {} : { fromBucketId }
  return { bucketId, from, to, conditions, sourceConditions, token: scene.pick(TOKENS), ...elsewhere }
}

const sources = (scene: Scene): readonly StoredVersion[] =>
  scene.versions().filter(({ family }) => family === "current")

/** A rename to any bucket; undefined if there is no object. */
export function renameAnywhere(scene: Scene) {
  const found = sources(scene)
  if (found.length === 0) return undefined
  const source = scene.pick(found)
  const { head, sealing } = source.record
  const bound = sealing && { ...sealing, bind: scene.random.bytes(16) }
  const what = { version: head, bytes: bytesOf(scene, source), sealing: bound, hints: [], clockMs: scene.nowMs }
  const replaceAcl = scene.oneIn(3) ? { replaceAcl: { acl: undefined } } : {}
  const token = { token: undefined }
  return {
    ...renameOf(scene, source, scene.key(), scene.bucketId()),
    ...what,
    ...random(scene),
    ...replaceAcl,
    ...token,
  }
}

/** An upload with copied parts that is frozen, if there is one. */
function copied(scene: Scene): UploadAddress | undefined {
  const ready = scene.addresses("uploads").filter(address => {
    const upload = scene.upload(address)
    return upload?.renamedBy !== undefined && upload.completion !== undefined
  })
  return ready.length === 0 ? undefined : scene.pick(ready)
}

function bytesOf(scene: Scene, { record }: StoredVersion): RenamedBytes {
  if (record.content.kind !== "inline" || scene.oneIn(12)) return { kind: "extent", extent: scene.extent(0) }
  const payload = scene.random.bytes(record.head.sizeBytes)
  return scene.oneIn(4) ? { kind: "payload", payload } : { kind: "row" }
}

const random = (scene: Scene) => ({ random: scene.random.bytes(8), markerRandom: scene.random.bytes(8) })

function rename(scene: Scene) {
  const found = sources(scene)
  if (found.length === 0) return undefined
  const source = scene.pick(found)
  const { head, sealing } = source.record
  const version = scene.oneIn(12) ? { order: head.order + 1, random: head.random } : head
  const bound = sealing && !scene.oneIn(8) ? { ...sealing, bind: scene.random.bytes(16) } : undefined
  const what = { version, bytes: bytesOf(scene, source), sealing: bound, hints: scene.hints(), clockMs: scene.nowMs }
  return renameObject({ ...renameOf(scene, source), ...what, ...random(scene) })
}

function renameOfParts(scene: Scene) {
  const address = copied(scene)
  const found = sources(scene).filter(
    ({ bucketId, key, record }) =>
      bucketId === address?.bucketId && key !== address.key && record.content.kind !== "inline",
  )
  const upload = address && scene.upload(address)
  if (address === undefined || upload?.completion === undefined || found.length === 0) return rename(scene)
  const source = scene.pick(found)
  const { sealing, completion } = upload
  const bound = sealing && !scene.oneIn(8) ? { ...sealing, bind: scene.random.bytes(16) } : undefined
  const bytes = { kind: "segments", multipartId: address.multipartId, completion } as const
  const what = { version: source.record.head, bytes, sealing: bound, hints: [], clockMs: scene.nowMs }
  return renameObject({ ...renameOf(scene, source, address.key), ...what, ...random(scene) })
}

export const RENAME_COMMANDS: readonly PlayKind[] = [
  commandKind("RenameObject", 7, rename),
  commandKind("RenameObject", 4, renameOfParts),
]

export const RENAME_QUERIES: readonly PlayKind[] = [
  queryKind("Renamable", scene => {
    const found = sources(scene)
    return renamable(renameOf(scene, found.length === 0 ? undefined : scene.pick(found)), scene.nowMs)
  }),
]
