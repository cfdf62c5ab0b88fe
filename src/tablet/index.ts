/** Tablets: ordered, transactional, replicated rows. */
export type { ConfigurationKeeper } from "./contract.js"
export type { MemberComparison } from "./comparison.js"
export { COMMANDS_WAITING_MAX } from "./limits.js"
export { Member, NO_POSITION, type MemberDevice } from "./member.js"
export { Primary } from "./primary.js"
export { recoverTablet, type FailedMember } from "./recover.js"
