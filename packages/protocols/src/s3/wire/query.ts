/**
 * Query parameters of a request by name: presence, single values, numbers.
 *
 * Names are compared exactly. Values are byte strings; of a repeated parameter the first value counts.
 */
import { fail } from "@hayloft/base/failures.js"
import type { QueryParameter } from "@hayloft/base/http/uri.js"

/** The largest number that Amazon takes, and so the largest of any parameter whose own `max` is not larger. */
const INTEGER_MAX = 2_147_483_647

export class RequestQuery {
  private readonly first = new Map<string, string>()

  constructor(
    /** In request order. */
    readonly parameters: readonly QueryParameter[],
  ) {
    for (const { name, value } of parameters) if (!this.first.has(name)) this.first.set(name, value)
  }

  get isEmpty(): boolean {
    return this.first.size === 0
  }

  has(name: string): boolean {
    return this.first.has(name)
  }

  get(name: string): string | undefined {
    return this.first.get(name)
  }

  names(): Iterable<string> {
    return this.first.keys()
  }

  /**
   * A whole number from `min` to `max`; with `clamp`, larger ones (up to 2^31 - 1) count as `max`.
   * Undefined if absent or empty. Throws `invalidArgument`.
   */
  integer(
    name: string,
    { min, max, clamp = false }: { min: number; max: number; clamp?: boolean },
  ): number | undefined {
    const text = this.first.get(name)
    if (text === undefined || text === "") return undefined
    const value = /^-?\d{1,15}$/.test(text) ? Number(text) : NaN
    const isInteger = Math.abs(value) <= Math.max(max, INTEGER_MAX)
    if (!isInteger || value < min || value > (clamp ? INTEGER_MAX : max)) {
      const range = `Argument ${name} must be an integer between ${min} and ${clamp ? INTEGER_MAX : max}`
      throw fail("invalidArgument", {
        message: isInteger ? range : `Provided ${name} not an integer or within integer range`,
        argumentName: name,
        argumentValue: text.slice(0, 80),
      })
    }
    return Math.min(value, max)
  }
}
