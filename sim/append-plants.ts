/** Planted bugs of appends, which tests must catch. */
import type { Edit, TestedPlant } from "./plants.js"

const TEST = "src/object/append-service"
const COMMANDS = "src/object/commands/append-commands-core.ts"

const plant = (bug: string, ...edits: readonly Edit[]): TestedPlant => ({
  ...{ bug: `appends: ${bug}`, edits, caughtBy: TEST },
})
const inCommands = (find: string, put: string): Edit => ({ file: COMMANDS, find, put })

export const APPEND_PLANTS: readonly TestedPlant[] = [
  plant(
    "a decision does not look for an append with the same id",
    inCommands("if (record && repeated !== undefined) {", "if (record && repeated !== undefined && time.nowMs < 0) {"),
  ),
  plant(
    "an offset that is not the end of the object is accepted",
    inCommands("if (atOffset !== undefined && atOffset !== sizeBytes)", "if (atOffset === -1)"),
  ),
  plant(
    "a small object may have been replaced since its bytes were moved",
    inCommands("if (moved?.order !== head.order)", "if (moved === undefined)"),
  ),
  plant(
    "full segments are not noted",
    inCommands("if (last?.isOpen === true && !isRoom)", "if (last?.isOpen === true && offsetBytes < 0)"),
  ),
  plant("the open end is re-encoded", {
    file: "src/object/jobs/reencode.ts",
    find: "isOpenEnd(family, row) ? policyOfOpenEnd(ofRow) : ofRow",
    put: "ofRow",
  }),
  plant("readers go on with the next segment of the time before a merge", {
    file: "src/object/object-reader.ts",
    find: "yield* this.bytesOf(extentsOfSegment(segment, at, end - at), key, signal, pieces)",
    put: "yield* this.bytesOf(extentsOfSegment(segment, segment.offsetBytes, end - segment.offsetBytes), key, signal, pieces)",
  }),
  plant(
    "sealed copies keep their bytes",
    inCommands("for (const part of segment.parts) editor.release", "for (const part of []) editor.release"),
  ),
]
