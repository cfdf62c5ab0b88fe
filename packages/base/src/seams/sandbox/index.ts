/** Sandbox: work in processes that are ended when they exceed their limits, or inline. */
export type { Sandbox, SandboxFault, SandboxOutcome } from "./contract.js"
export { InlineSandbox } from "./inline.js"
export { serveSandbox } from "./real-serve.js"
export { ProcessSandbox } from "./processes.js"
