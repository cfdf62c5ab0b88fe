/** K2V: the key-value API of Garage over HTTP. */
export { k2vActions } from "./actions.js"
export { createK2vHandler } from "./handler.js"
