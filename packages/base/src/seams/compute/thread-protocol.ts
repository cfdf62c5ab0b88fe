/**
 * Messages between the calling thread and a compute thread. Messages arrive in order; bytes never
 * travel, only their addresses in the memory that both share.
 */
import type { FailureKind } from "../../failures.js"
import type { BlockAt } from "./block-work.js"
import type { Digests, HashPipelinePlan, MendOutcome, MendRequest, OpenRequest } from "./contract.js"

/** The start parameters of a thread. */
export interface ThreadStart {
  readonly memory: WebAssembly.Memory
  /** The index of its scratch area, see `scratchOf`. */
  readonly worker: number
}

export type HashPipelineNumber = number

type At<Shard> = Omit<Shard, "bytes"> & { readonly at: number; readonly lengthBytes: number }

/** A `MendRequest` by addresses. */
export interface MendAt extends Pick<MendRequest, "shape" | "firstSubBlock"> {
  readonly present: readonly At<MendRequest["present"][number]>[]
  readonly wanted: readonly At<MendRequest["wanted"][number]>[]
}

/** An `OpenRequest` by address. */
type OpenAt = At<OpenRequest>

export type Order =
  | { readonly order: "open"; readonly pipeline: HashPipelineNumber; readonly plan: HashPipelinePlan }
  | { readonly order: "feed"; readonly pipeline: HashPipelineNumber; readonly at: number; readonly lengthBytes: number }
  | {
      readonly order: "identify"
      readonly id: number
      readonly pipeline: HashPipelineNumber
      readonly at: number
      readonly lengthBytes: number
      readonly key: Uint8Array
    }
  | { readonly order: "code"; readonly id: number; readonly pipeline: HashPipelineNumber; readonly block: BlockAt }
  /** Replied to once none of the bytes fed so far is read any more. */
  | { readonly order: "hashed"; readonly id: number; readonly pipeline: HashPipelineNumber }
  | { readonly order: "mend"; readonly id: number; readonly block: MendAt }
  | { readonly order: "unseal"; readonly id: number; readonly segments: OpenAt }
  | { readonly order: "digests"; readonly id: number; readonly pipeline: HashPipelineNumber }
  | { readonly order: "close"; readonly pipeline: HashPipelineNumber }
  /** Hashes waiting bytes without waiting for other bodies. */
  | { readonly order: "flush" }

/**
 * Orders with an id get a reply: `hashed`, `digests` and a `code` that seals once the bytes fed before are hashed, the
 * others immediately.
 */
export type ThreadAnswer =
  | { readonly answer: "identified"; readonly id: number; readonly digest: Uint8Array }
  | { readonly answer: "coded"; readonly id: number; readonly checksums: Uint8Array }
  | { readonly answer: "hashed"; readonly id: number }
  | { readonly answer: "mended"; readonly id: number; readonly outcome: MendOutcome }
  | { readonly answer: "unsealed"; readonly id: number; readonly plainBytes: number }
  | { readonly answer: "digested"; readonly id: number; readonly digests: Digests }
  | { readonly answer: "failed"; readonly id: number; readonly kind: FailureKind; readonly reason: string }
