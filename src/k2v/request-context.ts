/** Condition keys of a request that policies may test, except those of its sender and of the key. */
import type { RequestContext } from "../access/index.js"
import type { Exchange } from "../http/index.js"

export const contextOf = (
  exchange: Pick<Exchange, "remoteAddress" | "tlsVersion" | "header">,
  region: string,
): RequestContext => ({
  valuesOf({ name }) {
    switch (name) {
      case "aws:sourceip":
        return exchange.remoteAddress
      case "aws:securetransport":
        return String(exchange.tlsVersion !== undefined)
      case "aws:useragent":
        return exchange.header("user-agent")
      case "aws:referer":
        return exchange.header("referer")
      case "aws:requestedregion":
        return region
      default:
        return undefined
    }
  },
})
