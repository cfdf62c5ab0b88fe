/**
 * The filter `crossdomain`: `/crossdomain.xml` of Swift's port, which says whose pages may call it from plug-ins that ask.
 * Scripts of pages are allowed by CORS instead.
 *
 * Source  `common/middleware/crossdomain.py`, OpenStack Swift.
 */
import { splitTarget } from "@hayloft/base/http/uri.js"
import type { Filter } from "../http/index.js"

const documentOf = (domains: readonly string[]): string =>
  [
    '<?xml version="1.0"?>',
    '<!DOCTYPE cross-domain-policy SYSTEM "http://www.adobe.com/xml/dtds/cross-domain-policy.dtd" >',
    "<cross-domain-policy>",
    ...domains.map(domain => `<allow-access-from domain="${domain}" />`),
    "</cross-domain-policy>",
  ].join("\n")

/** `domains`: host names, in which `*` stands for any; none of their characters means anything to XML. */
export function crossdomain(domains: readonly string[]): Filter {
  const body = new TextEncoder().encode(documentOf(domains))
  return {
    name: "crossdomain",
    ports: ["swift"],
    handle: (exchange, next) => {
      const isAsked = exchange.method === "GET" && splitTarget(exchange.rawTarget).rawPath === "/crossdomain.xml"
      if (!isAsked) return next(exchange)
      exchange.note({ operation: "Swift crossdomain" })
      return exchange.respond({ status: 200, headers: ["Content-Type", "application/xml"], body })
    },
  }
}
