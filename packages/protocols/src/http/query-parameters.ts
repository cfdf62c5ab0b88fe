/**
 * Parameters in the query of a request, for protocols that know all parameters of each of their operations. Pure.
 *
 * Refuses  `invalidArgument`: parameters that the operation does not have, or has twice, and values of another form;
 *          `invalidKey`: text that is not UTF-8.
 */
import { fail, type Failure } from "@hayloft/base/failures.js"
import { parseQuery } from "@hayloft/base/http/uri.js"

const invalid = (message: string): Failure => fail("invalidArgument", { message })

/** A byte string of a request as text. Throws `invalidKey`. */
export function requestText(byteString: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(Buffer.from(byteString, "latin1"))
  } catch (error) {
    throw fail("invalidKey", { message: "The request is not valid UTF-8." }, error)
  }
}

export class QueryParameters {
  private constructor(private readonly values: ReadonlyMap<string, string>) {}

  /** Leaves out those of a signature. Throws `invalidArgument`, `invalidKey`. */
  static parse(rawQuery: string): QueryParameters {
    const values = new Map<string, string>()
    for (const { name, value } of parseQuery(rawQuery)) {
      if (name.toLowerCase().startsWith("x-amz-")) continue
      if (values.has(name)) throw invalid(`The parameter ${name.slice(0, 100)} occurs twice.`)
      values.set(name, requestText(value))
    }
    return new QueryParameters(values)
  }

  has(name: string): boolean {
    return this.values.has(name)
  }

  text(name: string): string | undefined {
    return this.values.get(name)
  }

  /** Throws `invalidArgument`. */
  needed(name: string): string {
    const text = this.values.get(name)
    if (text === undefined) throw invalid(`The parameter ${name} is missing.`)
    return text
  }

  /** Throws `invalidArgument`. */
  whole(name: string, least = 0, most: number = Number.MAX_SAFE_INTEGER): number | undefined {
    const text = this.values.get(name)
    if (text === undefined) return undefined
    const value = /^-?\d{1,15}$/.test(text) ? Number(text) : NaN
    if (value >= least && value <= most) return value
    throw invalid(`The parameter ${name} must be a whole number between ${least} and ${most}.`)
  }

  /** A parameter with the value `1`, `true` or none sets the flag. Throws `invalidArgument`. */
  flag(name: string): boolean {
    const text = this.values.get(name)
    if (text === undefined || text === "0" || text === "false") return false
    if (text === "" || text === "1" || text === "true") return true
    throw invalid(`The parameter ${name} must be true or false.`)
  }

  /** Values with commas between them. */
  list(name: string): readonly string[] {
    const text = this.values.get(name) ?? ""
    return text === "" ? [] : text.split(",")
  }

  /** Throws `invalidArgument`. */
  refuseOthers(known: readonly string[], operation: string): void {
    const other = [...this.values.keys()].find(name => !known.includes(name))
    if (other !== undefined) throw invalid(`${operation} has no parameter ${other.slice(0, 100)}.`)
  }
}
