/**
 * Input of an SQS operation: a JSON object whose members are known.
 *
 * Refuses  JSON that is not an object, members that the operation does not have, and values of another type: none is
 *          accepted and ignored.
 */
import { SqsRefusal } from "./failures.js"
import { isJsonObject, type JsonObject } from "@hayloft/base/json.js"

export const invalidValue = (message: string): SqsRefusal => new SqsRefusal("InvalidParameterValue", message)
export const missingParameter = (name: string): SqsRefusal =>
  new SqsRefusal("MissingParameter", `The request must contain the parameter ${name}.`)
const wrongType = (where: string, what: string): SqsRefusal =>
  new SqsRefusal("SerializationException", `${where} is not ${what}.`)

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/

export class SqsInput {
  private constructor(
    private readonly members: JsonObject,
    /** For messages: empty, or where the object is, with a dot at the end. */
    private readonly where: string,
  ) {}

  /** Throws `SerializationException`. */
  static parse(text: string, where = ""): SqsInput {
    let value: unknown
    try {
      value = JSON.parse(text === "" ? "{}" : text)
    } catch {
      throw wrongType(where === "" ? "The body" : where, "JSON")
    }
    return SqsInput.of(value, where)
  }

  static of(value: unknown, where: string): SqsInput {
    if (!isJsonObject(value)) throw wrongType(where === "" ? "The body" : where, "an object")
    return new SqsInput(value, where === "" ? "" : `${where}.`)
  }

  /** Throws for a member that is not among these. */
  checkKnown(names: readonly string[]): void {
    const unknown = Object.keys(this.members).find(name => !names.includes(name))
    if (unknown === undefined) return
    throw new SqsRefusal(
      "UnsupportedOperation",
      `The parameter ${this.where}${unknown.slice(0, 100)} is not supported.`,
    )
  }

  has(name: string): boolean {
    return this.value(name) !== undefined
  }

  optional(name: string): string | undefined {
    const value = this.value(name)
    if (value === undefined || typeof value === "string") return value
    throw wrongType(this.where + name, "a text")
  }

  /** Throws `MissingParameter`. */
  text(name: string): string {
    const value = this.optional(name)
    if (value === undefined || value === "") throw missingParameter(this.where + name)
    return value
  }

  /** Texts of digits are numbers too. Throws `InvalidParameterValue`. */
  whole(name: string, least: number, most: number): number | undefined {
    const value = this.value(name)
    if (value === undefined) return undefined
    const number = typeof value === "string" && /^-?\d{1,12}$/.test(value) ? Number(value) : value
    if (typeof number !== "number" || !Number.isInteger(number)) throw wrongType(this.where + name, "a whole number")
    if (number >= least && number <= most) return number
    throw invalidValue(
      `Value ${number} for parameter ${this.where}${name} is invalid. Reason: Must be between ${least} and ${most}, if provided.`,
    )
  }

  texts(name: string): readonly string[] {
    return this.list(name).map(each => {
      if (typeof each === "string") return each
      throw wrongType(this.where + name, "a list of texts")
    })
  }

  objects(name: string): readonly SqsInput[] {
    return this.list(name).map((each, index) => SqsInput.of(each, `${this.where}${name}.${index + 1}`))
  }

  /** Names with texts. */
  map(name: string): ReadonlyMap<string, string> {
    const value = this.value(name) ?? {}
    if (!isJsonObject(value)) throw wrongType(this.where + name, "an object")
    return new Map(
      Object.entries(value).map(([key, text]): readonly [string, string] => {
        if (typeof text === "string") return [key, text]
        throw wrongType(`${this.where}${name}.${key.slice(0, 100)}`, "a text")
      }),
    )
  }

  /** Names with objects. */
  mapOfObjects(name: string): ReadonlyMap<string, SqsInput> {
    const value = this.value(name) ?? {}
    if (!isJsonObject(value)) throw wrongType(this.where + name, "an object")
    return new Map(Object.entries(value).map(([key, each]) => [key, SqsInput.of(each, `${this.where}${name}.${key}`)]))
  }

  /** Base64. */
  blob(name: string): Uint8Array | undefined {
    const text = this.optional(name)
    if (text === undefined) return undefined
    if (BASE64.test(text)) return Buffer.from(text, "base64")
    throw wrongType(this.where + name, "Base64")
  }

  private list(name: string): readonly unknown[] {
    const value = this.value(name) ?? []
    if (Array.isArray(value)) return value
    throw wrongType(this.where + name, "a list")
  }

  /** A member that is null is absent. */
  private value(name: string): unknown {
    return Object.hasOwn(this.members, name) ? (this.members[name] ?? undefined) : undefined
  }
}
