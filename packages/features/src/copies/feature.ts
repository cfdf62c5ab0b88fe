/** The log of buckets whose changes are copied to other stores. See decision 95. */
import { bucketsWithSetting } from "@hayloft/objects/door/index.js"
import type { ProductFeature } from "../operator/index.js"
import { copyLogWrites, hasCopies, pauseCopies, restartCopies } from "./copy-log-core.js"
import { COPIES_OPERATOR } from "./operations.js"

export const COPIES = {
  name: "copies" as const,
  operator: COPIES_OPERATOR,
  object: change =>
    change.bucket && hasCopies(change.bucket)
      ? { changed: writes => (change.isCopy ? [] : copyLogWrites(change, writes)) }
      : undefined,
  bucket: {
    setting: {
      name: "copies",
      excludes: [["remote", "the objects of a remote bucket are in another store already: it has no copies"]],
    },
  },
  /**
   * Targets may lack what was put back, and have the only copy of what was lost here, or of what is older here: nothing is
   * sent over it until the operator lets the copies go on.
   */
  async afterLoss(metadata) {
    for (const { id } of await metadata.ask(bucketsWithSetting("copies"))) {
      await metadata.run(pauseCopies(id, true))
      await metadata.run(restartCopies(id, false))
    }
  },
  /** The target may have newer states of what a rescue brings back. */
  rescue: {
    has: ({ settings = [] }) => hasCopies({ settings }),
    set: async (core, id, had) => void (await core.metadata.run(pauseCopies(id, had !== undefined))),
  },
} satisfies ProductFeature
