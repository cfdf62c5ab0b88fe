/** Coordination over HTTP. */
export { coordActions } from "./actions.js"
export { createCoordHandler, speaksCoord } from "./handler.js"
