/**
 * What the calling thread and a compute thread say to each other. Messages arrive in order; bytes never
 * travel, only their addresses in the memory that both share.
 */
import type { FailureKind } from "../../base/failures.js"
import type { BlockAt } from "./block-work.js"
import type { Digests, LanePlan, MendOutcome, MendRequest } from "./contract.js"

/** What a thread is started with. */
export interface ThreadStart {
  readonly memory: WebAssembly.Memory
  /** Address of the coder's scratch area. */
  readonly scratchAt: number
}

export type LaneNumber = number

type At<Shard> = Omit<Shard, "bytes"> & { readonly at: number; readonly lengthBytes: number }

/** A `MendRequest` by addresses. */
export interface MendAt extends Pick<MendRequest, "shape"> {
  readonly present: readonly At<MendRequest["present"][number]>[]
  readonly wanted: readonly At<MendRequest["wanted"][number]>[]
}

export type Order =
  | { readonly order: "open"; readonly lane: LaneNumber; readonly plan: LanePlan }
  | { readonly order: "feed"; readonly lane: LaneNumber; readonly at: number; readonly lengthBytes: number }
  | { readonly order: "code"; readonly id: number; readonly lane: LaneNumber; readonly block: BlockAt }
  | { readonly order: "mend"; readonly id: number; readonly block: MendAt }
  | { readonly order: "digests"; readonly id: number; readonly lane: LaneNumber }
  | { readonly order: "close"; readonly lane: LaneNumber }

/** Orders with an id are answered, in the order in which they were given within a lane. */
export type Answer =
  | { readonly answer: "coded"; readonly id: number; readonly checksums: Uint8Array }
  | { readonly answer: "mended"; readonly id: number; readonly outcome: MendOutcome }
  | { readonly answer: "digested"; readonly id: number; readonly digests: Digests }
  | { readonly answer: "failed"; readonly id: number; readonly kind: FailureKind; readonly reason: string }
