/** Keys: how the bytes of objects get their keys, and records are bound to them. */
export { extentKeyOf } from "./derive.js"
