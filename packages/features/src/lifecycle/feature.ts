/**
 * Lifecycle: rules of a bucket that remove objects, versions and uploads, or move versions to other storage classes. It
 * also removes objects that have expired, with and without rules. See decision 55.
 */
import { LIFECYCLE_BYTES_MAX } from "@hayloft/base/limits.js"
import { lifecycleRowKey } from "@hayloft/engine/format/objects/lifecycle-pass.js"
import { type Core, ServiceOf } from "@hayloft/objects/door/index.js"
import type { ProductFeature } from "../operator/index.js"
import { EndsByRule } from "./ends-by-rule.js"
import { LifecycleInspection } from "./inspection.js"
import { Lifecycle } from "./lifecycle-job.js"
import { registerLifecycle } from "./lifecycle-metrics.js"
import { LIFECYCLE_OPERATOR } from "./operations.js"
import { noteExpiring } from "./pass-core.js"
import { LIFECYCLE_INSPECTION } from "./services.js"
import { lifecycleStatus } from "./status.js"

interface LifecycleServices {
  readonly lifecycle: Lifecycle
}

const services = new ServiceOf<LifecycleServices>()

export const lifecycleOf = (core: Core): LifecycleServices => services.of(core)

export const LIFECYCLE = {
  name: "lifecycle" as const,
  operator: LIFECYCLE_OPERATOR,
  status: lifecycleStatus(core => lifecycleOf(core).lifecycle.report()),
  bucket: {
    setting: { name: "lifecycle", bytesMax: LIFECYCLE_BYTES_MAX, freesSpace: true },
    notedRow: id => ["lifecycle", lifecycleRowKey(id)],
  },
  jobs: [{ name: "lifecycle", isPausable: true }],
  start(core) {
    const { clock, metadata, days } = core
    const lifecycle = new Lifecycle({ ...core, random: core.random.fork("lifecycle") }, days)
    services.set(core, { lifecycle })
    LIFECYCLE_INSPECTION.set(core, new LifecycleInspection(metadata, () => lifecycle.time(), clock))
    registerLifecycle(core.metrics, () => lifecycle.report())
    return {
      jobs: [lifecycle],
      ends: new EndsByRule(clock, core.settings, days),
      beforeExpiry: bucketId => metadata.run(noteExpiring(bucketId)),
    }
  },
} satisfies ProductFeature
