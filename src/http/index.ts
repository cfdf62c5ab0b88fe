/** HTTP: a server without a protocol of its own, and the exchange that it passes to one. */
export { Certificates } from "./certificates.js"
export type { Answer, Exchange, PlainAnswer, Protocol, Refusal, RequestMeter } from "./contract.js"
export { HeaderLines } from "./header-lines.js"
export { HTTP_LIMITS } from "./limits.js"
export { isLoopbackHost } from "./own-host-core.js"
export { probeAddress } from "./probe.js"
export { readBody } from "./read-body.js"
export { HttpServer } from "./listener.js"
