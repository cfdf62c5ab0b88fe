/**
 * Newer uploads: which uploads that no row references, found after a database was rolled back, are certainly versions or
 * parts of their keys. Pure.
 *
 * Ids of one process are in the order in which its uploads began; those of different processes have no order. An upload
 * that was acknowledged has all its blocks as long as all devices were read, so an incomplete one was not. Objects of
 * segments are ordered by no upload: parts may be completed at any time, and bodies of shared blocks need no bytes of their own.
 * Where a key may have one that is newer, nothing is put back as its latest version.
 */
import type { UploadId } from "@hayloft/base/ids.js"
import type { BodyMatch } from "@hayloft/engine/block/index.js"
import type { RecoveryHeader } from "@hayloft/engine/format/needles/recovery-header.js"
import type { Versioning } from "@hayloft/engine/format/records.js"
import { incarnationOf } from "@hayloft/engine/format/needles/upload-id.js"

export interface NewerUpload {
  readonly uploadId: UploadId
  /** 0 for a single upload. */
  readonly part: number
  /** The header is undefined if it is lost. */
  readonly header: RecoveryHeader | undefined
  readonly body: BodyMatch
}

/** The rows of a key, after the rollback. */
export interface KeyAfterRollback {
  /** It is undefined if there is no bucket of that id, or it is being removed. */
  readonly versioning: Versioning | undefined
  /** The bytes of the latest version; undefined: there is none, or they are in its row. */
  readonly present: UploadId | undefined
  /** The reason why its latest version may be newer than any upload. */
  readonly doubt?: string | undefined
  readonly multipart: readonly MultipartFacts[]
}

interface MultipartFacts {
  readonly multipartId: string
  /** Its parts may not change any more. */
  readonly isSealed: boolean
  readonly parts: readonly { readonly partNumber: number; readonly uploadId: UploadId }[]
}

interface DecidedUpload {
  readonly upload: NewerUpload
  /** The reason why it is only listed; undefined: it is put back. */
  readonly reason: string | undefined
}

/** In the order in which they are to be put back. `isAllRead`: all devices of the store were read. */
export function decideKey(
  facts: KeyAfterRollback,
  uploads: readonly NewerUpload[],
  isAllRead: boolean,
): readonly DecidedUpload[] {
  const ordered = [...uploads].sort((a, b) => (a.uploadId < b.uploadId ? -1 : 1))
  if (facts.versioning === undefined) return ordered.map(upload => listed(upload, "its bucket does not exist any more"))
  const singles = ordered.filter(({ part }) => part === 0)
  const doubt = facts.doubt ?? doubtOf(ordered)
  const decided = decideGroup(singles, { isAllRead, present: facts.present, doubt }, facts.versioning === "enabled")
  const byPart = new Map<string, NewerUpload[]>()
  for (const upload of ordered.filter(({ part }) => part > 0)) {
    const name = `${upload.header?.multipartId ?? ""} ${upload.part}`
    byPart.set(name, [...(byPart.get(name) ?? []), upload])
  }
  const parts = [...byPart.values()].flatMap(group => decidePart(facts, group, isAllRead))
  return [...decided, ...parts]
}

function decidePart(
  { multipart }: KeyAfterRollback,
  group: readonly NewerUpload[],
  isAllRead: boolean,
): DecidedUpload[] {
  const [first] = group
  const of = multipart.find(({ multipartId }) => multipartId === first?.header?.multipartId)
  const all = (reason: string): DecidedUpload[] => group.map(upload => listed(upload, reason))
  if (of === undefined) return all("its multipart upload is unknown: it was begun since, or is no longer open")
  if (of.isSealed) return all("its multipart upload was being completed")
  const present = of.parts.find(({ partNumber }) => partNumber === first?.part)?.uploadId
  return decideGroup(group, { isAllRead, present, doubt: undefined }, false)
}

/** Returns why one of the uploads of a key, oldest first, may belong to an object of segments that is newer than all of them. */
function doubtOf(ordered: readonly NewerUpload[]): string | undefined {
  if (ordered.some(({ part }) => part > 0)) return "parts or appended bytes of its key may belong to a newer object"
  const newest = ordered.findLast(({ body }) => body.kind === "whole")
  const isNewer = ({ uploadId }: NewerUpload): boolean => newest === undefined || !isLater(newest.uploadId, uploadId)
  const run = ordered.find(upload => upload.body.kind === "incomplete" && upload.body.isStart && isNewer(upload))
  return run && `upload ${run.uploadId} may belong to a newer object that was deduplicated`
}

/** Uploads for one place, oldest first. `keepsAll`: each becomes a version. */
function decideGroup(
  group: readonly NewerUpload[],
  { isAllRead, present, doubt }: Pick<KeyAfterRollback, "present" | "doubt"> & { readonly isAllRead: boolean },
  keepsAll: boolean,
): DecidedUpload[] {
  const complete = group.filter(({ body }) => body.kind === "whole")
  const newest = complete.at(-1)
  const isOfOne = new Set(complete.map(({ uploadId }) => incarnationOf(uploadId))).size <= 1
  const isDoubtful = !isAllRead && complete.length < group.length
  return group.map(upload => {
    const { uploadId, header, body } = upload
    if (body.kind === "incomplete") return listed(upload, body.reason)
    if (header === undefined) return listed(upload, "its type and metadata are lost")
    if (isDoubtful) return listed(upload, "another upload of its key is incomplete, and not all devices were read")
    if (!isOfOne) return listed(upload, "uploads of several processes wrote its key: their order is unknown")
    if (present !== undefined && isLater(present, uploadId)) return listed(upload, "the present object is newer")
    if (doubt !== undefined) return listed(upload, doubt)
    if (!keepsAll && upload !== newest) return listed(upload, `upload ${newest?.uploadId} has overwritten it`)
    return { upload, reason: undefined }
  })
}

const listed = (upload: NewerUpload, reason: string): DecidedUpload => ({ upload, reason })

/** Returns true if an upload certainly began later than another one. */
export const isLater = (upload: UploadId, than: UploadId): boolean =>
  incarnationOf(upload) === incarnationOf(than) && upload > than
