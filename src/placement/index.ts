/** Placement: devices and weights → layout → the devices of a block. */
export { decodeLayout, encodeLayout, planLayout, slotsOf, type Layout, type LayoutDevice } from "./layout.js"
