/**
 * Named keys of a rescue: their rows are in the snapshot, the materials of built-in ones in the control record.
 *
 * Promises  No key is deleted by the passing of time before the objects that use it have come back. A key has a version
 *           for each of its materials.
 */
import { must } from "@hayloft/base/assert.js"
import type { AccountId, KmsKeyId } from "@hayloft/base/ids.js"
import type { KmsKeyRecord } from "@hayloft/engine/format/accounts/kms-records.js"
import type { RescueEntry } from "./report.js"
import type { SourceKeys } from "./source-keys.js"
import type { RescueTarget } from "./target.js"

const NO_ROW = "its description, policy and aliases are lost: the root account has it now"
const WAS_PENDING = "it was to be deleted: it is disabled now"

interface Keys {
  readonly source: Pick<SourceKeys, "materialIds" | "materialsOf">
  /** The rows of the snapshot. */
  readonly rows: ReadonlyMap<KmsKeyId, KmsKeyRecord>
  readonly ownerOf: (owner: AccountId) => AccountId
  /** The number of an account in the former store; undefined if it is lost. */
  readonly numberOf: (owner: AccountId) => string | undefined
}

/** Adds all keys, also those of which only the materials are left; lists those whose materials are lost. */
export async function addNamedKeys(
  { source, rows, ownerOf, numberOf }: Keys,
  target: Pick<RescueTarget, "addNamedKey">,
  list: RescueEntry["list"],
  onEntry: (entry: RescueEntry) => Promise<void>,
): Promise<void> {
  for (const id of new Set([...rows.keys(), ...source.materialIds])) {
    const row = rows.get(id)
    const materials = row?.external === undefined ? source.materialsOf(id, row?.versions.length) : []
    if (typeof materials === "string") {
      await onEntry({ list: "incomplete", kind: "key", name: id, isWritten: false, notes: [materials] })
      continue
    }
    const formerNumber = row && numberOf(row.accountId)
    const key = row && { record: { ...restored(row, materials), accountId: ownerOf(row.accountId) }, formerNumber }
    await target.addNamedKey(id, key, materials)
    const notes = row ? (row.state === "pendingDeletion" ? [WAS_PENDING] : []) : [NO_ROW]
    await onEntry({ list: row ? list : "probable", kind: "key", name: id, isWritten: true, notes })
  }
}

/** The new store counts no uses of a key while its objects are missing, so a deletion that is due would begin. */
function restored(row: KmsKeyRecord, materials: readonly Uint8Array[]): KmsKeyRecord {
  const isPending = row.state === "pendingDeletion"
  const { createdMs } = must(row.versions.at(-1), "a key has versions")
  // Rotations since the snapshot, at unknown times.
  const later = materials.slice(row.versions.length).map(() => ({ createdMs, isOnDemand: false }))
  return {
    ...row,
    versions: [...row.versions, ...later],
    ...(isPending && { state: "disabled", deletionMs: undefined }),
  }
}
