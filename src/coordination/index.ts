/** Coordination: the control record of a running store, and the folders that it takes. */
export { Keeper, type ChangeListener, type DecideChange, type KeptFolder } from "./keeper.js"
export { checkRemains, probeDevice, takeFolder, type TakenFolder } from "./folders.js"
export {
  FORGET_LIVES,
  lifeOfGeneration,
  nextGeneration,
  nextLife,
  stepsBetween,
  type SeenDevice,
} from "./steps-core.js"
