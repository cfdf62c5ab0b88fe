/**
 * Input of an operation: a JSON object whose members are known.
 *
 * Refuses  JSON that is not an object, a member that is given twice at any depth, every member that the operation does
 *          not have, and values of another type: none is accepted and ignored.
 */
import { readJsonObject } from "@hayloft/access/index.js"
import { unlessRefused } from "@hayloft/base/failures.js"
import { contextOfPairs, NAMED_KEY_LIMITS, type EncryptionContext } from "@hayloft/access/keys/index.js"
import { KmsRefusal } from "./failures.js"
import { isJsonObject, type JsonObject } from "@hayloft/base/json.js"
import type { Tags } from "@hayloft/base/tags.js"

const TAG_NAME_CHARACTERS_MAX = 128
const TAG_VALUE_CHARACTERS_MAX = 256
const TAG_TEXT = /^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$/u
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/

export const invalidKmsInput = (message: string): KmsRefusal => new KmsRefusal("ValidationException", message)

export class KmsInput {
  private constructor(private readonly members: JsonObject) {}

  /** Throws `SerializationException`. */
  static parse(text: string): KmsInput {
    const members = unlessRefused(() => readJsonObject(text === "" ? "{}" : text, "not JSON"))
    if (members === undefined) throw new KmsRefusal("SerializationException", "The body is not a JSON object.")
    return new KmsInput(members)
  }

  /** Throws `ValidationException` for a member that is not among these. */
  checkKnown(names: readonly string[]): void {
    const unknown = Object.keys(this.members).find(name => !names.includes(name))
    if (unknown !== undefined) throw invalidKmsInput(`The parameter ${unknown.slice(0, 100)} is not supported.`)
  }

  /** All members. */
  get all(): JsonObject {
    return this.members
  }

  has(name: string): boolean {
    return this.value(name) !== undefined
  }

  optional(name: string, charactersMax = 2048): string | undefined {
    const value = this.value(name)
    if (value === undefined) return undefined
    if (typeof value !== "string") throw wrongType(name, "a text")
    if (value.length > charactersMax) throw invalidKmsInput(`${name} has more than ${charactersMax} characters.`)
    return value
  }

  text(name: string, charactersMax = 2048): string {
    const value = this.optional(name, charactersMax)
    if (value === undefined || value === "") throw missingKmsInput(name)
    return value
  }

  /** Throws unless it is absent or one of these values. */
  oneOf(name: string, values: readonly string[]): string | undefined {
    const value = this.optional(name)
    if (value === undefined || values.includes(value)) return value
    throw new KmsRefusal("UnsupportedOperationException", `${name} ${value.slice(0, 100)} is not supported.`)
  }

  flag(name: string): boolean {
    const value = this.value(name)
    if (value !== undefined && typeof value !== "boolean") throw wrongType(name, "true or false")
    return value ?? false
  }

  whole(name: string, { least, most }: { readonly least: number; readonly most: number }): number | undefined {
    const value = this.value(name)
    if (value === undefined) return undefined
    if (typeof value !== "number" || !Number.isInteger(value)) throw wrongType(name, "a whole number")
    if (value < least || value > most) throw invalidKmsInput(`${name} must be between ${least} and ${most}.`)
    return value
  }

  /** Base64; at least 1 byte. */
  blob(name: string, bytesMax: number): Uint8Array {
    const text = this.text(name, Math.ceil(bytesMax / 3) * 4 + 4)
    if (!BASE64.test(text)) throw new KmsRefusal("SerializationException", `${name} is not Base64.`)
    const bytes = Buffer.from(text, "base64")
    if (bytes.length > bytesMax) throw invalidKmsInput(`${name} has more than ${bytesMax} bytes.`)
    return bytes
  }

  context(name: string): EncryptionContext {
    const value = this.value(name) ?? {}
    if (!isJsonObject(value)) throw wrongType(name, "an object")
    return contextOfPairs(
      Object.entries(value).map(([key, text]): readonly [string, string] => {
        if (typeof text !== "string") throw wrongType(name, "an object of texts")
        return [key, text]
      }),
    )
  }

  /** Throws `TagException`. */
  tags(): Tags {
    const tags = this.list("Tags").map((item): readonly [string, string] => {
      const {
        TagKey: key,
        TagValue: value,
        ...others
      } = isJsonObject(item) ? item : { TagKey: undefined, TagValue: undefined }
      if (typeof key !== "string" || typeof value !== "string" || Object.keys(others).length > 0)
        throw wrongType("Tags", "a list of tags")
      return [key, value]
    })
    for (const [key, value] of tags) {
      const isTag = key !== "" && key.length <= TAG_NAME_CHARACTERS_MAX && value.length <= TAG_VALUE_CHARACTERS_MAX
      if (!isTag || !TAG_TEXT.test(key) || !TAG_TEXT.test(value) || /^aws:/i.test(key))
        throw new KmsRefusal("TagException", `The tag ${key.slice(0, TAG_NAME_CHARACTERS_MAX)} is not valid.`)
    }
    if (new Set(tags.map(([key]) => key)).size < tags.length)
      throw new KmsRefusal("TagException", "A tag is given twice.")
    if (tags.length > NAMED_KEY_LIMITS.tagsMax) throw new KmsRefusal("TagException", "Too many tags")
    return tags
  }

  texts(name: string): readonly string[] {
    return this.list(name).map(item => {
      if (typeof item !== "string") throw wrongType(name, "a list of texts")
      return item
    })
  }

  private list(name: string): readonly unknown[] {
    const value = this.value(name) ?? []
    if (!Array.isArray(value)) throw wrongType(name, "a list")
    return value
  }

  /** A member that is null is absent. */
  private value(name: string): unknown {
    return Object.hasOwn(this.members, name) ? (this.members[name] ?? undefined) : undefined
  }
}

const wrongType = (name: string, what: string): KmsRefusal =>
  new KmsRefusal("SerializationException", `${name} is not ${what}.`)

const missingKmsInput = (name: string): KmsRefusal => invalidKmsInput(`${name} is required.`)
