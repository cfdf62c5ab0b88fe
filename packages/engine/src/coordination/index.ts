/** Coordination: what the nodes of a store share, as rows of its metadata. */
export { changeControl, controlRow, layoutTable } from "./control-core.js"
export { setConversion } from "./conversion-core.js"
export { beatNode, joinNode, nodeRows, removeNodeRow, type NodeFacts } from "./nodes-core.js"
export { leaseRows, releaseLeases, takeLease } from "./leases-core.js"
export { advanceEpoch, epochOfAge, restartEpochs, type EpochFacts } from "./epochs-core.js"
export type { LeaseRow, NodeRow } from "../format/nodes/cluster-rows.js"
