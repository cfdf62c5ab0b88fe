/**
 * The filter `domain-remap`: Swift's containers and accounts as host names, so that a browser sees a container as a site of
 * its own: `CONTAINER.AUTH-012345678901.DOMAIN/OBJECT` is `/v1/AUTH_012345678901/CONTAINER/OBJECT`.
 *
 * Promises  A redirect into the path that the host stands for is answered without it. A host without an account before the
 *           domain, or of another domain, is left alone.
 * Source    `common/middleware/domain_remap.py`, OpenStack Swift. Here a container may have dots.
 */
import { percentEncode, splitTarget } from "@hayloft/base/http/uri.js"
import { ChangedExchange, HeaderLines, type Filter } from "../http/index.js"

/** Host names are compared without case, and have no underscore. */
const ACCOUNT = /^AUTH[-_](.+)$/i

/** The path for which a host stands, encoded; undefined: the host stands for none. `domains` in lower case. */
function pathOfHost(host: string, domains: readonly string[]): string | undefined {
  const name = host.replace(/:\d*$/, "")
  const domain = domains.find(candidate => name.toLowerCase().endsWith(`.${candidate}`))
  if (domain === undefined) return undefined
  const labels = name.slice(0, -domain.length - 1).split(".")
  const [, account] = ACCOUNT.exec(labels.pop() ?? "") ?? []
  if (account === undefined) return undefined
  return percentEncode(
    ["", "v1", `AUTH_${account}`, ...(labels.length === 0 ? [] : [labels.join(".")])].join("/"),
    true,
  )
}

/** The headers of an answer, with a redirect as the client sees the path. */
function redirected(headers: HeaderLines, path: string): HeaderLines {
  const flat = headers.flat()
  const at = flat.findIndex((name, i) => i % 2 === 0 && name.toLowerCase() === "location")
  const location = flat[at + 1]
  if (at < 0 || location?.startsWith(`${path}/`) !== true) return headers
  return HeaderLines.of(flat.with(at + 1, location.slice(path.length)))
}

export const domainRemap = (domains: readonly string[]): Filter => {
  const own = domains.map(domain => domain.toLowerCase())
  return {
    name: "domain-remap",
    ports: ["swift"],
    handle: (exchange, next) => {
      const path = pathOfHost(exchange.header("host") ?? "", own)
      if (path === undefined) return next(exchange)
      const { rawPath, rawQuery } = splitTarget(exchange.rawTarget)
      const rawTarget = `${path}${rawPath}${rawQuery === "" ? "" : `?${rawQuery}`}`
      const { headers } = exchange
      const rewrite = (lines: HeaderLines): HeaderLines => redirected(lines, path)
      return next(new ChangedExchange(exchange, { rawTarget, headers, more: [], rewrite }))
    },
  }
}
