/** Storage classes: which of them clients may ask for, and archives. See decision 118. */
import { type Core, type Feature, ServiceOf } from "@hayloft/objects/door/index.js"
import { daysUntil, requireReadable } from "./archive-commands-core.js"
import { ArchiveService } from "./archives.js"
import type { Archives } from "./contract.js"
import { StorageClasses } from "./storage-classes.js"

interface ClassServices {
  readonly classes: StorageClasses
  readonly archives: Archives
}

const services = new ServiceOf<ClassServices>()

export const classesOf = (core: Core): ClassServices => services.of(core)

export const STORAGE_CLASSES_FEATURE = {
  name: "storage-classes" as const,
  checkRead: requireReadable,
  start(core) {
    services.set(core, {
      classes: new StorageClasses(core.classes, core.metadata),
      archives: new ArchiveService(core),
    })
    return {}
  },
  // The restore of an archive goes on for the days that are left of it.
  async rescued(core, target, { restore }) {
    const days = restore === undefined ? -1 : daysUntil(restore.untilMs, core.clock.wallMs())
    if (restore !== undefined && days >= 0)
      await services.of(core).archives.restore(target, { days, tier: restore.tier })
  },
} satisfies Feature
