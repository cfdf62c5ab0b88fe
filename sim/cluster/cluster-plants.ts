/**
 * Planted bugs of a store of several nodes. Those that a simulated cluster must catch; of these, the ones of the SQL engine
 * are also planted in `tests/sql`, where each has a check of its own. And those that other tests catch: they need events
 * that a minute with few keys seldom has, or are masked by another rule. `tests/sql` and `tests/steward` plant further ones.
 */
import { must } from "@hayloft/base/assert.js"
import { SQL_PLANTS } from "../../tests/sql/plants.js"
import type { Plant, TestedPlant } from "../plants.js"
import type { CheckName } from "../world/checks.js"

const LOST: readonly CheckName[] = ["acknowledgedStays", "readsAreFresh", "linearizable", "releasedBytesStay"]
const RACES: readonly CheckName[] = [...LOST, "oneWinner", "refusedStaysOut", "refusalWasTrue", "countersAgree"]

function ofSql(bug: string): Plant {
  const { edits } = must(
    SQL_PLANTS.find(plant => plant.bug === bug),
    `tests/sql plants "${bug}"`,
  )
  return {
    bug: `cluster: ${bug}`,
    edits,
    scenario: "cluster",
    caughtBy: [...RACES, "sessionsLast", "noAssertionFails"],
  }
}

export const CLUSTER_PLANTS: readonly Plant[] = [
  ofSql("the versions of rows that are changed are not compared"),
  ofSql("the outcome of a lost commit is read"),
  {
    bug: "cluster: released bytes are removed without a retention",
    edits: [
      {
        file: "packages/node/src/engine.ts",
        find: "retention: shared && new EpochRetention(clock, shared)",
        put: "retention: undefined",
      },
    ],
    scenario: "cluster",
    caughtBy: LOST,
  },
  {
    bug: "cluster: the store's clock follows the wall clock while the store runs",
    edits: [
      {
        file: "packages/objects/src/store-clock.ts",
        find: "storeMs + Math.floor(this.seams.clock.monotonicMs() - atMs)",
        put: "Math.max(storeMs, this.seams.clock.wallMs() + 0 * atMs)",
      },
    ],
    scenario: "cluster",
    caughtBy: ["storeClockIsSteady"],
  },
  {
    bug: "cluster: a process that starts beside others sets the store's clock by its wall clock",
    edits: [
      {
        file: "packages/objects/src/store-clock.ts",
        find: "if (storedMs > watch.seenMs) return this.setDone()",
        put: "",
      },
      {
        file: "packages/objects/src/store-clock.ts",
        find: "if (!isQuiet || firstLive !== own) return",
        put: "void isQuiet",
      },
      {
        file: "packages/objects/src/commands/clock-commands-core.ts",
        find: "storedMs(view) === seenMs ?",
        put: "seenMs >= 0 ?",
      },
    ],
    scenario: "cluster",
    caughtBy: ["storeClockIsSteady"],
  },
  {
    bug: "cluster: a token covers what was written to an item since",
    edits: [
      {
        file: "packages/features/src/items/vector-core.ts",
        find: "Math.min(seen.get(state.node) ?? 0, latestOf(state))",
        put: "seen.has(state.node) ? latestOf(state) : 0",
      },
    ],
    scenario: "cluster",
    caughtBy: ["valuesStay"],
  },
  {
    bug: "cluster: a token leaves the last value that it has seen",
    edits: [
      {
        file: "packages/features/src/items/vector-core.ts",
        find: "Math.min(seen.get(state.node) ?? 0, latestOf(state))",
        put: "Math.min((seen.get(state.node) ?? 1) - 1, latestOf(state))",
      },
    ],
    scenario: "cluster",
    caughtBy: ["valuesGo"],
  },
]

export const TESTED_CLUSTER_PLANTS: readonly TestedPlant[] = [
  {
    bug: "cluster: an upload that the coordinator of repair holds has no bound",
    edits: [
      {
        file: "packages/upkeep/src/repair/passed-over.ts",
        find: "if (this.uploads.isHeld(id)) return boundMs",
        put: "if (this.uploads.isHeld(id)) return Infinity",
      },
    ],
    caughtBy: "packages/upkeep/src/repair/passed-over",
  },
  {
    bug: "cluster: a visit that settles a block without mending it leaves a device counted",
    edits: [
      {
        file: "packages/upkeep/src/repair/repair-visit.ts",
        find: "(isSettled && !isCounted)",
        put: "isSettled",
      },
    ],
    caughtBy: "packages/upkeep/src/repair/repair-visit",
  },
  {
    bug: "cluster: copies of a K2V item are merged without what either has discarded",
    edits: [
      {
        file: "packages/features/src/items/vector-core.ts",
        find: "filter(({ time }) => time > discard)",
        put: "slice()",
      },
    ],
    caughtBy: "packages/features/src/items/vector-core",
  },
  {
    bug: "cluster: a collection of K2V tombstones forgets the times of the partition",
    edits: [
      {
        file: "packages/features/src/items/item-commands-core.ts",
        find: "encodeK2vPartition({ ...before, conflicts, collectedTo })",
        put: "encodeK2vPartition({ ...before, conflicts, collectedTo, changedAt: 0 })",
      },
    ],
    caughtBy: "packages/features/src/items/tombstones",
  },
  {
    bug: "cluster: the row of the store's clock becomes what a process states, also if that is earlier",
    edits: [
      {
        file: "packages/objects/src/commands/clock-commands-core.ts",
        find: "if (before >= nowMs) return",
        put: "if (before === nowMs) return",
      },
    ],
    caughtBy: "packages/objects/src/store-clock",
  },
  {
    bug: "cluster: a decision relies on a range that no row guards",
    edits: [
      {
        file: "packages/engine/src/metadata/guards.ts",
        find: 'const isGuarded =\n      protection === "underWrittenOwner"',
        put: 'const isGuarded =\n      true || protection === "underWrittenOwner"',
      },
    ],
    caughtBy: "packages/engine/src/metadata/guards",
  },
  {
    bug: "cluster: an incarnation that a node has not read yet counts as over",
    edits: [
      {
        file: "packages/engine/src/sql/incarnation.ts",
        find: "return incarnation <= this.list.highest && !",
        put: "return !",
      },
    ],
    caughtBy: "packages/engine/src/sql/incarnation",
  },
  {
    bug: "cluster: two shards of a block are on one machine although others have room",
    edits: [
      { file: "packages/engine/src/placement/domain-tree.ts", find: "domains?.zone", put: "domains?.missing" },
      { file: "packages/engine/src/placement/domain-tree.ts", find: "domains?.machine", put: "domains?.missing" },
    ],
    caughtBy: "packages/engine/src/placement/domains",
  },
  {
    bug: "cluster: claims and other changes of the control record do not compare its generation",
    edits: [
      {
        file: "packages/engine/src/coordination/control-core.ts",
        find: "if (present !== before)",
        put: "if (present < 0)",
      },
    ],
    caughtBy: "packages/engine/src/coordination/coordination",
  },
  {
    bug: "cluster: a device is claimed although another live process serves it",
    edits: [
      {
        file: "packages/engine/src/cluster/claims-core.ts",
        find: "incarnation !== RELEASED && !isOver(incarnation)",
        put: "false",
      },
    ],
    caughtBy: "packages/engine/src/cluster/claims-core",
  },
  {
    bug: "cluster: orphans of a live incarnation are removed",
    edits: [
      {
        file: "packages/objects/src/bodies/uploads.ts",
        find: "return !this.isOwn(uploadId) && this.isOfLiveProcess(uploadId)",
        put: "return false",
      },
      {
        file: "packages/objects/src/bodies/uploads.ts",
        find: "return !this.metadata.incarnations.isOver(incarnationOf(uploadId))",
        put: "return false",
      },
    ],
    caughtBy: "packages/upkeep/src/repair/repair-of-many",
  },
  {
    bug: "cluster: a part is replaced while another node completes its upload",
    edits: [
      {
        file: "packages/objects/src/commands/multipart-commands-core.ts",
        find: "if (isBeingCompleted(upload, time)) throw beingCompleted()\n    // The job that encrypts",
        put: "// The job that encrypts",
      },
    ],
    caughtBy: "packages/objects/src/commands/multipart-commands-core",
  },
  {
    bug: "cluster: blocks are re-encoded without an intent",
    edits: [
      {
        file: "packages/objects/src/commands/reencode-commands-core.ts",
        find: 'editor.put("intents", intentKey(begin), encodeIntent({ incarnation, state: "underWay", extent, runs }))',
        put: "void [incarnation, extent, runs]",
      },
      {
        file: "packages/objects/src/commands/reencode-commands-core.ts",
        find: 'if (intent?.state !== "underWay" || intent.extent.generation !== generation) throw fail("conflict")',
        put: "void intent",
      },
      {
        file: "packages/objects/src/commands/reencode-commands-core.ts",
        find: "isShown ? undefined : encodeIntent(givenUp(intent))",
        put: "isShown || intent === undefined ? undefined : encodeIntent(givenUp(intent))",
      },
    ],
    caughtBy: "packages/upkeep/src/reencode/reencode",
  },
  {
    bug: "cluster: a hint is dropped although it was recorded again meanwhile",
    edits: [
      {
        file: "packages/objects/src/commands/pending-deletion-commands-core.ts",
        find: "return row && equalBytes(row.value, value) ? [{ family, key, value: undefined }] : []",
        put: "return row ? [{ family, key, value: undefined }] : []",
      },
    ],
    caughtBy: "packages/objects/src/commands/swap-and-release",
  },
]
