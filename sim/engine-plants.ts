/** Planted bugs of the engine that one test each catches: rows with checksums, logs on a full disk, and rows that queries miss. */
import type { Edit, TestedPlant } from "./plants.js"

const plant = (bug: string, caughtBy: string, ...edits: readonly Edit[]): TestedPlant => ({ bug, edits, caughtBy })

export const ENGINE_PLANTS: readonly TestedPlant[] = [
  plant("versions with the same details have the same checksum", "packages/engine/src/format/objects/version-record", {
    file: "packages/engine/src/format/objects/version-record.ts",
    find: "if (checksumValue === undefined) return common",
    put: "if (checksumValue !== null) return common",
  }),
  plant(
    "skip the first key after a common prefix in a listing of versions",
    "packages/objects/src/queries/listing-core",
    {
      file: "packages/objects/src/queries/listing-core.ts",
      find: "    from = seek\n",
      put: '    from = seek\n    for (const row of scan({ start: from, ...shared })) { from = rowKeyOf(row.rowKey + "\\x01"); break }\n',
    },
  ),
  plant("wait for metadata on a hanging disk", "packages/engine/src/tablet/committed-view", {
    file: "packages/engine/src/tablet/committed-view.ts",
    find: "if (others.length === 0) throw failure",
    put: "throw failure",
  }),
  plant("a log may be as long on a full disk as on others", "packages/engine/src/device/space/space", {
    file: "packages/engine/src/device/space/space.ts",
    find: "return bytes >= this.system.longLogBytes && this.isFull",
    put: "return bytes >= Infinity && this.isFull",
  }),
  plant("on a full disk volumes are compacted as on others", "packages/engine/src/volume/compaction-core", {
    file: "packages/engine/src/volume/compaction-core.ts",
    find: "isShort ? limits.deadShareMaxWhenShort : limits.deadShareMax",
    put: "limits.deadShareMax",
  }),
  plant(
    "a log that is too long for the space is no reason for a checkpoint",
    "packages/engine/src/device/checkpoint/checkpointer",
    {
      file: "packages/engine/src/device/checkpoint/checkpointer.ts",
      find: " || this.space.isLogTooLong(logBytes)",
      put: "",
    },
  ),
  plant("a query is answered as if the rows that it missed were absent", "tests/sql/gathered-rows", {
    file: "packages/engine/src/sql/reader.ts",
    find: "      if (view.hasGathered) return false\n",
    put: "",
  }),
  plant("each row that a query misses takes a statement", "tests/sql/gathered-rows", {
    file: "packages/engine/src/sql/reader.ts",
    find: "if (this.answer(waiting, { rows: fetched, mark: this.markOf(found) }, position, true)) return",
    put: "if (this.answer(waiting, { rows: fetched, mark: this.markOf(found) }, position)) return",
  }),
  plant("buckets are shown as they were before the last change of one", "tests/tablet/metadata", {
    file: "packages/engine/src/tablet/primary.ts",
    find: "    this.committed.markGeneration()\n",
    put: "",
  }),
  plant(
    "a node shows buckets as they were before the last change of one",
    "packages/engine/src/sql/simulated/simulated-database",
    {
      file: "packages/engine/src/sql/known-rows.ts",
      find: "    this.changesSeen += 1\n    this.mark = {}\n",
      put: "    this.changesSeen += 1\n",
    },
  ),
  plant("an incomplete list of buckets is kept", "tests/sql/gathered-rows", {
    file: "packages/engine/src/sql/query-view.ts",
    find: "this.mark === NOT_FETCHED || this.hasGathered ?",
    put: "this.mark === NOT_FETCHED ?",
  }),
  plant("bytes that versions share are those of the one that was found", "packages/upkeep/src/encrypt/encrypt", {
    file: "packages/objects/src/queries/versions-of-bytes-core.ts",
    find: "if (likely?.head.isShared === false) yield likely",
    put: "if (likely !== undefined) yield likely",
  }),
]
