/** Planted bugs of deduplication, which tests must catch. */
import type { Edit, TestedPlant } from "./plants.js"

const COMMANDS = "packages/features/src/dedup/dedup-commands-core.ts"
const PARTS_COMMANDS = "packages/features/src/dedup/parts-commands-core.ts"
const DIGESTS = "packages/objects/src/commands/block-digests-core.ts"
const REFERENCES = "packages/objects/src/commands/reference-commands-core.ts"
const COLLECTOR = "packages/upkeep/src/garbage/collector.ts"
const WRITER = "packages/engine/src/block/body-writer.ts"

const plant = (bug: string, file: string, find: string, put: string): TestedPlant => ({
  bug: `dedup: ${bug}`,
  edits: [{ file, find, put } satisfies Edit],
  caughtBy: "packages/features/src/dedup/dedup",
})

export const DEDUP_PLANTS: readonly TestedPlant[] = [
  plant(
    "blocks may be going when they are shared",
    COMMANDS,
    'if (isClosed || view.get("blockDigests", rowKey) === undefined)',
    "if (rowKey.length === 0)",
  ),
  plant(
    "segments are deleted without closing their references",
    REFERENCES,
    "closedReferences(view, bucketId, name, record?.storageClass)",
    "[]",
  ),
  plant(
    "references of a new object are not counted",
    COMMANDS,
    "sourcesOf(segments), put.version.storageClass",
    "[], put.version.storageClass",
  ),
  plant(
    "the index keeps blocks that are gone",
    DIGESTS,
    "if (place?.key === key && place.multipartId === multipartId)",
    "if (place === undefined)",
  ),
  plant(
    "digests stay when segments go",
    COLLECTOR,
    "if (digests !== undefined) return",
    "if (digests?.[1] === stem) return",
  ),
  plant(
    "what parts refer to stays counted",
    COLLECTOR,
    "if (sourcesOf(segment).length > 0)",
    "if (segment.source !== undefined)",
  ),
  {
    bug: "dedup: blocks are shared with another class",
    edits: [
      { file: COMMANDS, find: "if (found?.record.storageClass !== storageClass)", put: "if (found === undefined)" },
      {
        file: "packages/access/src/keys/derive.ts",
        find: "Uint8Array.of(numberOfClass(storageClass))",
        put: "Uint8Array.of(storageClass.length * 0)",
      },
    ],
    caughtBy: "packages/features/src/dedup/dedup",
  },
  plant(
    "a version that moves to another class shares its blocks",
    "packages/features/src/lifecycle/move-commands-core.ts",
    'content.kind === "segments" ? closedReferences',
    'content.kind === "inline" ? closedReferences',
  ),
  plant(
    "encrypted segments are shared",
    "packages/objects/src/commands/encrypt-commands-core.ts",
    'typeof add.of === "string" ? []',
    "bucketId > 0 ? []",
  ),
  plant(
    "segments are encrypted although others reference them",
    "packages/objects/src/commands/encrypt-commands-core.ts",
    "if (isReferenced(view, add)) throw",
    "if (isReferenced(view, add) && time.nowMs < 0) throw",
  ),
  plant(
    "a completion refers to what is about to be encrypted",
    "packages/objects/src/multipart-service.ts",
    "frozen.upload.sealing === undefined && this.encryption.protectionOf(undefined) === undefined",
    "frozen.upload.sealing === undefined",
  ),
  plant(
    "known blocks keep their slabs",
    WRITER,
    "if (write === undefined) slab.release()",
    "if (write === undefined) return",
  ),
  plant(
    "blocks are numbered through all runs",
    WRITER,
    "slab, run.blocks, lengthBytes)",
    "slab, run.firstBlock + run.blocks, lengthBytes)",
  ),
  plant(
    "there are as many runs as there are changes",
    "packages/features/src/dedup/body-blocks.ts",
    "if (this.runs >= DEDUP_LIMITS.runsMax)",
    "if (this.runs < 0)",
  ),
  plant(
    "a source grows over another one",
    "packages/features/src/dedup/body-blocks.ts",
    "before.source.offsetBytes + before.source.lengthBytes === offsetBytes",
    "before.source.offsetBytes <= offsetBytes",
  ),
  plant(
    "parts of others come after all others",
    "packages/objects/src/queries/manifest-core.ts",
    "[...parts, ...referring].sort((a, b) => a.partNumber - b.partNumber)",
    "[...parts, ...referring]",
  ),
  plant(
    "what a failed completion has shared stays",
    "packages/objects/src/multipart-service.ts",
    "for (let isMore = isStale; isMore;)",
    "for (let isMore = false; isMore;)",
  ),
  plant(
    "segments that a crash has left in an upload are never dropped",
    "packages/objects/src/detach-sources.ts",
    "await dropSegments(metadata, uploadOfRow(rowKey))",
    "",
  ),
  plant(
    "segments are deleted before their digests",
    "packages/objects/src/commands/multipart-commands-core.ts",
    "const plain = hasDigests ? [] : stale.filter",
    "const plain = stale.filter",
  ),
  plant(
    "encrypted objects are accepted",
    "packages/objects/src/bodies/encryption-core.ts",
    'asked.mode === "atRest") return',
    'asked.mode !== "atRest") return',
  ),
  plant(
    "default encryption is accepted",
    "packages/objects/src/commands/bucket-commands-core.ts",
    "if (excludes) throw fail",
    "if (excludes && one === other) throw fail",
  ),
  plant(
    "parts that were not uploaded again are forgotten",
    PARTS_COMMANDS,
    "sourcesOf(segment), storageClass)",
    "[], storageClass)",
  ),
  plant(
    "uploads of further runs are not discarded",
    "packages/objects/src/bodies/uploads.ts",
    "for (const { extent } of content.runs)",
    "for (const { extent } of content.runs.slice(0, 1))",
  ),
]
