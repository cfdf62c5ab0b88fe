/** Every limit of calls between nodes, in one place; tests shrink them. */
import { CALL_ID_MAX, type CallClass } from "../format/nodes/frame.js"
import { KIB, MIB } from "@hayloft/base/limits.js"

export interface RpcLimits {
  /** The connection of each class to one peer, by number; classes with the same number share one. */
  readonly connectionOf: Readonly<Record<CallClass, number>>
  /** Calls of one class that one peer's connection serves concurrently; further ones wait on the calling side. */
  readonly callsMax: number
  /** Calls of one class that wait for a connection or a place. */
  readonly callsWaitingMax: number
  /** After so many calls a connection is replaced. */
  readonly callsPerConnectionMax: number
  /** Bytes of one body that a receiver accepts before it has consumed any. */
  readonly callWindowBytes: number
  /** The same for all bodies of one class on one connection. */
  readonly classWindowBytes: number
  /** Bodies are sent in pieces of at most this length, in turns. */
  readonly pieceBytes: number
  /** The bytes that leave in one write. */
  readonly writeBytes: number
  /** For each byte of background work, the most of client data that goes before it. */
  readonly clientShare: number
  /** Small frames that wait to be sent; a peer that causes more and does not read them is disconnected. */
  readonly queuedBytesMax: number
  /** From the start of a connection until the peer's hello. */
  readonly connectMs: number
  readonly pingEveryMs: number
  /** A connection on which nothing arrives for so long is dead. */
  readonly silenceMs: number
  /** A write that takes longer means that the peer does not read. */
  readonly writeMs: number
  readonly retry: { readonly firstMs: number; readonly mostMs: number }
  /** The longest deadline of a call. */
  readonly deadlineMsMax: number
  /** Connections that a server accepts. */
  readonly connectionsMax: number
  /** Time for calls in progress to finish when the server stops. */
  readonly stopMs: number
}

export const RPC_LIMITS: RpcLimits = {
  connectionOf: { client: 0, background: 1 },
  callsMax: 256,
  callsWaitingMax: 4_096,
  callsPerConnectionMax: CALL_ID_MAX,
  callWindowBytes: 1 * MIB,
  classWindowBytes: 32 * MIB,
  pieceBytes: 128 * KIB,
  writeBytes: 512 * KIB,
  clientShare: 4,
  queuedBytesMax: 4 * MIB,
  connectMs: 3_000,
  pingEveryMs: 5_000,
  silenceMs: 15_000,
  writeMs: 15_000,
  retry: { firstMs: 100, mostMs: 5_000 },
  deadlineMsMax: 600_000,
  connectionsMax: 4_096,
  stopMs: 10_000,
}
