/** Archived objects: they are restored for some days, and read only then. */
import type { ObjectTarget } from "@hayloft/objects/contract.js"
import type { Core } from "@hayloft/objects/door/index.js"
import { isOnlyNamed, readableUntil, restoreArchived } from "./archive-commands-core.js"
import type { ArchivedObject, Archives, RestoreRequest } from "./contract.js"

export class ArchiveService implements Archives {
  constructor(private readonly core: Pick<Core, "metadata" | "storeClock" | "clockMs" | "classes">) {}

  async restore({ bucket, key, versionId }: ObjectTarget, request: RestoreRequest): Promise<boolean> {
    const { metadata, storeClock, classes } = this.core
    const clockMs = storeClock.nowMs()
    const restored = await metadata.run(restoreArchived({ bucketId: bucket.id, key, versionId, ...request, clockMs }))
    return restored.wasRestored || isOnlyNamed(restored.storageClass, classes)
  }

  restoredUntilMs({ storageClass, restore }: ArchivedObject): number | undefined {
    return readableUntil(storageClass, restore, () => this.core.clockMs(), this.core.classes)
  }
}
