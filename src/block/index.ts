/** Blocks: a byte stream becomes blocks, shards and needles on devices, and back. */
export { LocalBlocks } from "./blocks.js"
export type { BlockRun, Blocks, Devices, LentBytes, LiveBlock, PieceOwner } from "./contract.js"
export type { ShardCopy, ShardDevice, WrittenBody } from "./contract.js"
export { assignedDeviceOf, Layouts } from "./layouts.js"
export { blockShape, shapeOf, type ExtentRange } from "./read-plan-core.js"
export { ALL_NEEDLES, needleIdOf, standingOf } from "./shard-scan-core.js"
export type { BlockGroup, ShardScanPage } from "./shard-scan-core.js"
