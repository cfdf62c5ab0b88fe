/**
 * Finds the operation of a request, and its parameters. Pure.
 *
 * Refuses  `invalidArgument`: paths and parameters of another form, parameters that the operation does not have, or has twice;
 *          `methodNotAllowed`.
 */
import { fail } from "@hayloft/base/failures.js"
import { percentDecode, splitTarget } from "@hayloft/base/http/uri.js"
import { QueryParameters, requestText } from "../http/index.js"

export const COORD_PREFIX = "/coord/"

const PARAMETERS = {
  BeginSession: [],
  ListSessions: ["after", "count"],
  GetSession: [],
  RenewSession: [],
  EndSession: [],
  ListNamespaces: ["after", "count"],
  AcquireLock: [],
  ReleaseLock: ["session", "token"],
  GetLock: ["after", "waitSeconds"],
  ListLocks: ["after", "count"],
  CheckFence: [],
  PutFile: ["session"],
  GetFile: ["after", "waitSeconds"],
  DeleteFile: [],
  ListFiles: ["after", "count"],
  FollowChanges: ["after", "waitSeconds"],
} as const satisfies Readonly<Record<string, readonly string[]>>

export type CoordOperation = keyof typeof PARAMETERS

export interface CoordRoute {
  readonly operation: CoordOperation
  /** The rest of the path: an id, a path, a prefix with a slash at its end, or a fence. */
  readonly name: string
  readonly parameters: QueryParameters
}

type Methods = Readonly<Record<string, CoordOperation>>

/** By what the request is about. `below`: the name ends with a slash. */
const KINDS: Readonly<Record<string, { readonly all?: Methods; readonly one?: Methods; readonly below?: Methods }>> = {
  sessions: {
    all: { GET: "ListSessions", POST: "BeginSession" },
    one: { GET: "GetSession", DELETE: "EndSession", POST: "RenewSession" },
  },
  namespaces: { all: { GET: "ListNamespaces" } },
  locks: {
    one: { PUT: "AcquireLock", GET: "GetLock", DELETE: "ReleaseLock" },
    below: { GET: "ListLocks" },
  },
  fences: { one: { GET: "CheckFence" } },
  files: {
    one: { PUT: "PutFile", GET: "GetFile", HEAD: "GetFile", DELETE: "DeleteFile" },
    below: { GET: "ListFiles" },
  },
  changes: { one: { GET: "FollowChanges" }, below: { GET: "FollowChanges" } },
}

const RENEW = /^([^/]+)\/renew$/

function methodsOf(kind: string, name: string): Methods | undefined {
  const methods = Object.hasOwn(KINDS, kind) ? KINDS[kind] : undefined
  return name === "" ? methods?.all : name.endsWith("/") ? methods?.below : methods?.one
}

export function coordRouteOf(method: string, rawTarget: string): CoordRoute {
  const { rawPath, rawQuery } = splitTarget(rawTarget)
  const [kind = "", ...rest] = rawPath.slice(COORD_PREFIX.length).split("/")
  const text = requestText(percentDecode(rest.join("/")))
  const renewed = kind === "sessions" ? RENEW.exec(text)?.[1] : undefined
  const name = renewed ?? text
  const methods = methodsOf(kind, name)
  if (methods === undefined)
    throw fail("invalidArgument", { message: "There is no such path below /coord/. The document locks.md lists them." })
  const operation = Object.hasOwn(methods, method) ? methods[method] : undefined
  const isRenewal = operation === "RenewSession"
  if (operation === undefined || isRenewal !== (renewed !== undefined))
    throw fail("methodNotAllowed", { message: `There is no operation ${method} here.` })
  const parameters = QueryParameters.parse(rawQuery)
  parameters.refuseOthers(PARAMETERS[operation], operation)
  return { operation, name, parameters }
}
