/** Tablets: ordered, transactional, replicated rows. */
export type {
  Command,
  CommittedRows,
  ConfigurationKeeper,
  Decision,
  DecisionTime,
  DecisionView,
  Tablet,
  TabletRow,
  TabletView,
} from "./contract.js"
export type { Difference } from "./comparison-core.js"
export type { MemberComparison } from "./comparison.js"
export type { Learner } from "./learner.js"
export { COMMANDS_WAITING_MAX } from "./limits.js"
export { Member, NO_POSITION, type MemberDevice } from "./member.js"
export { Primary, type MembershipOf } from "./primary.js"
export { recoverTablet, type FailedMember, type Recovery } from "./recover.js"
