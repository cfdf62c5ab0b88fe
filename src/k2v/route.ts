/**
 * Finds the operation of a request, and its parameters. Pure.
 *
 * Refuses  `invalidArgument`: parameters that the operation does not have, or has twice; `methodNotAllowed`;
 *          `notImplemented`: requests of browsers from other sites (CORS); `invalidKey`, `keyTooLong`.
 */
import { fail } from "../base/failures.js"
import { parseItemKey, type ItemKey } from "../base/ids.js"
import { parseQuery, percentDecode, splitTarget } from "../base/uri.js"
import type { OperationName } from "./actions.js"

export interface Route {
  readonly operation: OperationName
  readonly bucket: string
  /** Undefined for operations on the bucket. */
  readonly partition: ItemKey | undefined
  readonly parameters: Parameters
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

/** A byte string of the request as text. Throws `invalidKey`. */
function textOf(byteString: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(Buffer.from(byteString, "latin1"))
  } catch (error) {
    throw fail("invalidKey", { message: "The request is not valid UTF-8." }, error)
  }
}

export class Parameters {
  private constructor(private readonly values: ReadonlyMap<string, string>) {}

  /** Without those of a signature. Throws `invalidArgument`, `invalidKey`. */
  static parse(rawQuery: string): Parameters {
    const values = new Map<string, string>()
    for (const { name, value } of parseQuery(rawQuery)) {
      if (name.toLowerCase().startsWith("x-amz-")) continue
      if (values.has(name)) throw invalid(`The parameter ${name} occurs twice.`)
      values.set(name, textOf(value))
    }
    return new Parameters(values)
  }

  has(name: string): boolean {
    return this.values.has(name)
  }

  text(name: string): string | undefined {
    return this.values.get(name)
  }

  key(name: string): ItemKey | undefined {
    const text = this.values.get(name)
    return text === undefined ? undefined : parseItemKey(text)
  }

  /** Throws `invalidArgument`. */
  needed(name: string): string {
    const text = this.values.get(name)
    if (text === undefined) throw invalid(`The parameter ${name} is missing.`)
    return text
  }

  /** Throws `invalidArgument`, `invalidKey`, `keyTooLong`. */
  neededKey(name: string): ItemKey {
    return parseItemKey(this.needed(name))
  }

  /** Throws `invalidArgument`. */
  count(name: string): number | undefined {
    const text = this.values.get(name)
    if (text === undefined) return undefined
    const value = /^\d{1,15}$/.test(text) ? Number(text) : undefined
    if (value === undefined) throw invalid(`The parameter ${name} must be a whole number.`)
    return value
  }

  /** Throws `invalidArgument`. */
  flag(name: string): boolean {
    const text = this.values.get(name) ?? "false"
    if (text !== "true" && text !== "false") throw invalid(`The parameter ${name} must be true or false.`)
    return text === "true"
  }

  /** Throws `invalidArgument`. */
  refuseOthers(known: readonly string[], operation: string): void {
    const other = [...this.values.keys()].find(name => !known.includes(name))
    if (other !== undefined) throw invalid(`${operation} has no parameter ${other.slice(0, 100)}.`)
  }
}

export function routeOf(method: string, rawTarget: string): Route {
  if (method === "OPTIONS")
    throw fail("notImplemented", { message: "Requests of browsers from other sites (CORS) are not supported for K2V." })
  const { rawPath, rawQuery } = splitTarget(rawTarget)
  const path = rawPath.slice(1)
  const slash = path.indexOf("/")
  const bucket = percentDecode(slash < 0 ? path : path.slice(0, slash))
  if (bucket === "") throw invalid("The path names no bucket.")
  const rest = slash < 0 ? "" : path.slice(slash + 1)
  const partition = rest === "" ? undefined : parseItemKey(textOf(percentDecode(rest)))
  const parameters = Parameters.parse(rawQuery)
  const table = partition === undefined ? OF_BUCKET : OF_PARTITION
  const choice = Object.hasOwn(table, method) ? table[method] : undefined
  const found = choice?.find(([, selectedBy]) => selectedBy === undefined || parameters.has(selectedBy))
  if (choice === undefined) throw fail("methodNotAllowed", { message: `There is no operation ${method} here.` })
  if (found === undefined) throw invalid(`${method} of a partition needs the parameter poll_range.`)
  const [operation] = found
  parameters.refuseOthers(PARAMETERS[operation], operation)
  return { operation, bucket, partition, parameters }
}
