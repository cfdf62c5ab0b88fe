/** Blocks: a byte stream becomes blocks, shards and needles on devices, and back. */
export { LocalBlocks } from "./blocks.js"
export type { Blocks, HeldUpload, PieceOwner, ShardDebt, ShardDevice, WriteRequest, WrittenBody } from "./contract.js"
export { shapeOf } from "./read-plan-core.js"
