/** Remote buckets take no part in decisions: operators see remote stores, their cache, and pending writes. */
import { bucketsWithSetting } from "@hayloft/objects/door/index.js"
import type { ProductFeature } from "../operator/index.js"
import { heldRowOf, holdPendingWrites } from "./held-core.js"
import { REMOTE_OPERATIONS } from "./operations.js"
import { REMOTE_COMMANDS } from "./setting-commands.js"

export const REMOTE_BUCKETS = {
  name: "remote-buckets" as const,
  operator: {
    operations: REMOTE_OPERATIONS,
    commandGroups: { remote: "buckets whose objects are in another S3 store" },
    settingCommands: REMOTE_COMMANDS,
  },
  bucket: { notedRow: heldRowOf },
  /** A pending write that is back may have been sent, and another one after it. */
  async afterLoss(metadata) {
    for (const { id } of await metadata.ask(bucketsWithSetting("remote")))
      await metadata.run(holdPendingWrites(id, true))
  },
  rescue: {
    has: ({ settings = [] }) => settings.includes("remote"),
    set: (core, id, had) => core.metadata.run(holdPendingWrites(id, had !== undefined)),
  },
} satisfies ProductFeature
