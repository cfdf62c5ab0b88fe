/** Condition keys of a request that policies may test, except those of its sender: its source and its parameters. */
import { sourceContext, type RequestContext, type RequestSource } from "@hayloft/access/index.js"
import type { IamTarget } from "./action.js"
import type { Parameters } from "./parameters.js"

type Values = string | readonly string[] | undefined

interface IamRequest {
  readonly exchange: RequestSource
  readonly parameters: Parameters
  /** The region of the signature; "" if the request is unsigned. */
  readonly region: string
  readonly target: IamTarget | undefined
}

const KEYS: ReadonlyMap<string, (source: IamRequest, suffix: string) => Values> = new Map<
  string,
  (source: IamRequest, suffix: string) => Values
>([
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

export function iamContextOf(request: IamRequest): RequestContext {
  const source = sourceContext(request.exchange, request.region)
  return {
    valuesOf(key) {
      const own = KEYS.get(key.name)
      return own ? own(request, key.suffix ?? "") : source.valuesOf(key)
    },
  }
}

function tagOf(tags: readonly (readonly [key: string, value: string])[], key: string): Values {
  const wanted = key.toLowerCase()
  return tags.find(([name]) => name.toLowerCase() === wanted)?.[1]
}

function tagKeysOf(parameters: Parameters): Values {
  const keys = [...parameters.tags().map(([key]) => key), ...parameters.list("TagKeys")]
  return keys.length === 0 ? undefined : keys
}
