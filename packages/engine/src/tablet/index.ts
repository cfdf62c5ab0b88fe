/** Tablets: ordered, transactional, replicated rows. */
export type { ConfigurationStore } from "./contract.js"
export type { ReplicaComparison } from "./comparison.js"
export { EncodedBatch, Replica, NO_POSITION, type ReplicaDevice } from "./replica.js"
export { Primary } from "./primary.js"
export { recoverTablet, type FailedReplica } from "./recover.js"
