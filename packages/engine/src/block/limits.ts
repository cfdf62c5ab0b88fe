/** Limits of the block layer. */
import { KIB, MIB } from "@hayloft/base/limits.js"

/** Several threads that serve divide the memory for readers: `readBytesMax`, `fetchBytesMax`, `rebuildBytesMax`. */
export const BLOCK_LIMITS = {
  /** Blocks of one body that may be coded and written while the next one fills. */
  bodyBlocksInFlightMax: 4,
  /** While accounts compete: blocks that are written at the same time, as a mean over the devices … */
  sharedWritesOfDevice: 4,
  /** … apart from those up to this length. */
  shortWriteBytes: 64 * KIB,
  /** How long an acknowledgement waits for the last shard once enough are durable. */
  stragglerMs: 250,
  /** Pieces of one read that are fetched ahead of the client. */
  readAheadPiecesMax: 4,
  /** Bytes in long pieces that all readers together hold, from the device to the client; see `read-ahead-core.ts`. */
  readBytesMax: 64 * MIB,
  /** A reader whose client has consumed nothing for this long keeps no read-ahead while memory is short. */
  stalledReaderMs: 1_000,
  /** Short buffers that are reused; further short pieces get their own memory. */
  shortReadBuffers: 64,
  /**
   * Bytes handed to all readers together in one turn of the event loop. One connection is accepted per turn, so
   * without the limit thousands of simultaneous connections would wait for as many long turns.
   */
  readBytesOfTurn: 1 * MIB,
  /** Bytes requested concurrently by readers past their first piece; a first piece never waits for them. */
  fetchBytesMax: 32 * MIB,
  /** Shard bytes read concurrently for rebuilds. */
  rebuildBytesMax: 128 * MIB,
  /** A shard is slow if its read takes longer than this many times the 95th percentile of recent reads … */
  slowReadTimes: 3,
  /** … with the threshold clamped to these bounds, so that a hung device cannot delay a read for long. */
  slowReadMsMin: 50,
  slowReadMsMax: 2_000,
  /** Recent reads in the percentile. */
  readTimesKept: 256,
  /** Concurrent rebuilds because of slow shards; beyond this, reads wait for their slow shards. */
  maxConcurrentHedges: 16,
  /** A client may be slower than this, over this window, only while no other body waits for the slab that it holds. */
  slowClientBytesPerSecondMin: 64 * KIB,
  slowClientWindowMs: 30_000,
  slowClientCheckMs: 1_000,
  /** Bytes of a body that are hashed in one step. */
  feedBytes: 256 * KIB,
  /** Needles removed from one device in one call. */
  removeNeedlesMax: 1024,
  maxConcurrentShards: 32,
  /** Needles in one page of a shard scan: takes some milliseconds. */
  shardScanNeedles: 2048,
  /** Memory for the shards of blocks being mended; the second limit applies while clients use the same disks. */
  mendBytesMax: 64 * MIB,
  mendForegroundBytesMax: 8 * MIB,
  /** Clients count as absent this long after their last request. */
  quietMs: 1_000,
} as const
