/** Condition keys that every request over HTTP has, whatever its API: where it comes from, and how it was sent. */
import type { RequestContext } from "./contract.js"

/** The source that these keys are read from. */
export interface RequestSource {
  readonly remoteAddress: string
  /** The version is undefined without TLS. */
  readonly tlsVersion: string | undefined
  header(name: string): string | undefined
}

/** `region` is that of the signature; "" if the request is unsigned. */
export const sourceContext = (source: RequestSource, region: string): RequestContext => ({
  valuesOf({ name }) {
    switch (name) {
      case "aws:sourceip":
        return source.remoteAddress
      case "aws:securetransport":
        return String(source.tlsVersion !== undefined)
      case "aws:useragent":
        return source.header("user-agent")
      case "aws:referer":
        return source.header("referer")
      case "aws:requestedregion":
        return region === "" ? undefined : region
      default:
        return undefined
    }
  },
})
