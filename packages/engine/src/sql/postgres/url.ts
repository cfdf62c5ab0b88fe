/**
 * Database URLs: their hosts, and how they are shown. Pure.
 *
 * Promises  `maskedUrl` shows no password and none of the parameters, also if the URL is malformed.
 */
import { fail } from "@hayloft/base/failures.js"

const SCHEME = /^postgres(?:ql)?:\/\//

interface Host {
  /** Without user and password. */
  readonly name: string
  readonly url: string
}

/**
 * One URL for each host, in the order of the URL, which may name several as libpq's do
 * (`postgres://user@a:5432,b:5432/name`). Throws `invalidArgument`.
 */
export function hostsOf(url: string): readonly [Host, ...Host[]] {
  const [before = "", scheme, userAndHosts = ""] = /^(postgres(?:ql)?:\/\/)([^/?#]*)/.exec(url) ?? []
  const hostsAt = userAndHosts.lastIndexOf("@") + 1
  const [user, hosts, rest] = [userAndHosts.slice(0, hostsAt), userAndHosts.slice(hostsAt), url.slice(before.length)]
  if (scheme === undefined)
    throw fail("invalidArgument", { message: "the database URL does not begin with postgres://" })
  const [first = "", ...others] = hosts.split(",")
  const hostOf = (name: string): Host => ({ name: name || "localhost", url: `${scheme}${user}${name}${rest}` })
  return [hostOf(first), ...others.map(hostOf)]
}

/** The URL without its password and its parameters, which may contain others. */
export function maskedUrl(url: string): string {
  const [scheme] = SCHEME.exec(url) ?? []
  if (scheme === undefined) return "***"
  const after = url.slice(scheme.length)
  // A password with an unescaped "/" or "?" ends at the last "@".
  const at = after.lastIndexOf("@")
  const [user = "", ...password] = after.slice(0, Math.max(at, 0)).split(":")
  const place = after.slice(at + 1).split(/[?#]/, 1)[0] ?? ""
  return `${scheme}${user}${password.length > 0 ? ":***" : ""}${at >= 0 ? "@" : ""}${place}`
}

/** The text without the passwords of the URL. */
export function withoutPasswords(url: string, text: string): string {
  const [, inUser = ""] = /^[^:]+:\/\/[^:@]*:(.*)@/s.exec(url) ?? []
  const inParameters = [...url.matchAll(/[?&](?:ssl)?password=([^&#]*)/g)].map(([, value = ""]) => value)
  let shown = text
  for (const secret of [inUser, ...inParameters].flatMap(raw => [raw, decoded(raw)])) {
    if (secret !== "") shown = shown.replaceAll(secret, "***")
  }
  return shown
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
