/** Storage classes: which of them clients may ask for, and archives. See decision 118. */
import { type Core, type Feature, ServiceOf } from "@hayloft/objects/door/index.js"
import { requireReadable } from "./archive-commands-core.js"
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
} satisfies Feature
