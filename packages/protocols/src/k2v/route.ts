/**
 * Finds the operation of a request, and its parameters. Pure.
 *
 * Refuses  `invalidArgument`: parameters that the operation does not have, or has twice; `methodNotAllowed`;
 *          `notImplemented`: requests of browsers from other sites (CORS); `invalidKey`, `keyTooLong`.
 */
import { fail } from "@hayloft/base/failures.js"
import { parseItemKey, type ItemKey } from "@hayloft/base/ids.js"
import { percentDecode, splitTarget } from "@hayloft/base/http/uri.js"
import { QueryParameters, requestText } from "../http/index.js"
import type { OperationName } from "./actions.js"

export interface K2vRoute {
  readonly operation: OperationName
  readonly bucket: string
  /** The partition is undefined for operations on the bucket. */
  readonly partition: ItemKey | undefined
  readonly parameters: QueryParameters
}

const PARAMETERS: Readonly<Record<OperationName, readonly string[]>> = {
  ReadItem: ["sort_key"],
  PollItem: ["sort_key", "causality_token", "timeout"],
  InsertItem: ["sort_key"],
  DeleteItem: ["sort_key"],
  ReadIndex: ["prefix", "start", "end", "limit", "reverse"],
  InsertBatch: [],
  ReadBatch: ["search"],
  DeleteBatch: ["delete"],
  PollRange: ["poll_range"],
}

/** By method, for a bucket and for a partition: the parameter that selects an operation, and the operation without one. */
type Choice = readonly (readonly [operation: OperationName, selectedBy?: string])[]

const OF_BUCKET: Readonly<Record<string, Choice>> = {
  GET: [["ReadIndex"]],
  POST: [["ReadBatch", "search"], ["DeleteBatch", "delete"], ["InsertBatch"]],
  SEARCH: [["ReadBatch"]],
}

const OF_PARTITION: Readonly<Record<string, Choice>> = {
  GET: [["PollItem", "causality_token"], ["ReadItem"]],
  PUT: [["InsertItem"]],
  DELETE: [["DeleteItem"]],
  POST: [["PollRange", "poll_range"]],
  SEARCH: [["PollRange", "poll_range"]],
}

const invalid = (message: string) => fail("invalidArgument", { message })

export function k2vRouteOf(method: string, rawTarget: string): K2vRoute {
  if (method === "OPTIONS")
    throw fail("notImplemented", { message: "Requests of browsers from other sites (CORS) are not supported for K2V." })
  const { rawPath, rawQuery } = splitTarget(rawTarget)
  const path = rawPath.slice(1)
  const slash = path.indexOf("/")
  const bucket = percentDecode(slash < 0 ? path : path.slice(0, slash))
  if (bucket === "") throw invalid("The path names no bucket.")
  const rest = slash < 0 ? "" : path.slice(slash + 1)
  const partition = rest === "" ? undefined : parseItemKey(requestText(percentDecode(rest)))
  const parameters = QueryParameters.parse(rawQuery)
  const table = partition === undefined ? OF_BUCKET : OF_PARTITION
  const choice = Object.hasOwn(table, method) ? table[method] : undefined
  const found = choice?.find(([, selectedBy]) => selectedBy === undefined || parameters.has(selectedBy))
  if (choice === undefined) throw fail("methodNotAllowed", { message: `There is no operation ${method} here.` })
  if (found === undefined) throw invalid(`${method} of a partition needs the parameter poll_range.`)
  const [operation] = found
  parameters.refuseOthers(PARAMETERS[operation], operation)
  return { operation, bucket, partition, parameters }
}
