/**
 * Metadata in headers, as Swift's clients send and read it. Pure.
 *
 * Source  "Object Storage API", OpenStack: names of metadata are compared without case, and shown with a capital after each
 *         hyphen; an empty value removes an item.
 */
import { fail } from "@hayloft/base/failures.js"
import type { Headers } from "@hayloft/base/http/request-headers.js"
import type { HeaderField } from "@hayloft/base/http/request-headers.js"

export type SwiftMetadata = readonly (readonly [name: string, value: string])[]

/** Swift's, but for the sum, which is that of S3: an object must be one that S3 could have stored. */
export const METADATA_LIMITS = { nameBytesMax: 128, valueBytesMax: 256, itemsMax: 90, bytesMax: 2048 } as const

/** `x-container-meta-`, and what removes such an item. */
interface MetadataKind {
  readonly prefix: string
  readonly removal: string
  readonly shown: string
}

const kindOf = (word: string, shown: string): MetadataKind => ({
  prefix: `x-${word}-meta-`,
  removal: `x-remove-${word}-meta-`,
  shown: `X-${shown}-Meta-`,
})

export const ACCOUNT_METADATA = kindOf("account", "Account")
export const CONTAINER_METADATA = kindOf("container", "Container")
export const OBJECT_METADATA = kindOf("object", "Object")

/** The items that the headers set. Throws `metadataTooLarge`. */
export function metadataIn(headers: Headers, { prefix }: MetadataKind): SwiftMetadata {
  const items: (readonly [string, string])[] = []
  for (const [name, value] of headers) if (name.startsWith(prefix)) items.push([name.slice(prefix.length), value])
  return items
}

/** The names that the headers remove. */
function removedIn(headers: Headers, { removal }: MetadataKind): ReadonlySet<string> {
  const names = new Set<string>()
  for (const [name] of headers) if (name.startsWith(removal)) names.add(name.slice(removal.length))
  return names
}

/** Returns what the headers make of the items before: others are kept. Throws `metadataTooLarge`, `invalidRequest`. */
export function changedMetadata(former: SwiftMetadata, headers: Headers, kind: MetadataKind): SwiftMetadata {
  const items = new Map(former)
  for (const name of removedIn(headers, kind)) items.delete(name)
  for (const [name, value] of metadataIn(headers, kind)) {
    if (value === "") items.delete(name)
    else items.set(name, value)
  }
  return checkedMetadata([...items])
}

/** Throws `metadataTooLarge`, `invalidRequest`, with Swift's messages. */
export function checkedMetadata(items: SwiftMetadata): SwiftMetadata {
  const { nameBytesMax, valueBytesMax, itemsMax, bytesMax } = METADATA_LIMITS
  const tooLarge = (message: string) => fail("metadataTooLarge", { message })
  if (items.length > itemsMax) throw tooLarge(`Too many metadata items; max ${itemsMax}`)
  let sizeBytes = 0
  for (const [name, value] of items) {
    if (name === "") throw fail("invalidRequest", { message: "Metadata name cannot be empty" })
    if (name.length > nameBytesMax) throw tooLarge(`Metadata name too long: ${name.slice(0, 80)}; max ${nameBytesMax}`)
    if (value.length > valueBytesMax)
      throw tooLarge(`Metadata value longer than ${valueBytesMax}: ${name.slice(0, 80)}`)
    sizeBytes += name.length + value.length
  }
  if (sizeBytes > bytesMax) throw tooLarge(`Total metadata too large; max ${bytesMax}`)
  return items
}

/** `foo-bar` as `Foo-Bar`. */
const capitalised = (name: string): string =>
  name.replace(/(^|-)([a-z])/g, (_, hyphen: string, letter: string) => hyphen + letter.toUpperCase())

export const metadataFields = (items: SwiftMetadata, { shown }: MetadataKind): HeaderField[] =>
  items.map(([name, value]) => [`${shown}${capitalised(name)}`, value])

/** Keys of temporary URLs: shown to owners alone. */
export const isSecret = (name: string): boolean => /^temp-url-key(?:-2)?$/.test(name)

/** Returns true for what Swift takes for yes. */
export const isTrue = (text: string | undefined): boolean => /^(?:true|1|yes|on|t|y)$/i.test(text ?? "")
