/** The ingest of a process in a simulated store that only keeps backups of its metadata. */
import { KIB } from "@hayloft/base/limits.js"
import type { Metadata } from "@hayloft/engine/metadata/index.js"
import type { ObjectBackend } from "@hayloft/objects/backend.js"
import { Expiring } from "@hayloft/objects/expiring.js"
import { Ingest } from "@hayloft/objects/bodies/ingest.js"
import { NO_CLASSES } from "@hayloft/objects/class-policies.js"
import type { StoreWorld, WorldDevices } from "../testing-services.js"
import type { Uploads } from "@hayloft/objects/bodies/uploads.js"

/** `metadata`: of the backend; default: that of the store. */
export function plainIngest<Its extends WorldDevices>(
  { clock, tablet, blocks, compute, telemetry, policy }: StoreWorld<Its>,
  uploads: Uploads,
  metadata: Metadata = tablet,
): { readonly backend: ObjectBackend; readonly ingest: Ingest } {
  const backend = { clock, metadata, blocks, uploads, log: telemetry.log }
  const expiring = new Expiring(
    { clock, storeClock: { shownMs: 0 }, told: async () => undefined },
    async () => undefined,
  )
  const store = { policy, blockBytes: 16 * KIB }
  const watch = { onHints: () => undefined, onNarrow: () => undefined }
  return { backend, ingest: new Ingest(backend, compute, store, NO_CLASSES, { expiring }, watch) }
}
