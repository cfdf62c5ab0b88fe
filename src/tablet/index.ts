/** Tablets: ordered, transactional, replicated rows. */
export type { Command, Decision, DecisionTime, DecisionView, Tablet, TabletRow, TabletView } from "./contract.js"
export { Member, type MemberDevice } from "./member.js"
export { COMMANDS_WAITING_MAX, Primary } from "./primary.js"
export { recoverTablet } from "./recover.js"
