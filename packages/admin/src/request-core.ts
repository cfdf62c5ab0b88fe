/** The request that calls an operation: its path, query and body, from values by their names. Pure. */
import { z } from "zod"
import { must } from "@hayloft/base/assert.js"
import type { Values } from "@hayloft/features/operator/index.js"
import type { AdminOperation } from "./operation.js"
import { bracesOf } from "./path-template-core.js"

interface OperationRequest {
  readonly method: AdminOperation["method"]
  readonly path: string
  readonly query: Readonly<Record<string, string>>
  /** It is undefined for methods without a body. */
  readonly body: unknown
  /** The media type of a body that is bytes. */
  readonly type: string | undefined
}

/** The value of this name is a whole body: bytes, or a document as it was read. */
const WHOLE_BODY = "body"

const textOf = (value: unknown): string => (typeof value === "string" ? value : JSON.stringify(value))

/** The members that the body may have; undefined if it may have any. */
function membersOf(request: AdminOperation["request"]): readonly string[] | undefined {
  if (request === undefined) return []
  return request instanceof z.ZodObject ? Object.keys(request.shape) : undefined
}

/** The request with these values; it leaves out those that the operation has no part for, and undefined ones. */
export function requestOf(
  { method, path, parameters, request, bytesType }: AdminOperation,
  values: Values,
): OperationRequest {
  const inPath = bracesOf(path)
  const given = Object.entries(values).filter(([name, value]) => value !== undefined && !inPath.includes(name))
  const isParameter = (name: string): boolean => parameters.some(parameter => parameter.name === name)
  const members = membersOf(request)
  const isMember = (name: string): boolean => !isParameter(name) && (members === undefined || members.includes(name))
  const segment = (name: string): string => textOf(must(values[name], `the path ${path} takes a ${name}`))
  const ofMembers = Object.fromEntries(given.filter(([name]) => isMember(name)))
  return {
    method,
    path: inPath.reduce((whole, name) => whole.replace(`{${name}}`, () => encodeURIComponent(segment(name))), path),
    query: Object.fromEntries(given.flatMap(([name, value]) => (isParameter(name) ? [[name, textOf(value)]] : []))),
    body: hasBody(method) ? (values[WHOLE_BODY] ?? ofMembers) : undefined,
    type: bytesType,
  }
}

const hasBody = (method: AdminOperation["method"]): boolean => method === "POST" || method === "PUT"
