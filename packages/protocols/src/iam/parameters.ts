/**
 * Parameters of a request: `Name=value`, lists as `Name.member.1`, tags as `Tags.member.1.Key`.
 *
 * Refuses  A parameter that is given twice, and in `checkKnown` every one that the action does not have: none is
 *          accepted and ignored.
 */
import { fail, type Failure } from "@hayloft/base/failures.js"
import type { Tags } from "@hayloft/base/tags.js"
import { formParameters } from "../http/index.js"

const MEMBERS_MAX = 1_000
/** Parameters that every request may have in addition to its action's own. */
const COMMON = new Set(["Action", "Version"])
const SIGNATURE = /^X-Amz-(Algorithm|Credential|Date|Expires|SignedHeaders|Signature|Security-Token|Content-Sha256)$/

export const invalidIamParameter = (message: string): Failure => fail("invalidArgument", { message })

export class Parameters {
  private readonly values = new Map<string, string>()

  /** A query and a form; in both `+` is a blank. Throws `invalidArgument`. */
  constructor(query: string, form: string) {
    for (const text of [query, form]) {
      for (const [name, value] of formParameters(text)) {
        if (this.values.has(name)) throw invalidIamParameter(`The parameter ${name.slice(0, 100)} is given twice.`)
        this.values.set(name, value)
      }
    }
  }

  /** All that the action itself has. */
  get all(): Readonly<Record<string, string>> {
    return Object.fromEntries([...this.values].filter(([name]) => !COMMON.has(name) && !SIGNATURE.test(name)))
  }

  /** Only those of these names, with some changed. */
  only(names: readonly string[], changes: Readonly<Record<string, string>>): Parameters {
    const values = { ...this.all, ...changes }
    const kept = Object.entries(values).filter(([name]) => names.includes(name.split(".")[0] ?? name))
    return new Parameters(new URLSearchParams(kept).toString(), "")
  }

  optional(name: string): string | undefined {
    return this.values.get(name)
  }

  /** Throws `invalidArgument`. */
  text(name: string): string {
    const value = this.values.get(name)
    if (value === undefined || value === "")
      throw invalidIamParameter(`The request must contain the parameter ${name}.`)
    return value
  }

  /** Throws `invalidArgument`. */
  flag(name: string): boolean {
    const value = this.values.get(name)?.toLowerCase() ?? "false"
    if (value !== "true" && value !== "false") throw invalidIamParameter(`${name} must be true or false.`)
    return value === "true"
  }

  /** Throws `invalidArgument`. */
  whole(name: string, { least, most }: { least: number; most: number }): number | undefined {
    const value = this.values.get(name)
    if (value === undefined) return undefined
    const number = /^\d{1,9}$/.test(value) ? Number(value) : NaN
    if (!(number >= least && number <= most)) throw invalidIamParameter(`${name} must be between ${least} and ${most}.`)
    return number
  }

  /** Returns one of `words`. Throws `invalidArgument`. */
  word<Word extends string>(name: string, words: readonly Word[]): Word | undefined {
    const value = this.values.get(name)
    if (value === undefined) return undefined
    const found = words.find(word => word === value)
    if (found === undefined) throw invalidIamParameter(`${name} must be one of ${words.join(", ")}.`)
    return found
  }

  /** Reads `Name.member.1` …, or with a field `Name.member.1.field` …, up to the first missing number. */
  list(name: string, field?: string): readonly string[] {
    const found: string[] = []
    for (let at = 1; at <= MEMBERS_MAX; at += 1) {
      const value = this.values.get(`${name}.member.${at}${field === undefined ? "" : `.${field}`}`)
      if (value === undefined) break
      found.push(value)
    }
    return found
  }

  /** Throws `invalidArgument`. */
  tags(): Tags {
    const keys = this.list("Tags", "Key")
    const values = this.list("Tags", "Value")
    if (keys.length !== values.length) throw invalidIamParameter("Each tag needs a key and a value.")
    return keys.map((key, at) => [key, values[at] ?? ""])
  }

  /** Throws `notImplemented` for a parameter that is not in `known`. */
  checkKnown(action: string, known: readonly string[]): void {
    for (const name of this.values.keys()) {
      // An empty list is sent as its name alone.
      const [first = ""] = name.split(".member.")
      if (known.includes(first) || COMMON.has(name) || SIGNATURE.test(name)) continue
      throw fail("notImplemented", { message: `${action} does not support the parameter ${name.slice(0, 100)}.` })
    }
  }
}
