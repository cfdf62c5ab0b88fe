/**
 * Finds the operation of a request, by the table alone.
 *
 * Refuses  A known sub-resource that the request does not support: it never falls through to the object
 *          or bucket itself (`PUT /b/k?acl` must not overwrite `k`). Unknown parameters are ignored.
 */
import { fail } from "@hayloft/base/failures.js"
import type { Failure } from "@hayloft/base/failures.js"
import { OPERATIONS } from "./operations.js"
import type { S3Method, S3Operation, Resource } from "./operations.js"
import type { Headers } from "@hayloft/base/http/request-headers.js"
import type { RequestQuery } from "./wire/query.js"

/** Names in the table's conditions that only distinguish operations of one sub-resource. */
const DISCRIMINATORS = new Set(["id", "x-id", "select-type"])
const parameterIn = (condition: string): string => condition.split("=")[0] ?? ""

const ROUTED = OPERATIONS.filter(({ answer }) => answer.kind !== "alias")
export const SUB_RESOURCES: ReadonlySet<string> = new Set(
  ROUTED.flatMap(({ when }) => when.map(parameterIn)).filter(name => !DISCRIMINATORS.has(name)),
)

const rowsOf = (resource: Resource): readonly S3Operation[] => ROUTED.filter(row => row.resource === resource)
const BY_RESOURCE = { service: rowsOf("service"), bucket: rowsOf("bucket"), object: rowsOf("object") } as const

interface Condition {
  readonly name: string
  /** If it is undefined, any value is accepted. */
  readonly value: string | undefined
}

interface Candidate {
  readonly row: S3Operation
  readonly conditions: readonly Condition[]
}

const weight = ({ when, header }: S3Operation): number => when.length * 2 + (header === undefined ? 0 : 1)

/** By method and resource, the operation with most conditions first, so that the first match is the right one. */
const CANDIDATES = new Map<string, Candidate[]>()
/** The operations without conditions stand alone, since most requests have no query. */
const PLAIN_CANDIDATES = new Map<string, Candidate[]>()

function addCandidate(candidates: Map<string, Candidate[]>, candidate: Candidate): void {
  const { method, resource } = candidate.row
  const others = candidates.get(`${method} ${resource}`) ?? []
  candidates.set(`${method} ${resource}`, [...others, candidate])
}

for (const row of [...ROUTED].sort((a, b) => weight(b) - weight(a))) {
  const conditions = row.when.map(condition => ({ name: parameterIn(condition), value: condition.split("=")[1] }))
  addCandidate(CANDIDATES, { row, conditions })
  if (conditions.length === 0) addCandidate(PLAIN_CANDIDATES, { row, conditions })
}

function fits({ row, conditions }: Candidate, query: RequestQuery, headers: Headers): boolean {
  if (row.header !== undefined && !headers.has(row.header)) return false
  return conditions.every(({ name, value }) => (value === undefined ? query.has(name) : query.get(name) === value))
}

const names = (operation: S3Operation, subresource: string): boolean =>
  operation.when.some(c => parameterIn(c) === subresource)

/** `partNumber` selects a part when an object is read; in any other request it selects another operation. */
const isModifier = (name: string, method: string, resource: Resource): boolean =>
  name === "partNumber" && resource === "object" && (method === "GET" || method === "HEAD")

/** Operations that make a version or a part of one. A client that names a version would believe that it has replaced it. */
const MAKING_VERSIONS: ReadonlySet<string> = new Set([
  "PutObject",
  "CopyObject",
  "CompleteMultipartUpload",
  "AppendObject",
  "RenameObject",
  "UploadPart",
])

function refuseVersion({ name }: S3Operation, query: RequestQuery): void {
  if (query.isEmpty || !query.has("versionId") || !MAKING_VERSIONS.has(name)) return
  throw fail("invalidArgument", {
    message: "This operation does not accept a version-id.",
    argumentName: "versionId",
    argumentValue: (query.get("versionId") ?? "").slice(0, 80),
  })
}

/** Throws `methodNotAllowed` (details.allow), `notImplemented`, `invalidArgument`. */
export function route(method: string, resource: Resource, query: RequestQuery, headers: Headers): S3Operation {
  const rows = BY_RESOURCE[resource]
  const candidates = (query.isEmpty ? PLAIN_CANDIDATES : CANDIDATES).get(`${method} ${resource}`)
  const found = candidates?.find(candidate => fits(candidate, query, headers))?.row
  for (const name of method === "OPTIONS" ? [] : query.names()) {
    if (!SUB_RESOURCES.has(name) || isModifier(name, method, resource)) continue
    if (found === undefined || !names(found, name)) throw refuseStray({ method, resource, stray: name, rows })
  }
  if (found === undefined) {
    throw notAllowed(
      method,
      resource,
      rows.filter(row => row.when.length === 0 && row.header === undefined),
    )
  }
  refuseVersion(found, query)
  return found
}

interface Stray {
  readonly method: string
  readonly resource: Resource
  readonly stray: string
  readonly rows: readonly S3Operation[]
}

/** Sub-resources of buckets for which Amazon has a message of its own when they are asked for with a key. */
const WITHOUT_KEY: ReadonlyMap<string, string> = new Map([
  ["versions", "There is no such thing as the ?versions sub-resource for a key"],
  ["uploads", "Key is not expected for the GET method ?uploads subresource"],
])

function refuseStray({ method, resource, stray, rows }: Stray): Failure {
  const message = method === "GET" && resource === "object" ? WITHOUT_KEY.get(stray) : undefined
  if (message !== undefined) return fail("invalidRequest", { message })
  if (method === "PUT" && resource === "object" && stray === "uploadId") {
    return fail("methodNotAllowed", { method, resourceType: "UPLOAD", allow: "DELETE, POST, GET" })
  }
  const related = rows.filter(row => names(row, stray))
  if (related.length === 0) {
    return fail("notImplemented", { subresource: stray, message: `This resource has no sub-resource ${stray}.` })
  }
  if (!related.some(row => row.method === method)) return notAllowed(method, resource, related)
  const isPartOfNoUpload = method === "PUT" && stray === "partNumber"
  return fail("invalidArgument", {
    message: isPartOfNoUpload
      ? "This operation does not accept partNumber without uploadId"
      : `The query parameter ${stray} cannot be combined with the other parameters of this request.`,
    argumentName: stray,
  })
}

function notAllowed(method: string, resource: Resource, rows: readonly S3Operation[]): Failure {
  const methods: S3Method[] = [...new Set(rows.map(row => row.method))]
  const allow = methods.length === 0 ? "GET" : methods.join(", ")
  return fail("methodNotAllowed", { method: method.slice(0, 32), resourceType: resource.toUpperCase(), allow })
}
