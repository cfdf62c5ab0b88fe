/** Sandbox: work on threads that are ended when they exceed their limits, or inline. */
export type { Sandbox, SandboxFault, SandboxOutcome } from "./contract.js"
export { InlineSandbox } from "./inline.js"
export { serveSandbox } from "./thread.js"
export { ThreadSandbox } from "./threads.js"
