/**
 * Units, and the limits that several modules must agree on. A limit of one module
 * is in that module's `limits.ts`.
 */
export const KIB = 1024
export const MIB = 1024 * KIB
export const GIB = 1024 * MIB

/** Payloads up to this length travel with their row and never enter the needle index. */
export const INLINE_BYTES_MAX = 4 * KIB
/**
 * The most that the serving thread reads synchronously, if the page cache likely has it: fetching, verifying and
 * sending that much takes a tenth of a millisecond.
 */
export const SYNC_READ_BYTES_MAX = 128 * KIB
/** Each shard carries one checksum per this many bytes; ranges are read and verified in these units. */
export const SUB_BLOCK_BYTES = 64 * KIB
/** Shards are padded to a multiple of this, so that the coding kernels need no tail. */
export const SHARD_ALIGN_BYTES = 64
export const BLOCK_BYTES_DEFAULT = 4 * MIB
export const BLOCK_BYTES_MIN = 1 * MIB
export const BLOCK_BYTES_MAX = 64 * MIB
export const PARTITIONS = 65_536
export const SHARDS_MAX = 32
/** Data folders of one process. */
export const DEVICES_MAX = 32
/** Front threads of a process. */
export const FRONT_THREADS_MAX = 16
/** Devices of a store, on all of its nodes. */
export const STORE_DEVICES_MAX = 4096
/**
 * All rows that one command writes, payloads included, as an entry of the log. The largest are an item of K2V and a message of a
 * queue of 1 MiB with their other rows. A row is at most as long as its entry: nothing below limits it further.
 */
export const ENTRY_BYTES_MAX = 1 * MIB + 256 * KIB
/** The key of a row. The longest are of K2V: a partition key and a sort key of 1,024 bytes each, with ids. */
export const ROW_KEY_BYTES_MAX = 2 * KIB + 256
/** A device adds no more to the key of a row (its replica incarnation) … */
export const STORED_KEY_OVERHEAD_BYTES_MAX = 8
/** … and to its value (the place of a payload, and flags). */
export const STORED_VALUE_OVERHEAD_BYTES_MAX = 32
/** The document of one bucket setting. */
export const SETTING_BYTES_MAX = 64 * KIB
/** The same for lifecycle rules, of which a bucket may have a thousand. */
export const LIFECYCLE_BYTES_MAX = 512 * KIB
/** Rows that one command may touch. */
export const COMMAND_ROWS_MAX = 1024
export const OBJECT_BYTES_MAX = 5 * GIB
/** Request bodies up to this length are read whole; longer ones are streamed, with backpressure on the sender. */
export const WHOLE_BYTES_MAX = 64 * KIB
/** The same on the wire, where a body may have chunks with signatures. */
export const GATHERED_BYTES_MAX = WHOLE_BYTES_MAX + 32 * KIB
export const PARTS_MAX = 10_000
/** The part number in the needles of segments that are found by their offset: no upload has it. */
export const OFFSET_PART = 0xffff
/** The part number of a pack: the bytes of several objects. */
export const PACKED_PART = 0xfffe
export const PART_BYTES_MAX = 5 * GIB
export const PART_BYTES_MIN = 5 * MIB
export const MANIFEST_SEGMENT_PARTS = 256

/** Objects, versions and prefixes that a caller may select for a job. */
export const SELECTED_MAX = 1_000
