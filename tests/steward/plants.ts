/**
 * Bugs planted into leases, the steward and retention, each with the check that must catch it. The product contains none
 * of them: `planted.test.ts` builds a changed copy.
 */
import type { PlantedEdit } from "../harness/planted-copies.js"
import type { STEWARD_CHECKS } from "./checks.js"

export interface StewardPlant {
  readonly bug: string
  readonly edits: readonly PlantedEdit[]
  readonly caughtBy: keyof typeof STEWARD_CHECKS
}

const steward = "packages/node/src/cluster/steward.ts"
const leases = "packages/node/src/cluster/leases-core.ts"
const epochs = "packages/node/src/cluster/epochs-core.ts"
const retention = "released bytes are kept for the retention, and no longer"

export const STEWARD_PLANTS: readonly StewardPlant[] = [
  {
    bug: "silence is measured by the wall clock",
    edits: [
      { file: steward, find: "this.time.answered(clock.monotonicMs())", put: "this.time.answered(clock.wallMs())" },
    ],
    caughtBy: "wall clocks that run twice as fast",
  },
  {
    bug: "silence counts while the database is away",
    edits: [
      {
        file: "packages/node/src/cluster/answered-time-core.ts",
        find: "if (gapMs <= this.gapMsMax) this",
        put: "this",
      },
      { file: "packages/node/src/cluster/answered-time-core.ts", find: "    this.lastMs = undefined\n", put: "" },
      { file: steward, find: "    this.silences = new Silences()\n", put: "" },
    ],
    caughtBy: "the database is away for an hour",
  },
  {
    bug: "a lease belongs to the process, not to its incarnation",
    edits: [
      { file: leases, find: "return held?.incarnation === own && nowMs", put: "return held !== undefined && nowMs" },
    ],
    caughtBy: "the steward's incarnation is ended",
  },
  {
    bug: "a lease is held until another process has it",
    edits: [
      { file: leases, find: "&& nowMs - held.renewedMs < LEASE_LIMITS.leaseMs - LEASE_LIMITS.marginMs", put: "" },
    ],
    caughtBy: "the steward is stopped for 20 minutes",
  },
  {
    bug: "a returning heartbeat does not end silence",
    edits: [
      {
        file: "packages/node/src/cluster/steward-core.ts",
        find: "before?.incarnation === incarnation && before.beat === beat",
        put: "before?.incarnation === incarnation",
      },
    ],
    caughtBy: "a node that is away for 4, 6, 14 and 16 minutes",
  },
  {
    bug: "a node that a single other one cannot reach counts as cut off",
    edits: [
      {
        file: "packages/node/src/cluster/steward-core.ts",
        find: "2 * (reports.get(name) ?? 0) > others",
        put: "reports.has(name)",
      },
    ],
    caughtBy: "a node is cut off from the others, or from one of them",
  },
  {
    bug: "a process without a row is never ended",
    edits: [
      {
        file: "packages/node/src/cluster/steward-core.ts",
        find: "      live.nodes.map(({ incarnation }) => {",
        put: "      live.nodes.filter(each => byIncarnation.has(each.incarnation)).map(({ incarnation }) => {",
      },
    ],
    caughtBy: "a process that never joined",
  },
  {
    bug: "an epoch begins although another steward has just begun one",
    edits: [{ file: epochs, find: "if (this.seen?.number !== number)", put: "if (this.seen === undefined)" }],
    caughtBy: "two stewards at once",
  },
  {
    bug: "an epoch is written with positions that no row shows",
    edits: [
      {
        file: epochs,
        find: "row?.position ?? parsePosition(incarnation * POSITIONS_OF_INCARNATION)",
        put: "parsePosition((incarnation + 1) * POSITIONS_OF_INCARNATION - 1)",
      },
    ],
    caughtBy: retention,
  },
  {
    bug: "a process that began after the epoch counts as over",
    edits: [{ file: epochs, find: "if (incarnation > highest) return false", put: "" }],
    caughtBy: retention,
  },
  {
    bug: "bytes are due with the newest epoch",
    edits: [
      {
        file: "packages/node/src/cluster/epochs.ts",
        find: "epochOfAge(epochsKept(this.settings))",
        put: "epochOfAge(0)",
      },
    ],
    caughtBy: retention,
  },
  {
    bug: "epochs are dropped before they are old enough",
    edits: [{ file: steward, find: "number - epochsKept(this.retention)", put: "number - 1" }],
    caughtBy: retention,
  },
]
