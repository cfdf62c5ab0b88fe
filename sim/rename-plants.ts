/** Planted bugs of renames, which tests must catch. */
import type { Edit, TestedPlant } from "./plants.js"

const DECISION = "packages/objects/src/commands/rename-core"
const SERVICE = "packages/objects/src/rename-service"

const plant = (bug: string, caughtBy: string, ...edits: readonly Edit[]): TestedPlant => ({
  bug: `rename: ${bug}`,
  edits,
  caughtBy,
})

const inDecision = (find: string, put: string): Edit => ({ file: `${DECISION}.ts`, find, put })
const inService = (find: string, put: string): Edit => ({ file: `${SERVICE}.ts`, find, put })

export const RENAME_PLANTS: readonly TestedPlant[] = [
  plant(
    "another version than the copied one is renamed",
    DECISION,
    inDecision("if (!isSame) throw", "if (0 > 1) throw"),
  ),
  plant(
    "a payload that was sealed meanwhile keeps the sealing of before",
    DECISION,
    inDecision('if (bytes.kind === "row" && !isSameSealing(record.sealing, sealing)) throw fail("conflict")', ""),
  ),
  plant(
    "a versioned bucket loses the version under the former key",
    DECISION,
    inDecision('if (versioningThere === "never") left.remove', 'if (versioningThere !== "suspended") left.remove'),
  ),
  plant(
    "an upload of a client is taken for copied parts",
    DECISION,
    inDecision("upload.renamedBy !== undefined && sealedBy", "sealedBy"),
  ),
  plant(
    "a token with other parameters counts as a repeat",
    DECISION,
    inDecision('if (parameters !== token?.parameters) throw fail("idempotencyMismatch")', ""),
  ),
  plant(
    "conditions on the destination are not evaluated",
    DECISION,
    inDecision("evaluateRename(conditions, isThere", "evaluateRename({}, isThere"),
  ),
  plant(
    "a full bucket counts the destination without the source",
    DECISION,
    inDecision("from, rename.clockMs, destination)", "from, rename.clockMs)"),
  ),
  plant(
    "bytes whose upload is forgotten are named",
    DECISION,
    inDecision('if (bytes.kind === "extent") checkOwnUpload(time, bytes.extent.uploadId)', ""),
  ),
  plant(
    "an archived object is renamed",
    SERVICE,
    inService("checkReadOfFeatures(record, () => reader.clockMs(), ingest.classes)", ""),
  ),
  plant(
    "copied parts stay if the source keeps changing",
    SERVICE,
    inService("await abort(metadata, address).catch(() => undefined)", ""),
  ),
  plant(
    "an object with parts that refer to others loses its parts",
    SERVICE,
    inService("if (await this.isOfParts(moving, manifest)) return", "if (manifest.parts < 0) return"),
  ),
  plant(
    "a part gets the number of another",
    SERVICE,
    inService("const part = { partNumber, md5,", "const part = { partNumber: 1, md5,"),
  ),
]
