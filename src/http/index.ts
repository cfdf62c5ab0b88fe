/** HTTP: a server that knows no protocol, and the exchange that it hands to one. */
export { Certificates } from "./certificates.js"
export type { CertificatePaths } from "./certificates.js"
export type { Answer, Exchange, PlainAnswer, Protocol, Refusal, Stage, Timing } from "./contract.js"
export { HTTP_LIMITS } from "./limits.js"
export type { HttpLimits } from "./limits.js"
export { probeAddress } from "./probe.js"
export { HttpServer } from "./server.js"
export type { HttpServerSettings } from "./server.js"
