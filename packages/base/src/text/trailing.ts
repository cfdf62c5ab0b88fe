/** Removes characters from the ends of texts. Patterns such as `/\/+$/` take the square of a text's length: one request would hang. */

/** Removes those of these characters with which the text ends. */
export function withoutTrailing(text: string, characters: string): string {
  let end = text.length
  while (end > 0 && characters.includes(text.charAt(end - 1))) end -= 1
  return text.slice(0, end)
}

/** Removes those of these characters with which the text begins or ends. */
export function withoutOuter(text: string, characters: string): string {
  let start = 0
  while (start < text.length && characters.includes(text.charAt(start))) start += 1
  return withoutTrailing(text.slice(start), characters)
}
