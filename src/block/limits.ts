/** Limits of the block layer. */
import { KIB, MIB } from "../base/limits.js"

export const BLOCK_LIMITS = {
  /** Blocks of one body that may be coded and written while the next is filled. */
  bodyBlocksInFlightMax: 4,
  /** How long an acknowledgement waits for the last shard once enough are durable. */
  stragglerMs: 250,
  /** Pieces of one read that are fetched ahead of the client. */
  readAheadPiecesMax: 4,
  /** Bytes that all readers together hold in long pieces, from the device to the client; see `read-ahead-core.ts`. */
  readBytesMax: 64 * MIB,
  /** A reader whose client has taken nothing for so long keeps nothing ahead while memory is short. */
  stalledReaderMs: 1_000,
  /** Short pieces that lie in memory that is lent again and again; others have memory of their own. */
  shortReadBuffers: 64,
  /**
   * Bytes that all readers together are handed in one turn of the event loop, in which one connection is accepted:
   * thousands that come at once wait for as many turns.
   */
  readBytesOfTurn: 1 * MIB,
  /** Asked of devices at once by readers that have had their first piece: whoever asks for one waits behind no more. */
  fetchBytesMax: 32 * MIB,
  /** Shards that are read at once so that pieces are rebuilt from them. */
  rebuildBytesMax: 128 * MIB,
  /** A shard that takes longer than this many times what 95 % of the latest reads took is slow … */
  slowReadTimes: 3,
  /** … but not before the first, and at any rate after the second: nobody waits for a hung device for long. */
  slowReadMsMin: 50,
  slowReadMsMax: 2_000,
  /** The latest reads that this is judged by. */
  readTimesKept: 256,
  /** Pieces that are rebuilt because their shard is slow, at once; beyond, slow shards are waited for. */
  hedgesAtOnce: 16,
  /** A client may be this slow, over this long, only while nobody waits for the slab that its body holds. */
  slowClientBytesPerSecondMin: 64 * KIB,
  slowClientWindowMs: 30_000,
  slowClientCheckMs: 1_000,
  /** Bytes of a body handed to its hashes at once. */
  feedBytes: 256 * KIB,
  /** Needles removed from one device in one call. */
  removeNeedlesAtOnce: 1024,
  shardsAtOnce: 32,
  /** Needles that one page of a survey shows: some milliseconds. */
  shardScanNeedles: 2048,
  /** Memory for the shards of blocks that are being mended; and while clients are there, who wait for the same disks. */
  mendBytesMax: 64 * MIB,
  mendBesideBytesMax: 8 * MIB,
  /** So long after a client's last request nobody is there. */
  quietMs: 1_000,
} as const
