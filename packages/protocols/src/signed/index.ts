/** Signed protocols: the frame that requests with a signature pass through, whatever their protocol. */
export { SignedFrame } from "./frame.js"
export type { AdmittedRequest, Asking, FrameSettings, FailedRequest, Route, SignedProtocol } from "./contract.js"
export { accessRequestOf } from "./access-request.js"
export { claimedAccount, KeyGate, type Arrival, type ClaimedKey } from "./key-gate.js"
export { answerable, Refusals } from "./refusals.js"
export { RequestMeters } from "./request-meters.js"
export { errorReplyOf, type CallerState, type ErrorReply } from "./rest-failures.js"
