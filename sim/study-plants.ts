/** Planted bugs of the decisions that the studies play, and of the ring of Chord: the studies' tests must catch them. */
import type { Edit, TestedPlant } from "./plants.js"

const [CHORD, GOSSIP, QUORUM] = ["sim/studies/chord", "sim/studies/gossip", "sim/studies/quorum"]
const PLAN = "packages/engine/src/block/write-plan-core.ts"
const BLOCKS = "sim/studies/quorum/blocks.ts"

const plant = (bug: string, caughtBy: string, ...edits: readonly Edit[]): TestedPlant => ({
  bug: `studies: ${bug}`,
  edits,
  caughtBy,
})

export const STUDY_PLANTS: readonly TestedPlant[] = [
  plant("a block is acknowledged once one shard is durable", QUORUM, {
    file: PLAN,
    find: 'if (shards.pending === 0) return "ack"',
    put: 'if (shards.durable > 0) return "ack"',
  }),
  plant("a block is acknowledged without a spare shard", QUORUM, {
    file: PLAN,
    find: "Math.max(needed + 1, n - 1 - missingSlots.length)",
    put: "needed",
  }),
  plant("a write is acknowledged before its row decides", QUORUM, {
    file: BLOCKS,
    find: 'committed => ended(committed === true ? "done" : "refused"))',
    put: '() => undefined)\n      ended("done")',
  }),
  plant("a condition is decided before the commit", QUORUM, {
    file: BLOCKS,
    find: "if (!holds()) return false",
    put: "",
  }),
  plant("one node that does not reach another one cuts it off", GOSSIP, {
    file: "packages/node/src/cluster/steward-core.ts",
    find: "2 * (reports.get(name) ?? 0) > others",
    put: "(reports.get(name) ?? 0) > 0",
  }),
  plant(
    "time without the database counts as silence",
    GOSSIP,
    {
      file: "packages/node/src/cluster/answered-time-core.ts",
      find: "this.lastMs = undefined",
      put: "",
    },
    {
      file: "packages/node/src/cluster/answered-time-core.ts",
      find: "if (gapMs <= this.gapMsMax)",
      put: "if (gapMs >= 0)",
    },
  ),
  plant(
    "halves that do not reach each other go offline",
    GOSSIP,
    {
      file: "packages/engine/src/cluster/silent-nodes-core.ts",
      find: "if (3 * offline.length <= devices.length)",
      put: "if (offline.length <= devices.length)",
    },
    {
      file: "packages/engine/src/cluster/silent-nodes-core.ts",
      find: "filter(zone => !zonesLeft.has(zone))",
      put: "filter(zone => !zonesLeft.has(zone) && false)",
    },
    {
      file: "packages/engine/src/cluster/silent-nodes-core.ts",
      find: "const others = due.filter(device => zonesLeft.has(zoneOf(device)))",
      put: "const others = due",
    },
  ),
  plant("a node of the ring never learns of a new successor", CHORD, {
    file: "sim/studies/chord/node.ts",
    find: "const isNew = predecessor !== undefined && isBetween(predecessor, this.id, successor)",
    put: "const isNew = false && predecessor !== undefined",
  }),
]
