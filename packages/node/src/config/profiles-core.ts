/**
 * Named sets of bounds of memory, for the machine that a store runs on. Pure.
 *
 * A profile changes how much is held at once, and nothing that is stored: it may be another one at each start.
 */
import { MIB } from "@hayloft/base/limits.js"

export const PROFILES = ["standard", "small"] as const
export type Profile = (typeof PROFILES)[number]

interface ProfileBounds {
  /** The part of the memory for bodies, and of the connections and requests at once. */
  readonly share: number
  /** Blocks of the metadata's tables in memory; undefined: as many as the tables keep by themselves. */
  readonly tableCacheBytes: number | undefined
  /** Threads that hash and encode bodies; undefined: by the number of cores. */
  readonly computeThreads: number | undefined
  /** Flags of V8 for the process. */
  readonly heapFlags: readonly string[]
  /** Blocks of a new store; undefined: the default. Each body in flight has one or two. */
  readonly blockBytes: number | undefined
}

export const BOUNDS_OF: Readonly<Record<Profile, ProfileBounds>> = {
  standard: { share: 1, tableCacheBytes: undefined, computeThreads: undefined, heapFlags: [], blockBytes: undefined },
  small: {
    share: 1 / 20,
    tableCacheBytes: 16 * MIB,
    computeThreads: 1,
    heapFlags: ["--max-semi-space-size=4", "--max-old-space-size=96", "--optimize-for-size"],
    blockBytes: MIB,
  },
}
