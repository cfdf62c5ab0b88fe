/** The model's renames: of one moment, a version gets another key. */
import { isDeepStrictEqual } from "node:util"
import { fail } from "@hayloft/base/failures.js"
import { textOfObjectKey } from "@hayloft/base/ids.js"
import type { Conditions, PutResult, RenameRequest, Renames } from "@hayloft/objects/contract.js"
import { checkCopySource } from "./conditions.js"
import { newLock } from "./locks.js"
import { findNamed } from "./objects.js"
import type { ModelObject, ModelState, ModelVersion } from "./state.js"
import { addVersion, dropVersion, currentOf } from "./state.js"

/** The rename that made a version. */
interface Made {
  readonly token: string
  readonly parameters: unknown
  readonly result: PutResult
}

export class ModelRenames implements Renames {
  readonly #made = new WeakMap<ModelVersion, Made>()

  constructor(private readonly state: ModelState) {}

  async rename(request: RenameRequest): Promise<PutResult> {
    const { from, to, sourceConditions, conditions, clientToken } = request
    const bucket = this.state.open(request.bucket)
    const there = request.fromBucket === undefined ? bucket : this.state.open(request.fromBucket)
    const parameters = [from, sourceConditions, conditions, there.bucket.id]
    const replaced = currentOf(bucket, to)
    const made = replaced && this.#made.get(replaced)
    if (clientToken !== undefined && made?.token === clientToken) {
      if (!isDeepStrictEqual(made.parameters, parameters)) throw fail("idempotencyMismatch")
      return made.result
    }
    if (request.isRepeated === true) throw fail("noSuchKey", { sourceKey: textOfObjectKey(from) })
    if (from === to && there === bucket) throw fail("invalidRequest")
    const version = findNamed(there, { key: from })
    checkCopySource(sourceConditions, version)
    checkDestination(conditions, replaced?.kind === "object" ? replaced : undefined)
    await request.checkEncryption?.(version.info.encryption)
    const mode = version.info.encryption?.mode
    if (there !== bucket && (mode === "kms" || mode === "client")) throw fail("notImplemented")
    const { versioning } = bucket.bucket
    const { rank, versionId } = this.state.nextVersion(versioning)
    const lastModifiedMs = this.state.nextModifiedMs(bucket, to)
    const given = newLock(bucket.bucket, undefined, this.state.clock.wallMs())
    const { retention = given?.retention, legalHold } = version.info.lock ?? {}
    const lock = retention === undefined && legalHold === undefined ? undefined : { retention, legalHold }
    const info = { ...version.info, versionId, lastModifiedMs, lock, stream: undefined }
    const acl = there === bucket ? version.acl : request.elsewhere?.acl
    const moved: ModelObject = { ...version, acl, body: version.body.slice(), rank, writtenMs: lastModifiedMs, info }
    addVersion(bucket, to, moved)
    if (there.bucket.versioning === "never") dropVersion(there, from, version.info.versionId)
    else {
      const marker = this.state.nextVersion(there.bucket.versioning)
      const markedMs = this.state.nextModifiedMs(there, from)
      addVersion(there, from, {
        kind: "marker",
        rank: marker.rank,
        info: { versionId: marker.versionId, lastModifiedMs: markedMs },
      })
    }
    const { etag, checksum, sizeBytes, encryption } = info
    const shown = versioning === "never" ? undefined : versionId
    const result = { versionId: shown, etag, checksum, sizeBytes, lastModifiedMs, encryption }
    if (clientToken !== undefined) this.#made.set(moved, { token: clientToken, parameters, result })
    return result
  }
}

function checkDestination(conditions: Conditions, object: ModelObject | undefined): void {
  if (object !== undefined) return checkCopySource(conditions, object)
  if (conditions.ifMatch !== undefined) throw fail("noSuchKey")
  if (conditions.ifNoneMatch === undefined && conditions.ifModifiedSinceMs !== undefined) {
    throw fail("preconditionFailed")
  }
}
