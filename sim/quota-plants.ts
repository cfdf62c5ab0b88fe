/** Planted bugs of quotas, which tests must catch. */
import type { Edit, TestedPlant } from "./plants.js"

const [HISTORIES, NODES] = ["src/object/commands/quota-commands-core", "tests/sql/quotas"]
const MULTIPART = "src/object/commands/multipart-commands-core.ts"
const BATCH = "src/sql/batch-core.ts"

const plant = (bug: string, caughtBy: string, ...edits: readonly Edit[]): TestedPlant => ({
  ...{ bug: `quotas: ${bug}`, edits, caughtBy },
})

export const QUOTA_PLANTS: readonly TestedPlant[] = [
  plant(
    "a batch does not say how much its rows may have had before",
    NODES,
    {
      file: BATCH,
      find: "Math.min(before.bytesBeforeMax, bytesMax - added.bytes - added.partBytes)",
      put: "Math.max(before.bytesBeforeMax, bytesMax)",
    },
    {
      file: BATCH,
      find: "Math.min(before.objectsBeforeMax, objectsMax - added.objects)",
      put: "Math.max(before.objectsBeforeMax, objectsMax)",
    },
  ),
  plant("what a batch may have had before ignores its other commands", NODES, {
    file: BATCH,
    find: "bytesMax - added.bytes - added.partBytes)",
    put: "bytesMax - change.bytes - change.partBytes)",
  }),
  plant("a count begins without raising the generation", NODES, {
    file: BATCH,
    find: "for (const change of usage) this.changeUsage(change)",
    put: `for (const change of usage) this.changeUsage(change)
    if (usage.some(change => change.change !== "drop" && change.isNew === true)) this.raisesGeneration = false`,
  }),
  plant("a count that becomes exact begins from its counters, whatever it has counted since", HISTORIES, {
    file: "src/object/commands/quota-commands-core.ts",
    find: "change: { bytes: bytes - used.bytes, objects: versions - used.objects, partBytes: 0 }",
    put: "change: { bytes, objects: versions, partBytes: 0 }",
  }),
  plant("the completion of an upload subtracts only the parts that it uses", HISTORIES, {
    file: MULTIPART,
    find: "partsBytes: complete.partsBytes })",
    put: "partsBytes: complete.version.sizeBytes })",
  }),
  plant("the parts of an aborted upload stay counted", HISTORIES, {
    file: MULTIPART,
    find: "partsBytes: frozen?.partsBytes })",
    put: "partsBytes: frozen && 0 })",
  }),
  plant("a part that replaces another is counted beside it", HISTORIES, {
    file: MULTIPART,
    find: "plainBytesOf(put.part.extent) - (before ? plainBytesOf(before.extent) : 0)",
    put: "plainBytesOf(put.part.extent)",
  }),
  plant("a delete marker is refused", HISTORIES, {
    file: "src/object/commands/usage-core.ts",
    find: "addsObject && objects > 0 ? hardObjects",
    put: "objects > 0 ? hardObjects",
  }),
]
