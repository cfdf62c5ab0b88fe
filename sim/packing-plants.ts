/** Planted bugs of packing, which tests must catch. */
import type { Edit, TestedPlant } from "./plants.js"

const COMMANDS = "packages/features/src/packing/pack-commands-core.ts"
const LAYOUT = "packages/features/src/packing/layout-core.ts"
const CANDIDATES = "packages/features/src/packing/candidates-core.ts"
const JOB = "packages/features/src/packing/packing-job.ts"

const plant = (
  bug: string,
  file: string,
  find: string,
  put: string,
  caughtBy = "packages/features/src/packing/packing",
): TestedPlant => ({
  bug: `packing: ${bug}`,
  edits: [{ file, find, put } satisfies Edit],
  caughtBy,
})

export const PACKING_PLANTS: readonly TestedPlant[] = [
  {
    bug: "packing: an object that was replaced meanwhile gets the old bytes",
    edits: [
      {
        file: COMMANDS,
        find: "if (head.order !== order || !equalBytes(head.random, random)) return false",
        put: "if (order < 0 || !equalBytes(head.md5, head.md5) || random.length === 0) return false",
      },
      {
        file: COMMANDS,
        find: "if (current !== undefined && head?.order === order) return",
        put: "if (current !== undefined && head !== undefined) return",
      },
    ],
    caughtBy: "packages/features/src/packing/model",
  },
  plant(
    "objects that are left out are counted",
    COMMANDS,
    "const references = { count: found.length,",
    "const references = { count: pack.objects.length,",
    "packages/features/src/packing/model",
  ),
  plant(
    "what objects had stays for ever",
    COMMANDS,
    "if (released !== undefined) editor.deleteLater(released)",
    "void released",
  ),
  plant(
    "a pack counts as that of a living object",
    COMMANDS,
    "isReleased: true, storageClass, pack",
    "isReleased: false, storageClass, pack",
  ),
  plant(
    "short objects lie across the borders of shards",
    LAYOUT,
    "const size = sizeOf(sizes, i)\n    if (size > alignedMax) {",
    "const size = sizeOf(sizes, i)\n    if (size > alignedMax - alignedMax) {",
    "packages/features/src/packing/layout",
  ),
  plant(
    "packs of which little is left stay",
    CANDIDATES,
    "isLeft: isSparse(pack.objects, count) ||",
    "isLeft: isSparse(pack.objects, pack.objects) ||",
  ),
  plant(
    "objects of packs that go get no bytes of their own",
    JOB,
    "visit.leaving.push(...held.map(({ candidate }) => candidate))",
    "visit.leaving.push(...held.slice(held.length).map(({ candidate }) => candidate))",
  ),
  plant(
    "objects with shared bytes stay in packs of which little is left",
    CANDIDATES,
    "return isOnly && !head.isShared ?",
    "return isOnly ?",
    "packages/features/src/packing/leaving",
  ),
  plant(
    "packs do not count the places of objects that have changed",
    COMMANDS,
    "const facts = { objects: pack.objects.length,",
    "const facts = { objects: found.length,",
    "packages/features/src/packing/leaving",
  ),
  plant(
    "a pass goes over young objects too",
    CANDIDATES,
    "if (Math.max(writtenMsOf(head), head.modifiedMs) > beforeMs)",
    "if (Math.min(writtenMsOf(head), head.modifiedMs) > beforeMs + 1e15)",
  ),
  plant(
    "a rescue does not read directories of packs",
    "packages/node/src/rescue/rescue-packs.ts",
    'if (body.kind !== "whole") continue',
    'if (body.kind === "whole") continue',
    "packages/node/src/rescue/rescue-packs",
  ),
]
