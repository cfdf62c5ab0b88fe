/** Planted bugs of lifecycle, which random histories beside the model must catch. */
import type { Edit, TestedPlant } from "./plants.js"

const DUE = "packages/features/src/lifecycle/due-core.ts"
const EXPIRE = "packages/features/src/lifecycle/expire-commands-core.ts"
const MOVE = "packages/features/src/lifecycle/move-commands-core.ts"
const MOVES = "packages/features/src/lifecycle/transitions-core.ts"
const WALK = "packages/features/src/lifecycle/walk-core.ts"

const caughtBy =
  (test: string) =>
  (bug: string, ...edits: readonly Edit[]): TestedPlant => ({ bug: `lifecycle: ${bug}`, edits, caughtBy: test })

const plant = caughtBy("sim/world/twins")
/** Which moves of few versions show at once, and random histories seldom. */
const movePlant = caughtBy("packages/features/src/lifecycle/lifecycle-moves")
const orderPlant = caughtBy("packages/features/src/lifecycle/transitions-core")
/** Which need a certain moment or state, that random histories seldom have. */
const momentPlant = caughtBy("packages/features/src/lifecycle/due-core")
const jobPlant = caughtBy("packages/features/src/lifecycle/lifecycle-job")

export const LIFECYCLE_PLANTS: readonly TestedPlant[] = [
  plant(
    "delete markers count as newer versions that are kept",
    { file: EXPIRE, find: "if (place && !head.isMarker) newer += 1", put: "if (place) newer += 1" },
    { file: WALK, find: "    if (!isMarker) newer += 1", put: "    newer += 1" },
    { file: WALK, find: "if (!isMarker) at.newer += 1", put: "at.newer += 1" },
  ),
  caughtBy("tests/s3/wall-clock-behind")("objects are dated by a wall clock that is behind a confirmed time", {
    file: "packages/objects/src/confirmed-time-core.ts",
    find: "if (wallMs < confirmedMs - toleranceMs) return",
    put: "if (wallMs < 0 * (confirmedMs - toleranceMs)) return",
  }),
  plant("newer versions are not kept", {
    file: DUE,
    find: "if (place.newer < (noncurrent.newerKept ?? 0))",
    put: "if (place.newer < 0)",
  }),
  plant("a disabled rule acts", { file: DUE, find: 'if (!isEnabled) return "disabled"', put: "" }),
  plant("the lower size is included", {
    file: DUE,
    find: "facts.sizeBytes <= sizeAbove",
    put: "facts.sizeBytes < sizeAbove",
  }),
  plant("the upper size is included", {
    file: DUE,
    find: "facts.sizeBytes >= sizeBelow",
    put: "facts.sizeBytes > sizeBelow",
  }),
  plant("a rule acts a day early", {
    file: DUE,
    find: "(Math.floor((fromMs + days * dayMs) / dayMs) + 1)",
    put: "Math.floor((fromMs + days * dayMs) / dayMs)",
  }),
  momentPlant("what was put at midnight goes a day early", {
    file: DUE,
    find: "(Math.floor((fromMs + days * dayMs) / dayMs) + 1)",
    put: "Math.ceil((fromMs + days * dayMs) / dayMs)",
  }),
  plant(
    "a noncurrent version is as old as itself",
    { file: DUE, find: "{ place }: VersionFacts, days", put: "{ place, modifiedMs }: VersionFacts, days" },
    { file: DUE, find: "return dueAfter(place.sinceMs", put: "return dueAfter(modifiedMs" },
  ),
  plant(
    "a version with a retention is removed",
    { file: WALK, find: "if (lock === undefined) return true", put: "if (lock?.legalHold !== true) return true" },
    { file: EXPIRE, find: "({ clockMs: nowMs, bypass", put: "({ clockMs: Infinity + nowMs, bypass" },
  ),
  plant("tags of a filter are ignored", { file: DUE, find: 'hasAll ? undefined : "tags"', put: "undefined" }),
  plant("one tag of a filter is enough", { file: DUE, find: "tags.every((", put: "tags.some((" }),
  plant("a delete marker goes while it hides versions", {
    file: DUE,
    find: 'if (isMarker && place.kind === "current" && !place.isOnly) return "hidesVersions"',
    put: "",
  }),
  jobPlant("a marker in a suspended bucket is not the null version", {
    file: EXPIRE,
    find: "editor.insert({ ...MARKER, random }, versioning)",
    put: 'editor.insert({ ...MARKER, random }, "enabled")',
  }),
  movePlant("a version moves although it is due for its removal", {
    file: WALK,
    find: "return isRemoved ? undefined : movesOf",
    put: "return isRemoved && facts.isMarker ? undefined : movesOf",
  }),
  movePlant("a lock keeps a version from moving", {
    file: WALK,
    find: 'removalOf(facts, version.head, versioning) !== "hide" &&\n    isUnlocked(version, time)',
    put: 'removalOf(facts, version.head, versioning) !== "hide"',
  }),
  plant("a version that was overwritten moves by the rules for current ones", {
    file: MOVE,
    find: 'if (family === "current") return',
    put: "if (family !== undefined) return",
  }),
  plant("small objects move", { file: MOVES, find: "const SIZE_MIN = 131_072", put: "const SIZE_MIN = 1_000" }),
  orderPlant("of several moves on one day the first is made", {
    file: MOVES,
    find: "possible.reduce(preferred)",
    put: "possible.reduce(first => first)",
  }),
  orderPlant("objects move upwards", {
    file: MOVES,
    find: "storageClass === at || mayMove(at, storageClass)",
    put: "at !== undefined",
  }),
  plant("of several rules the first acts", { file: DUE, find: "when >= firstMs", put: "first !== undefined" }),
  jobPlant("uploads go after seven days although a rule waits longer", {
    file: DUE,
    find: "if (byRule !== undefined || days.abandonedDays === 0) return byRule",
    put: "if ((byRule?.dueMs ?? Infinity) < dueAfter(upload.initiatedMs, days.abandonedDays, days)) return byRule",
  }),
]
