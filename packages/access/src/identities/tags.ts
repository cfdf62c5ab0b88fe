/** Tags of users, roles, policies and providers: their validation and their changes. */
import { fail } from "@hayloft/base/failures.js"
import { IDENTITY_LIMITS } from "./limits.js"
import type { Tags } from "@hayloft/base/tags.js"

const KEY_CHARACTERS_MAX = 128
const VALUE_CHARACTERS_MAX = 256
const TAG_TEXT = /^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$/u

/** Throws `invalidArgument`, `limitExceeded`. */
export function checkTags(tags: Tags): Tags {
  const names = new Set(tags.map(([key]) => key.toLowerCase()))
  if (names.size < tags.length)
    throw fail("invalidArgument", {
      message: "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
    })
  for (const [key, value] of tags) {
    const isWellFormed = key !== "" && key.length <= KEY_CHARACTERS_MAX && value.length <= VALUE_CHARACTERS_MAX
    if (!isWellFormed || !TAG_TEXT.test(key) || !TAG_TEXT.test(value) || /^aws:/i.test(key)) {
      throw fail("invalidArgument", { message: `The tag ${key.slice(0, KEY_CHARACTERS_MAX)} is not valid.` })
    }
  }
  if (tags.length > IDENTITY_LIMITS.tagsMax) {
    throw fail("limitExceeded", { message: `Cannot exceed quota for Tags: ${IDENTITY_LIMITS.tagsMax}` })
  }
  return tags
}

/** Throws `invalidArgument` for tags by which the store knows something of a user: a caller who sets them would change that. */
export function checkNotReserved(keys: readonly string[]): void {
  const reserved = keys.find(key => /^hayloft:/i.test(key))
  if (reserved === undefined) return
  const shown = reserved.slice(0, KEY_CHARACTERS_MAX)
  throw fail("invalidArgument", { message: `The tag ${shown} is not valid: the store itself sets tags of hayloft:.` })
}

/** Replaces tags of the same keys with the added ones, and drops the removed keys. Throws as `checkTags`. */
export function changeTags(tags: Tags, added: Tags, removed: readonly string[]): Tags {
  const replaced = new Set([...added.map(([key]) => key), ...removed].map(key => key.toLowerCase()))
  return checkTags([...tags.filter(([key]) => !replaced.has(key.toLowerCase())), ...added])
}
