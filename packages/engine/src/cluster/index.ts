/** Cluster: the devices of a store and the placement of its data, decided on the control record. */
export { claimDevice, devicesOfNode, releaseDevices } from "./claims-core.js"
export { deviceOf, finishTransition } from "./device-states-core.js"
export { markOffline, markReopened, markReturning, markWhole } from "./device-states-core.js"
export { addDevice, forgetDevice, joinDevices, replaceDevice, type NewDevice } from "./device-commands-core.js"
export { lossesWithout, lossText, type ShardLoss } from "./device-commands-core.js"
export { followHomes } from "./follow-homes-core.js"
export { layoutFileOf, layoutOfFile, problemsOfLayoutFile } from "./layout-file-core.js"
export { canPlaceWithout, LONG_OUT_MS, placeWithout, placeWithoutLongOffline } from "./long-out-core.js"
export { forgetNode, markNodeLost } from "./node-commands-core.js"
export { addLearner, dropReplicas, forgetLearners, nextReplicaStep, promoteLearner, tabletOf } from "./replicas-core.js"
export {
  admitBucketPolicy,
  followDevices,
  isSameChoice,
  narrowLayout,
  policyInWords,
  setClassPolicy,
  setPolicy,
} from "./policy-core.js"
export { previewChange, reencodingOf, type Preview, type PreviewFacts, type Reencoding } from "./preview-core.js"
export { survivesLess } from "./promises-core.js"
export { domainsOfHome, layoutDevices, layoutOf, policiesIn } from "./record-layout-core.js"
export { revertLayout } from "./revert-layout-core.js"
export { SafetyEvaluator, type Safety, type SafetyInput } from "./safety-core.js"
export { listed, mayFail, reasonsOf, safetySentence } from "./safety-sentence-core.js"
export { silentNodes } from "./silent-nodes-core.js"
export { emptyLeavingNodes, stageChanges, withLeaving, type StagedChange } from "./staged-changes-core.js"
