/**
 * What the admin API shows of a running store, and what it needs from whoever wires it.
 *
 * The reports are plain data: read when asked, never cached here. Nothing in them is secret.
 */
import type { AccountId, DeviceId, StoreId } from "../base/ids.js"

export type DeviceState = "ok" | "suspect" | "full" | "failed" | "missing"

/** A bounded queue and how near it is to its limit. */
export interface QueueReport {
  readonly name: string
  readonly depth: number
  readonly limit: number
}

export interface DeviceReport {
  readonly id: DeviceId
  /** The folder; where it was last seen, for a missing one. */
  readonly path: string
  readonly state: DeviceState
  /** Why the state is not "ok"; "" where it is. */
  readonly reason: string
  /** 0 where the device does not answer. */
  readonly totalBytes: number
  readonly freeBytes: number
  /** "ext4", "xfs", "tmpfs" … or "unknown". */
  readonly fileSystemKind: string
  readonly queues: readonly QueueReport[]
}

export interface StoreReport {
  readonly storeId: StoreId
  readonly version: string
  readonly region: string
  readonly startedMs: number
  readonly uptimeSeconds: number
  /** `ec:4+3`, `replica:2`: what new blocks are written under. */
  readonly policy: string
  readonly metaCopies: number
  readonly blockBytes: number
  /** What the redundancy protects against, in a plain and true sentence. */
  readonly redundancy: string
  readonly health: HealthReport
  readonly devices: readonly DeviceReport[]
  /** Queues that belong to no device. */
  readonly queues: readonly QueueReport[]
}

export interface HealthReport {
  /** May be sent requests. */
  readonly ready: boolean
  /** Why not, or what is degraded though ready; empty where all is well. */
  readonly reasons: readonly string[]
}

export interface StoreStatus {
  /** Cheap: asked by every probe. */
  health(): HealthReport
  report(): Promise<StoreReport>
}

/** The project's documentation, as the admin port shows it. */
export interface Documents {
  /** Names such as `install.md` or `recipes/restic.md`, sorted. */
  list(): Promise<readonly string[]>
  /** Undefined: no such document. Names not in `list` are never looked for. */
  read(name: string): Promise<Uint8Array | undefined>
}

export interface AdminOptions {
  readonly version: string
  /** Bearer token of `/v1` (and of `/metrics` off loopback). */
  readonly token: string
  /** Listening on loopback only: `/metrics` asks for no token. */
  readonly onLoopback: boolean
  /** Owner of buckets made without one; its keys include the root key. */
  readonly rootAccount: AccountId
  /** Prometheus text, rendered when scraped. */
  readonly metricsText: () => string
}
