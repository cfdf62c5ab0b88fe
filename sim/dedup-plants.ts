/** Planted bugs of deduplication, which tests must catch. */
import type { Edit, TestedPlant } from "./plants.js"

const COMMANDS = "src/object/commands/dedup-commands-core.ts"
const PARTS_COMMANDS = "src/object/commands/dedup-parts-commands-core.ts"
const REFERENCES = "src/object/commands/reference-commands-core.ts"
const COLLECTOR = "src/object/jobs/collector.ts"
const WRITER = "src/block/body-writer.ts"

const plant = (bug: string, file: string, find: string, put: string): TestedPlant => ({
  ...{ bug: `dedup: ${bug}`, edits: [{ file, find, put } satisfies Edit], caughtBy: "src/object/dedup" },
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
    COMMANDS,
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
        file: "src/keys/derive.ts",
        find: "Uint8Array.of(numberOfClass(storageClass))",
        put: "Uint8Array.of(storageClass.length * 0)",
      },
    ],
    caughtBy: "src/object/dedup",
  },
  plant(
    "a version that moves to another class shares its blocks",
    "src/object/lifecycle/move-commands-core.ts",
    'content.kind === "segments" ? closedReferences',
    'content.kind === "inline" ? closedReferences',
  ),
  plant(
    "encrypted segments are shared",
    "src/object/commands/encrypt-commands-core.ts",
    'typeof add.of === "string" ? []',
    "bucketId > 0 ? []",
  ),
  plant(
    "segments are encrypted although others reference them",
    "src/object/commands/encrypt-commands-core.ts",
    "if (isReferenced(view, add)) throw",
    "if (isReferenced(view, add) && time.nowMs < 0) throw",
  ),
  plant(
    "a completion refers to what is about to be encrypted",
    "src/object/multipart-service.ts",
    "sealed.upload.sealing === undefined && this.encryption.protectionOf(undefined) === undefined",
    "sealed.upload.sealing === undefined",
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
    "src/object/dedup-body.ts",
    "if (this.runs >= DEDUP_LIMITS.runsMax)",
    "if (this.runs < 0)",
  ),
  plant(
    "a source grows over another one",
    "src/object/dedup-body.ts",
    "before.source.offsetBytes + before.source.lengthBytes === offsetBytes",
    "before.source.offsetBytes <= offsetBytes",
  ),
  plant(
    "parts of others come after all others",
    "src/object/queries/manifest-core.ts",
    "[...parts, ...referring].sort((a, b) => a.partNumber - b.partNumber)",
    "[...parts, ...referring]",
  ),
  plant(
    "what a failed completion has shared stays",
    "src/object/multipart-service.ts",
    "for (let isMore = isStale; isMore;)",
    "for (let isMore = false; isMore;)",
  ),
  plant(
    "segments that a crash has left in an upload are never dropped",
    "src/object/jobs/detach-sources.ts",
    "await dropSegments(metadata, uploadOfRow(rowKey))",
    "",
  ),
  plant(
    "segments are deleted before their digests",
    "src/object/commands/multipart-commands-core.ts",
    "const plain = hasDigests ? [] : stale.filter",
    "const plain = stale.filter",
  ),
  plant(
    "encrypted objects are accepted",
    "src/object/dedup.ts",
    'asked.mode === "atRest" ||',
    'asked.mode !== "atRest" ||',
  ),
  plant(
    "default encryption is accepted",
    "src/object/commands/bucket-commands-core.ts",
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
    "src/object/uploads.ts",
    "for (const { extent } of content.runs)",
    "for (const { extent } of content.runs.slice(0, 1))",
  ),
]
