/** Every limit of remote shards, in one place; tests shrink them. */
import type { CallClass } from "../format/nodes/frame.js"
import { PAGE_NEEDLES_MAX } from "../format/nodes/shard-calls.js"
import { MIB } from "@hayloft/base/limits.js"

export interface RemoteLimits {
  /** How often a node is asked for the states of its devices. */
  readonly statesEveryMs: number
  /** The same after a call that failed, until the node answers or counts as silent. */
  readonly statesRetryMs: number
  /** Deadline of that call. */
  readonly statesMs: number
  /** After so many of them in sequence without an answer, other calls fail immediately until one is answered. */
  readonly statesFailedMax: number
  /** Deadline of questions about needles. */
  readonly hasMs: number
  /**
   * Deadlines of all other calls. Longer than a node takes to give up a device that hangs, so that its own failure
   * arrives first. Only the single device of a store has longer, 30 s, than a client's call: no other could answer.
   */
  readonly deadlineMs: Readonly<Record<CallClass, number>>
  /**
   * A removal whose outcome is unknown fails so much later. By then it has happened or never will: a node uses nothing
   * that arrives after 15 s of silence on a connection (`RPC_LIMITS.silenceMs`), and gives up a device that hangs sooner.
   */
  readonly removalMs: number
  /** Shard bytes of one class on their way to one node; further appends wait. At most what a node accepts unread. */
  readonly sendBytesMax: number
  /** Memory that a node has for shards on their way from and to others, for each class. Further calls wait. */
  readonly servedBytesMax: Readonly<Record<CallClass, number>>
  /** The part of it that one other node, or one device, may use. */
  readonly shareOfServed: number
  /** Needles in one page of an index, at most PAGE_NEEDLES_MAX, and places in the index at which it is read. */
  readonly pageNeedlesMax: number
  readonly pageSeeksMax: number
}

export const REMOTE_LIMITS: RemoteLimits = {
  statesEveryMs: 2_000,
  statesRetryMs: 100,
  statesMs: 2_000,
  statesFailedMax: 2,
  hasMs: 2_000,
  deadlineMs: { client: 10_000, background: 60_000 },
  removalMs: 30_000,
  sendBytesMax: 32 * MIB,
  servedBytesMax: { client: 128 * MIB, background: 32 * MIB },
  shareOfServed: 1 / 2,
  pageNeedlesMax: PAGE_NEEDLES_MAX,
  pageSeeksMax: 256,
}
