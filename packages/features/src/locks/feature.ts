/** Locks, as a feature of the store: the fences of writes, and the small files that backups bring back. */
import { plural } from "@hayloft/base/text/quantity-text.js"
import type { BackedUpRows } from "@hayloft/objects/door/index.js"
import type { ProductFeature } from "../operator/index.js"
import { countRestorableFiles, FileRestoring, isRestorableFile } from "./coord-restoring.js"
import { requireFence } from "./lock-commands-core.js"
import { LOCK_OPERATOR } from "./operations.js"

const BACKED_UP: BackedUpRows = {
  what: "small files",
  has: isRestorableFile,
  /** All sessions end. */
  reconcile: async ({ metadata, backups }) => ({
    entries: [],
    async putBack(check, signal) {
      await check()
      const files = new FileRestoring(metadata, check)
      await files.endSessions()
      for (const backup of backups) for await (const row of backup(signal)) await files.take(row)
      return {}
    },
  }),
  async rescue({ rows, into, accountOf, tell }) {
    const files =
      into === undefined
        ? await countRestorableFiles(rows)
        : await new FileRestoring(into.metadata, into.prepare, accountOf).takeAll(rows)
    if (files > 0) await tell({ kind: "files", notes: [plural(files, "small file")] })
    return { files }
  },
}

export const LOCKS = {
  name: "locks" as const,
  operator: LOCK_OPERATOR,
  checkWrite: (view, { fence }) => requireFence(view, fence),
  backedUp: BACKED_UP,
} satisfies ProductFeature
