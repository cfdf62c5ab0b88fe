/** Planted bugs of quotas, which tests must catch. */
import type { Edit, Plant, TestedPlant } from "./plants.js"
import type { CheckName } from "./world/checks.js"

const [HISTORIES, NODES] = ["packages/features/src/quotas/quota-commands-core", "tests/sql/quotas"]
const RESCUES = "packages/node/src/rescue/rescue-classes"
const MULTIPART = "packages/objects/src/commands/multipart-commands-core.ts"
const BATCH = "packages/engine/src/sql/batch-core.ts"

const plant = (bug: string, caughtBy: string, ...edits: readonly Edit[]): TestedPlant => ({
  bug: `quotas: ${bug}`,
  edits,
  caughtBy,
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
    file: "packages/features/src/quotas/quota-commands-core.ts",
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
  plant("a new bucket is not counted by its account", HISTORIES, {
    file: "packages/features/src/quotas/feature.ts",
    find: "quota === undefined ? {} :",
    put: "quota === undefined || 0 < 1 ? {} :",
  }),
  plant("the count of a bucket outlives it", HISTORIES, {
    file: "packages/objects/src/commands/usage-core.ts",
    find: "part.dropped?.(bucket) ?? []",
    put: "part.dropped?.(bucket).slice(1) ?? []",
  }),
  plant("a rescue does not bring what accounts had", RESCUES, {
    file: "packages/node/src/rescue/rescue-limits.ts",
    find: "rescue.ofAccounts?.has(account) !== true",
    put: "rescue.ofAccounts === undefined || 0 < 1",
  }),
  plant("a delete marker is refused", HISTORIES, {
    file: "packages/features/src/quotas/counts-core.ts",
    find: "addsObject && objects > 0 ? hardObjects",
    put: "objects > 0 ? hardObjects",
  }),
]

const ofNodes = (bug: string, caughtBy: CheckName, ...edits: readonly Edit[]): Plant => ({
  bug: `limits: ${bug}`,
  edits,
  scenario: "limited cluster",
  caughtBy: [caughtBy],
})

/** The plants that random histories on several nodes must catch, in the simulated cluster. */
export const LIMIT_PLANTS: readonly Plant[] = [
  ofNodes("a commit is not told which limits it has relied on", "limitsHold", {
    file: "packages/features/src/quotas/counts-core.ts",
    find: "return { key: count.key, change: add, ...limits }",
    put: "return { key: count.key, change: add }",
  }),
  ofNodes("a count that becomes exact forgets what was counted since it began", "countersAgree", {
    file: "packages/features/src/quotas/quota-commands-core.ts",
    find: "change: { bytes: bytes - used.bytes, objects: versions - used.objects, partBytes: 0 }",
    put: "change: { bytes, objects: versions, partBytes: 0 }",
  }),
  ofNodes("the completion of an upload subtracts only the parts that it uses", "countersAgree", {
    file: MULTIPART,
    find: "partsBytes: complete.partsBytes })",
    put: "partsBytes: complete.version.sizeBytes })",
  }),
  ofNodes("a part that replaces another is counted beside it", "countersAgree", {
    file: MULTIPART,
    find: "plainBytesOf(put.part.extent) - (before ? plainBytesOf(before.extent) : 0)",
    put: "plainBytesOf(put.part.extent)",
  }),
  ofNodes("a put that replaces an object needs room for all of its bytes", "refusalWasTrue", {
    file: "packages/objects/src/commands/room-core.ts",
    find: "lengthBytes - (replaced?.head.sizeBytes ?? 0)",
    put: "lengthBytes",
  }),
]
