/** Cluster: who is part of a store and what should be where, decided on the control record. */
export { checkRecord } from "./check-record.js"
export { deviceOf, finishTransition, isIn, withState } from "./device-states-core.js"
export { markOut, markReopened, markReturning, markWhole } from "./device-states-core.js"
export {
  addDevice,
  drainDevice,
  forgetDevice,
  removeDevice,
  replaceDevice,
  setWeight,
  usualWeight,
  type NewDevice,
} from "./device-words-core.js"
export { LONG_OUT_MS, placeWithoutLongOut } from "./long-out-core.js"
export {
  addLearner,
  dropMembers,
  forgetLearners,
  nextMemberStep,
  promoteLearner,
  tabletOf,
  type MemberStep,
} from "./members-core.js"
export { admitBucketPolicy, followDevices, narrowLayout, policyInWords, setPolicy } from "./policy-core.js"
export {
  previewChange,
  recodingOf,
  type DevicePreview,
  type Preview,
  type PreviewFacts,
  type Recoding,
} from "./preview-core.js"
export { controlLayoutOf, layoutOf } from "./record-layout-core.js"
export { SafetyJudge, type Safety, type SafetyInput } from "./safety-core.js"
export { reasonsOf, safetySentence } from "./safety-sentence-core.js"
