/** Planted bugs of lifecycle and locks that the aging cluster must catch: several nodes, and clocks that jump. */
import type { Edit, Plant } from "../plants.js"
import type { CheckName } from "../world/checks.js"

const EXPIRE = "packages/features/src/lifecycle/expire-commands-core.ts"
const MOVE = "packages/features/src/lifecycle/move-commands-core.ts"
const WALK = "packages/features/src/lifecycle/walk-core.ts"

const plant = (bug: string, caughtBy: readonly CheckName[], ...edits: readonly Edit[]): Plant => ({
  bug: `aging: ${bug}`,
  edits,
  scenario: "aging cluster",
  caughtBy,
})

export const AGING_PLANTS: readonly Plant[] = [
  plant("a node judges by its wall clock", ["dueStays", "lockedStays"], {
    file: "packages/objects/src/due-time.ts",
    find: "Math.min(clockMs, clock.wallMs())",
    put: "Math.max(clockMs, clock.wallMs())",
  }),
  plant(
    "lifecycle removes versions before their locks end",
    ["lockedStays"],
    { file: WALK, find: "if (lock === undefined) return true", put: "return true" },
    { file: EXPIRE, find: "({ clockMs: nowMs, bypass", put: "({ clockMs: Infinity + nowMs, bypass" },
  ),
  plant("versions move a day early", ["dueStays"], {
    file: WALK,
    find: "movesOf(rules, facts, time, time.nowMs)",
    put: "movesOf(rules, facts, time, time.nowMs + time.dayMs)",
  }),
  plant("a version is as new as its move", ["movedIsSame"], {
    file: MOVE,
    find: "head: { ...record.head, storageClass }",
    put: "head: { ...record.head, storageClass, modifiedMs: time.nowMs }",
  }),
  plant("blocks of moved versions are not encoded again", ["redundancyIsRestored"], {
    file: "packages/upkeep/src/reencode/policies-of-rows.ts",
    find: 'if (typeof ofClass === "string") return policyOfVersion(this.classes, ofClass, otherwise)',
    put: 'if (typeof ofClass === "string") return otherwise',
  }),
  plant("a move is no reason for another walk of re-encoding", ["redundancyIsRestored"], {
    file: MOVE,
    find: ', noteOf(view, time, "moved")]',
    put: "]",
  }),
]
