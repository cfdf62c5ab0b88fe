/** Planted bugs of appends, which tests must catch. */
import type { Edit, TestedPlant } from "./plants.js"

const TEST = "packages/features/src/appends/append-service"
const COMMANDS = "packages/features/src/appends/append-commands-core.ts"

const plant = (bug: string, ...edits: readonly Edit[]): TestedPlant => ({
  bug: `appends: ${bug}`,
  edits,
  caughtBy: TEST,
})
const inCommands = (find: string, put: string): Edit => ({ file: COMMANDS, find, put })

const ofReferences = (bug: string, ...edits: readonly Edit[]): TestedPlant => ({
  bug: `references: ${bug}`,
  edits,
  caughtBy: "packages/features/src/appends/concatenation",
})
const inReferences = (find: string, put: string): Edit => ({
  file: "packages/objects/src/commands/reference-commands-core.ts",
  find,
  put,
})

export const APPEND_PLANTS: readonly TestedPlant[] = [
  plant(
    "a decision does not look for an append with the same id",
    inCommands("if (record && repeated !== undefined) {", "if (record && repeated !== undefined && time.nowMs < 0) {"),
  ),
  plant(
    "an offset that is not the end of the object is accepted",
    inCommands("if (atOffset !== undefined && atOffset !== sizeBytes)", "if (atOffset === -1)"),
  ),
  plant("a small object may have been replaced since its bytes were moved", {
    file: "packages/objects/src/commands/segments-core.ts",
    find: "if (moved?.order !== head.order)",
    put: "if (moved === undefined)",
  }),
  plant(
    "full segments are not noted",
    inCommands("if (last?.isOpen === true && !isRoom)", "if (last?.isOpen === true && offsetBytes < 0)"),
  ),
  plant("the open end is re-encoded", {
    file: "packages/upkeep/src/reencode/reencode.ts",
    find: "isOpenEnd(family, row) ? policyOfOpenEnd(ofRow) : ofRow",
    put: "ofRow",
  }),
  plant("readers go on with the next segment of the time before a merge", {
    file: "packages/objects/src/bodies/object-reader.ts",
    find: "yield { segment, ownOffsetBytes: at, lengthBytes: next - at, offsetBytes: at }",
    put: "yield { segment, ownOffsetBytes: segment.offsetBytes, lengthBytes: next - segment.offsetBytes, offsetBytes: at }",
  }),
  plant(
    "sealed copies keep their bytes",
    inCommands("for (const part of segment.parts) editor.deleteLater", "for (const part of []) editor.deleteLater"),
  ),
  ofReferences("segments are deleted although others reference them", {
    file: "packages/objects/src/commands/reference-commands-core.ts",
    find: "return (record !== undefined && record.count > 0) ||",
    put: "return (record !== undefined && record.count < 0) ||",
  }),
  ofReferences(
    "the last reference deletes nothing",
    inReferences("if (count > 0 || !isReleased) continue", "if (count === 0 || !isReleased) continue"),
  ),
  ofReferences(
    "a reference is counted once for all objects that have it",
    inReferences("count: before.count + added", "count: Math.max(before.count, added)"),
  ),
  ofReferences("a source may be gone when it is referenced", {
    file: "packages/features/src/appends/concatenation-commands-core.ts",
    find: "if (!isSame || record.sealing !== undefined) throw fail",
    put: "if (record?.sealing !== undefined) throw fail",
  }),
  ofReferences("bytes whose object is gone are not repaired", {
    file: "packages/objects/src/commands/reencode-commands-core.ts",
    find: "return referencesTo(view, referencesRowKey(bucketId, { key, multipartId })) !== undefined",
    put: "return false",
  }),
  ofReferences(
    "an append goes into a segment that references others",
    inCommands("segment.source === undefined && (segment.isOpen", "(segment.isOpen"),
  ),
  ofReferences("ranges of references begin at their sources' first bytes", {
    file: "packages/objects/src/bodies/object-reader.ts",
    find: "first: source.offsetBytes + at - offsetBytes",
    put: "first: source.offsetBytes",
  }),
  ofReferences("referenced bytes get the redundancy of their own object's class", {
    file: "packages/upkeep/src/reencode/policies-of-rows.ts",
    find: " || each === ofClass.referencedIn",
    put: "",
  }),
  ofReferences(
    "bytes are encrypted that objects without their key reference",
    {
      file: "packages/upkeep/src/encrypt/encrypt.ts",
      find: "else if (row.isReferenced) continue",
      put: "else if (row.rowKey.length === 0) continue",
    },
    {
      file: "packages/objects/src/commands/encrypt-commands-core.ts",
      find: "if (isReferenced(view, add)) throw fail",
      put: "if (isReferenced(view, add) && time.nowMs < 0) throw fail",
    },
  ),
]
