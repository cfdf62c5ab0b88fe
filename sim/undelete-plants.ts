/** Planted bugs of undelete, which tests must catch. */
import type { Edit, TestedPlant } from "./plants.js"

const COMMANDS = "src/object/commands/undelete-commands-core"
const EDITOR = "src/object/commands/row-editor-core.ts"

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
    find: "else this.keep(version, { row, record }, { forMs, reason: taking })",
    put: "else {\n        this.keep(version, { row, record }, { forMs, reason: taking })\n        this.releaseContent(record)\n      }",
  }),
  plant("a restore does not count what is no longer kept", COMMANDS, {
    file: EDITOR,
    find: "this.countKept(-1, -sizeBytes)",
    put: "",
  }),
  plant("what is kept loses details that have a row of their own", COMMANDS, {
    file: EDITOR,
    find: "const details = readDetails(this.view, this.row, record)",
    put: "const details = record.details ?? NO_DETAILS",
  }),
  plant("a purge removes what is to be kept longer", COMMANDS, {
    file: "src/object/commands/undelete-commands-core.ts",
    find: "if (untilMs > nowMs) continue",
    put: "",
  }),
  plant("a restore releases what it replaces where nothing else is kept any more", COMMANDS, {
    file: EDITOR,
    find: "this.undeletedForMs = untilMs - deletedMs",
    put: "",
  }),
  plant("a purge of objects with long extents is larger than an entry", COMMANDS, {
    file: "src/object/queries/deleted-rows-core.ts",
    find: "if (rows === max || dueBytes >= PURGED_BYTES_MAX)",
    put: "if (rows === max)",
  }),
  plant("a wall clock that lags shortens how long something is kept", COMMANDS, {
    file: EDITOR,
    find: "Math.max(deletedMs, this.clockMs) + forMs",
    put: "deletedMs + forMs",
  }),
  plant("a purge goes by a clock that is doubtful", "src/object/jobs/purge-deleted", {
    file: "src/object/jobs/purge-deleted.ts",
    find: 'if (storeClock.isDoubtful) return "idle"',
    put: "",
  }),
  plant("what is kept shares its bytes with a copy", COMMANDS, {
    file: "src/object/commands/version-commands-core.ts",
    find: "if (put.sharesWith !== undefined && bucket.undeleteDays !== undefined) throw",
    put: 'if (put.sharesWith !== undefined && bucket.state !== "open") throw',
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
    file: "src/object/bucket-erasing.ts",
    find: "if (rows.length > 0) await this.metadata.run(purgeDeleted({ bucketId: id, rows }))\n    return rows.length > 0",
    put: "return rows.length < 0",
  }),
  plant("what is kept stays plain in a store that encrypts", "src/object/undelete", {
    file: "src/object/jobs/encrypt-core.ts",
    find: '"versions", "deleted", "current"] as const',
    put: '"versions", "current"] as const',
  }),
  plant("segments of kept versions wait for nothing", "src/object/undelete", {
    file: "src/object/commands/reencode-commands-core.ts",
    find: "for (const family of VERSION_FAMILIES) {",
    put: 'for (const family of ["current", "versions"] as const) {',
  }),
  plant("a bucket opts in before the devices refuse earlier releases", "src/object/undelete", {
    file: "src/object/undelete.ts",
    find: "if (days !== undefined) await this.prepare()",
    put: "",
  }),
]
