/** Planted bugs of undelete, which tests must catch. */
import type { Edit, TestedPlant } from "./plants.js"

const COMMANDS = "packages/features/src/undelete/undelete-commands-core"
const EDITOR = "packages/objects/src/commands/row-editor-core.ts"
const PART = "packages/features/src/undelete/part-core.ts"

const plant = (bug: string, caughtBy: string, ...edits: readonly Edit[]): TestedPlant => ({
  bug: `undelete: ${bug}`,
  edits,
  caughtBy,
})

export const UNDELETE_PLANTS: readonly TestedPlant[] = [
  plant("bytes of kept rows count as unreferenced", COMMANDS, {
    file: "packages/objects/src/queries/versions-of-bytes-core.ts",
    find: "for (const family of VERSION_FAMILIES) yield*",
    put: 'for (const family of ["current", "versions"] as const) yield*',
  }),
  plant("what is kept is released, too", COMMANDS, {
    file: EDITOR,
    find: "if (!isKept) this.deleteContentLater(record)",
    put: "this.deleteContentLater(record)",
  }),
  plant("a restore does not count what is no longer kept", COMMANDS, {
    file: PART,
    find: "this.objects -= 1\n    this.bytes -= sizeBytes",
    put: "this.bytes -= sizeBytes > 0 ? 0 : 0",
  }),
  plant(
    "what is kept loses details that have a row of their own",
    COMMANDS,
    {
      file: PART,
      find: "const details = readDetails(view, change.row, record)",
      put: "const details = record.details ?? (readDetails(view, change.row, record), NO_DETAILS)",
    },
    {
      file: PART,
      find: 'import { keptIn } from "./kept-queries-core.js"',
      put: 'import { NO_DETAILS } from "@hayloft/engine/format/objects/version-record.js"\nimport { keptIn } from "./kept-queries-core.js"',
    },
  ),
  plant("of several objects of one decision only the last is counted", "packages/objects/src/door/decision-rows", {
    file: "packages/objects/src/commands/finished-edits-core.ts",
    find: "before === undefined ? change : addUsage(before, change)",
    put: "before === undefined ? change : change",
  }),
  plant("a purge removes what is to be kept longer", COMMANDS, {
    file: "packages/features/src/undelete/undelete-commands-core.ts",
    find: "if (untilMs > nowMs) continue",
    put: "",
  }),
  plant("a restore releases what it replaces where nothing else is kept any more", COMMANDS, {
    file: PART,
    find: "this.undeletedForMs = forMs",
    put: "this.undeletedForMs = forMs < 0 ? forMs : undefined",
  }),
  plant("a purge of objects with long extents is larger than an entry", COMMANDS, {
    file: "packages/features/src/undelete/deleted-rows-core.ts",
    find: "if (rows === max || dueBytes >= PURGED_BYTES_MAX)",
    put: "if (rows === max)",
  }),
  plant("a wall clock that lags shortens how long something is kept", COMMANDS, {
    file: PART,
    find: "Math.max(time.nowMs, change.clockMs) + forMs",
    put: "time.nowMs + forMs",
  }),
  plant("a purge goes by a clock that is doubtful", "packages/features/src/undelete/purge-deleted", {
    file: "packages/objects/src/due-time.ts",
    find: "if (storeClock.isDoubtful) return undefined",
    put: "",
  }),
  plant("what is kept shares its bytes with a copy", COMMANDS, {
    file: "packages/objects/src/commands/version-commands-core.ts",
    find: "if (put.sharesWith !== undefined && keptForMs(bucket) !== undefined) throw",
    put: "if (put.sharesWith !== undefined && keptForMs(bucket) === -1) throw",
  }),
  plant("a rescue takes the bytes of kept versions for new objects", "packages/node/src/rescue/rescue-undelete", {
    file: "packages/node/src/rescue/key-rows-core.ts",
    find: 'for (const { value } of of("deleted")) {',
    put: 'for (const { value } of of("tablets")) {',
  }),
  plant("kept versions do not need their named keys", "packages/objects/src/bodies/key-uses", {
    file: "packages/objects/src/queries/key-uses-core.ts",
    find: "for (; next.done !== true; next = deleted.next()) yield recordIn(next.value)\n}",
    put: "}",
  }),
  plant("what is kept of an erased bucket stays", "packages/node/src/erase/erasures", {
    file: "packages/features/src/undelete/feature.ts",
    find: "if (rows.length > 0) await core.metadata.run(purgeDeleted({ bucketId, rows }))\n        return rows.length > 0",
    put: "return rows.length < 0 && purgeDeleted !== undefined",
  }),
  plant("what is kept stays plain in a store that encrypts", "packages/features/src/undelete/undelete", {
    file: "packages/upkeep/src/encrypt/encrypt-core.ts",
    find: '"versions", "deleted", "current"] as const',
    put: '"versions", "current"] as const',
  }),
  plant("segments of kept versions wait for nothing", "packages/features/src/undelete/undelete", {
    file: "packages/objects/src/queries/versions-of-bytes-core.ts",
    find: "?? firstOf(searched(view, row, id))",
    put: "",
  }),
  plant("a bucket opts in before the devices refuse earlier releases", "packages/features/src/undelete/undelete", {
    file: "packages/features/src/undelete/undelete.ts",
    find: "if (days !== undefined) await this.prepare()",
    put: "",
  }),
]
