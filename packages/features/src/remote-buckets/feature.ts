/** Remote buckets take no part in decisions: operators see remote stores, their cache, and pending writes. */
import type { ProductFeature } from "../operator/index.js"
import { REMOTE_OPERATIONS } from "./operations.js"
import { REMOTE_COMMANDS } from "./setting-commands.js"

export const REMOTE_BUCKETS = {
  name: "remote-buckets" as const,
  operator: {
    operations: REMOTE_OPERATIONS,
    commandGroups: { remote: "buckets whose objects are in another S3 store" },
    settingCommands: REMOTE_COMMANDS,
  },
} satisfies ProductFeature
