/** Placement: devices and weights → layout → the devices of a block; movement, capacity, alive slots. */
export { aliveSlots } from "./alive.js"
export { usableBytes, weightsFor } from "./capacity.js"
export {
  decodeLayout,
  encodeLayout,
  isSound,
  slotsOf,
  slotsPerDevice,
  type FailureDomains,
  type Layout,
  type LayoutDevice,
} from "./layout.js"
export { movement } from "./movement.js"
export { fairSlots, isSpreadEvenly, planLayout, planNext, replaceDevice } from "./next-layout.js"
export { mostTogether } from "./together.js"
