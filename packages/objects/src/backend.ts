/**
 * Object backend: where the object services keep what they are given, rows and blocks, and what goes with every access
 * to them. Ingest and the jobs share one.
 */
import type { Blocks } from "@hayloft/engine/block/index.js"
import type { Metadata } from "@hayloft/engine/metadata/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Log } from "@hayloft/base/seams/telemetry/contract.js"
import type { Uploads } from "./bodies/uploads.js"

export interface ObjectBackend {
  readonly clock: Clock
  readonly metadata: Metadata
  readonly blocks: Blocks
  readonly uploads: Uploads
  readonly log: Log
}
