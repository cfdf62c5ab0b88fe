/** Keys: how the bytes of objects get their keys, and records are bound to them. */
export type { SignCall } from "./aws.js"
export { ExternalKeys } from "./external-keys.js"
export type { KeyServiceReport } from "./service-calls.js"
export { extentKeyOf } from "./derive.js"
