/** Planted bugs of the part of features that operators see, and of refusals that deny a caller. */
import type { TestedPlant } from "./plants.js"

const DEDUP_OPERATIONS = "packages/admin/src/dedup-operations"

export const OPERATOR_PLANTS: readonly TestedPlant[] = [
  {
    bug: "operators: the operations of features are not those of the admin API",
    edits: [{ file: "packages/admin/src/operations.ts", find: "  ...FEATURE_OPERATIONS,\n", put: "" }],
    caughtBy: DEDUP_OPERATIONS,
  },
  {
    bug: "operators: jobs on rows count objects",
    edits: [
      {
        file: "packages/features/src/user-jobs/started-jobs.ts",
        find: "this.seams.rowKinds?.has(kind) === true",
        put: "this.seams.rowKinds?.has(kind) === undefined",
      },
    ],
    caughtBy: DEDUP_OPERATIONS,
  },
  {
    bug: "operators: a bucket has only the settings of S3",
    edits: [
      {
        file: "packages/admin/src/buckets/setting-operations.ts",
        find: "if (FEATURE_SETTINGS.has(setting) || names.includes(setting)) return",
        put: "if (names.includes(setting)) return",
      },
    ],
    caughtBy: "packages/admin/src/buckets/settings",
  },
  {
    bug: "refusals: who was denied may go on in the name of an account",
    edits: [
      {
        file: "packages/protocols/src/signed/refusals.ts",
        find: "if (isDenial(failure, status)) exchange.denyAccount()\n",
        put: "",
      },
    ],
    caughtBy: "packages/protocols/src/signed/refusals",
  },
  {
    bug: "refusals: an account that was named falsely keeps its places",
    edits: [{ file: "packages/protocols/src/http/exchange.ts", find: "    this.isDenied = true\n", put: "" }],
    caughtBy: "packages/protocols/src/http/admission",
  },
]
