/** Condition keys of a request that policies may test, except those of its sender: its source and its parameters. */
import type { RequestContext } from "../access/index.js"
import type { Exchange } from "../http/index.js"
import type { Target } from "./action.js"
import type { Parameters } from "./parameters.js"

type Values = string | readonly string[] | undefined

interface RequestSource {
  readonly exchange: Pick<Exchange, "remoteAddress" | "tlsVersion" | "header">
  readonly parameters: Parameters
  /** The region of the signature; "" if the request is unsigned. */
  readonly region: string
  readonly target: Target | undefined
}

const KEYS: ReadonlyMap<string, (source: RequestSource, suffix: string) => Values> = new Map<
  string,
  (source: RequestSource, suffix: string) => Values
>([
  ["aws:sourceip", ({ exchange }) => exchange.remoteAddress],
  ["aws:securetransport", ({ exchange }) => String(exchange.tlsVersion !== undefined)],
  ["aws:useragent", ({ exchange }) => exchange.header("user-agent")],
  ["aws:referer", ({ exchange }) => exchange.header("referer")],
  ["aws:requestedregion", ({ region }) => (region === "" ? undefined : region)],
  ["aws:requesttag", ({ parameters }, suffix) => tagOf(parameters.tags(), suffix)],
  ["aws:tagkeys", ({ parameters }) => tagKeysOf(parameters)],
  ["aws:resourcetag", ({ target }, suffix) => tagOf(target?.tags ?? [], suffix)],
  ["iam:resourcetag", ({ target }, suffix) => tagOf(target?.tags ?? [], suffix)],
  ["iam:policyarn", ({ parameters }) => parameters.optional("PolicyArn")],
  [
    "iam:permissionsboundary",
    ({ parameters, target }) => parameters.optional("PermissionsBoundary") ?? target?.boundary,
  ],
  ["sts:rolesessionname", ({ parameters }) => parameters.optional("RoleSessionName")],
  ["sts:externalid", ({ parameters }) => parameters.optional("ExternalId")],
])

export const contextOf = (source: RequestSource): RequestContext => ({
  valuesOf: ({ name, suffix = "" }) => KEYS.get(name)?.(source, suffix),
})

function tagOf(tags: readonly (readonly [key: string, value: string])[], key: string): Values {
  const wanted = key.toLowerCase()
  return tags.find(([name]) => name.toLowerCase() === wanted)?.[1]
}

function tagKeysOf(parameters: Parameters): Values {
  const keys = [...parameters.tags().map(([key]) => key), ...parameters.list("TagKeys")]
  return keys.length === 0 ? undefined : keys
}
