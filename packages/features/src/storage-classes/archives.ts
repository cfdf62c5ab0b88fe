/** Archived objects: they are restored for some days, and read only then. */
import type { VersionRestore } from "@hayloft/engine/format/restore.js"
import type { ObjectTarget } from "@hayloft/objects/contract.js"
import type { Core } from "@hayloft/objects/door/index.js"
import { restoreArchived, restoredUntil } from "./archive-commands-core.js"
import type { Archives, RestoreRequest } from "./contract.js"

export class ArchiveService implements Archives {
  constructor(private readonly core: Pick<Core, "metadata" | "storeClock" | "clockMs">) {}

  async restore({ bucket, key, versionId }: ObjectTarget, request: RestoreRequest): Promise<boolean> {
    const { metadata, storeClock } = this.core
    const clockMs = storeClock.nowMs()
    return metadata.run(restoreArchived({ bucketId: bucket.id, key, versionId, ...request, clockMs }))
  }

  restoredUntilMs(restore: VersionRestore | undefined): number | undefined {
    return restore && restoredUntil(restore, this.core.clockMs())
  }
}
