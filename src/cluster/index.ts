/** Cluster: who is part of a store and what should be where, decided on the control record. */
export { deviceOf, finishTransition, isIn, markOut, markReturning, markWhole, withState } from "./device-states-core.js"
export {
  addLearner,
  dropMembers,
  forgetLearners,
  nextMemberStep,
  promoteLearner,
  tabletOf,
  type MemberStep,
} from "./members-core.js"
export { judgeSafety, type Safety, type SafetyInput } from "./safety-core.js"
export { reasonsOf, safetySentence } from "./safety-sentence-core.js"
