/** History checker: checks that some order of each key's operations explains the answers that clients received. */
export { HISTORY_LIMITS, checkHistory, describeVerdict } from "./check.js"
export type { KeyVerdict } from "./check.js"
export type { Action, Condition, Mode, Operation, Outcome, StackEntry, Value } from "./operations.js"
export { IDENTITY_BYTES, PAGE_BYTES, bodyOf, claimOf, firstDifference, hashKey, readClaim } from "./bodies.js"
export type { BodyClaim, BodyIdentity } from "./bodies.js"
