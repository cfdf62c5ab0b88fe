/** Blocks: a byte stream becomes blocks, shards and needles on devices, and back. */
export { LocalBlocks } from "./blocks.js"
export type { BlockOptions, BlockRun, Blocks, Devices, LentBytes, LiveBlock, Mended, PieceOwner } from "./contract.js"
export type { ReencodedBlock, ReencodeRequest, ShardCopy, MissingShards, ShardDevice } from "./contract.js"
export type { WriteRequest, WrittenBody } from "./contract.js"
export { assignedDeviceOf, Layouts } from "./layouts.js"
export { blockShape, shapeOf, type ExtentRange } from "./read-plan-core.js"
export { ALL_NEEDLES, needleIdOf, standingOf } from "./shard-scan-core.js"
export type { BlockGroup, HeldShard, Standing, ShardScanPage } from "./shard-scan-core.js"
