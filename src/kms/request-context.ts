/** Condition keys of a request that policies may test, except those of its sender and of the key. */
import type { RequestContext } from "../access/index.js"
import type { Exchange } from "../http/index.js"
import type { Tags } from "../format/identity-records.js"

interface RequestSource {
  readonly exchange: Pick<Exchange, "remoteAddress" | "tlsVersion" | "header">
  /** The region of the signature. */
  readonly region: string
  readonly tags: Tags
  readonly tagKeys: readonly string[]
}

export const contextOf = ({ exchange, region, tags, tagKeys }: RequestSource): RequestContext => ({
  valuesOf({ name, suffix = "" }) {
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
      case "aws:requesttag":
        return tags.find(([key]) => key.toLowerCase() === suffix.toLowerCase())?.[1]
      case "aws:tagkeys":
        return tags.length + tagKeys.length === 0 ? undefined : [...tags.map(([key]) => key), ...tagKeys]
      default:
        return undefined
    }
  },
})
