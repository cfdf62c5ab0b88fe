/** The methods that the thread of the engine and a front thread offer each other, for what they serve and tell. */
import type { EventLine, RequestBatch } from "@hayloft/admin/observe/index.js"
import type { CountedAttempt, Denial } from "@hayloft/access/index.js"
import type { MetricsSnapshot } from "@hayloft/base/seams/telemetry/metrics-text-core.js"
import type { CopiesReport } from "@hayloft/engine/block/index.js"
import type { AccountFactor, UsedByAccount } from "@hayloft/protocols/http/index.js"
import type { DeviceReport } from "@hayloft/node/status/contract.js"
import { reading } from "@hayloft/engine/thread/index.js"
import type { MinioMetricsKind } from "../minio/metrics-core.js"

/** A front calls these. */
export const TELLING_METHODS = {
  /** It serves, at these ports, in the order in which it was told to. */
  listening: reading<readonly number[], void>("listening"),
  /** Requests that have ended. */
  finished: reading<RequestBatch, void>("finished"),
  /** For Swift's questions about the inside of the store. */
  devices: reading<undefined, readonly DeviceReport[]>("devices"),
  minioMetrics: reading<MinioMetricsKind, string>("metrics of MinIO"),
  event: reading<EventLine, void>("event"),
  denied: reading<Denial, void>("denied"),
  /** An attempt to prove a secret counts. */
  attempted: reading<CountedAttempt, void>("attempted"),
  /** Its accounts have used so much since it last told; answers which of them pay more. */
  used: reading<readonly UsedByAccount[], readonly AccountFactor[]>("used by accounts"),
  /** The audit log has new entries. */
  audited: reading<undefined, void>("audited"),
} as const

/** The thread of the engine calls these. */
export const SERVING_METHODS = {
  metrics: reading<undefined, MetricsSnapshot>("metrics"),
  /** Requests are shown to someone, or to no one any more. */
  watched: reading<boolean, void>("watched"),
  /** An attempt to prove a secret counts in another thread. */
  attempted: reading<CountedAttempt, void>("attempted elsewhere"),
  /** Its copies of hot pieces, with so many of the hottest extents; undefined if none are kept. */
  hotCopies: reading<number, CopiesReport | undefined>("hot copies"),
  /** Closes the ports; answers once all requests under way have ended. */
  stop: reading<undefined, void>("stop"),
  /** Closes connections whose requests are still under way. */
  cut: reading<undefined, void>("cut"),
} as const
