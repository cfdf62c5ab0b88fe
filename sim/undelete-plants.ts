/** Planted bugs of undelete, which tests must catch. */
import type { Edit, TestedPlant } from "./plants.js"

const COMMANDS = "src/features/undelete/undelete-commands-core"
const EDITOR = "src/object/commands/row-editor-core.ts"
const PART = "src/features/undelete/part-core.ts"

const plant = (bug: string, caughtBy: string, ...edits: readonly Edit[]): TestedPlant => ({
  ...{ bug: `undelete: ${bug}`, edits, caughtBy },
})

export const UNDELETE_PLANTS: readonly TestedPlant[] = [
  plant("bytes of kept rows count as unreferenced", COMMANDS, {
    file: "src/object/queries/named-extents-core.ts",
    find: "for (const family of VERSION_FAMILIES) {\n    for (const [rowKey, row] of view.range(family, found)) {",
    put: 'for (const family of ["current", "versions"] as const) {\n    for (const [rowKey, row] of view.range(family, found)) {',
  }),
  plant("what is kept is released, too", COMMANDS, {
    file: EDITOR,
    find: "if (!isKept) this.releaseContent(record)",
    put: "this.releaseContent(record)",
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
      put: 'import { NO_DETAILS } from "../../format/version-record.js"\nimport { keptIn } from "./kept-queries-core.js"',
    },
  ),
  plant("of several objects of one decision only the last is counted", "src/object/door/decision-rows", {
    file: "src/object/commands/finished-edits-core.ts",
    find: "before === undefined ? change : addUsage(before, change)",
    put: "before === undefined ? change : change",
  }),
  plant("a purge removes what is to be kept longer", COMMANDS, {
    file: "src/features/undelete/undelete-commands-core.ts",
    find: "if (untilMs > nowMs) continue",
    put: "",
  }),
  plant("a restore releases what it replaces where nothing else is kept any more", COMMANDS, {
    file: PART,
    find: "this.undeletedForMs = forMs",
    put: "this.undeletedForMs = forMs < 0 ? forMs : undefined",
  }),
  plant("a purge of objects with long extents is larger than an entry", COMMANDS, {
    file: "src/features/undelete/deleted-rows-core.ts",
    find: "if (rows === max || dueBytes >= PURGED_BYTES_MAX)",
    put: "if (rows === max)",
  }),
  plant("a wall clock that lags shortens how long something is kept", COMMANDS, {
    file: PART,
    find: "Math.max(time.nowMs, change.clockMs) + forMs",
    put: "time.nowMs + forMs",
  }),
  plant("a purge goes by a clock that is doubtful", "src/features/undelete/purge-deleted", {
    file: "src/features/undelete/purge-deleted.ts",
    find: 'if (storeClock.isDoubtful) return "idle"',
    put: "",
  }),
  plant("what is kept shares its bytes with a copy", COMMANDS, {
    file: "src/object/commands/version-commands-core.ts",
    find: "if (put.sharesWith !== undefined && keptForMs(bucket) !== undefined) throw",
    put: "if (put.sharesWith !== undefined && keptForMs(bucket) === -1) throw",
  }),
  plant("a rescue takes the bytes of kept versions for new objects", "src/rescue/rescue-undelete", {
    file: "src/rescue/key-rows-core.ts",
    find: 'for (const { value } of of("deleted")) {',
    put: 'for (const { value } of of("tablets")) {',
  }),
  plant("kept versions do not need their named keys", "src/object/key-uses", {
    file: "src/object/queries/key-uses-core.ts",
    find: "for (; next.done !== true; next = deleted.next()) yield recordIn(next.value)\n}",
    put: "}",
  }),
  plant("what is kept of an erased bucket stays", "src/node/erase/erasures", {
    file: "src/features/undelete/feature.ts",
    find: "if (rows.length > 0) await core.metadata.run(purgeDeleted({ bucketId, rows }))\n        return rows.length > 0",
    put: "return rows.length < 0 && purgeDeleted !== undefined",
  }),
  plant("what is kept stays plain in a store that encrypts", "src/features/undelete/undelete", {
    file: "src/object/jobs/encrypt-core.ts",
    find: '"versions", "deleted", "current"] as const',
    put: '"versions", "current"] as const',
  }),
  plant("segments of kept versions wait for nothing", "src/features/undelete/undelete", {
    file: "src/object/commands/reencode-commands-core.ts",
    find: "for (const family of VERSION_FAMILIES) {",
    put: 'for (const family of ["current", "versions"] as const) {',
  }),
  plant("a bucket opts in before the devices refuse earlier releases", "src/features/undelete/undelete", {
    file: "src/features/undelete/undelete.ts",
    find: "if (days !== undefined) await this.prepare()",
    put: "",
  }),
]
