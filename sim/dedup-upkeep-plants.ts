/** Planted bugs of the upkeep of deduplication, which tests must catch. */
import type { Edit, TestedPlant } from "./plants.js"

const FOLDER = "packages/features/src/dedup"

const plant =
  (test: string) =>
  (bug: string, ...edits: readonly Edit[]): TestedPlant => ({
    bug: `dedup upkeep: ${bug}`,
    edits,
    caughtBy: `${FOLDER}/${test}`,
  })
const inHistories = plant("histories")
const ofReferences = plant("references")
const ofDigests = plant("dedup-upkeep")
const edit = (file: string, find: string, put: string): Edit => ({ file: `${FOLDER}/${file}.ts`, find, put })
const ofRecount = (find: string, put: string): Edit => ({ file: "packages/objects/src/queries/recount.ts", find, put })

export const DEDUP_UPKEEP_PLANTS: readonly TestedPlant[] = [
  ofReferences("a row of references may change and be the same again", {
    file: "packages/engine/src/format/objects/references-record.ts",
    find: "changes: (before.changes ?? 0) + 1",
    put: "changes: 0",
  }),
  inHistories(
    "a count is compared although its row has changed",
    ofRecount("const isChanging = !isSame(left.get(rowKey), value)", "const isChanging = false"),
  ),
  ofReferences(
    "a repair sets a count that has changed since",
    edit("repair-commands-core", "if (!isSame) return", "if (!isSame && time.nowMs < 0) return"),
  ),
  ofReferences(
    "released segments stay when a repair counts no references",
    edit("repair-commands-core", "const isOver = before.isReleased && count === 0", "const isOver = false"),
  ),
  ofReferences("parts that are missing in the middle of a source are not noticed", {
    file: "packages/objects/src/queries/manifest-core.ts",
    find: 'if (isFailure(error, "corruptRecord")) return false',
    put: 'if (isFailure(error, "corruptRecord")) return true',
  }),
  ofDigests(
    "an entry of the index is not compared with the digest",
    edit("checks-core", "return blockIndexRowKey(bucketId, block.digest) === rowKey", "return rowKey.length > 0"),
  ),
  ofDigests(
    "a verification does not add what the index lacks",
    edit(
      "dedup-work",
      "?? this.addIfPossible(rowKey)",
      "?? (this.request.isOn ? undefined : this.addIfPossible(rowKey))",
    ),
  ),
  ofDigests(
    "bytes that are referenced by half are copied",
    edit("released", "found.bytes >= bytes * shareMin", "found.bytes > bytes * shareMin"),
  ),
  ofDigests(
    "digests are stored of an object that was replaced",
    edit("digests-core", "|| !isSameBytes(before, record)) return", ") return"),
  ),
  ofDigests(
    "an object that gets segments is another one for clients",
    edit(
      "digests-core",
      "editor.setContent(found, segmentsOf(",
      "editor.markModified(found)\n      editor.setContent(found, segmentsOf(",
    ),
  ),
]
