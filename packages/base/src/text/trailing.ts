/** The ends of texts that clients send. Patterns such as `/\/+$/` take the square of a text's length, and would let one request hang. */

/** Removes those of these characters with which the text ends. */
export function withoutTrailing(text: string, characters: string): string {
  let end = text.length
  while (end > 0 && characters.includes(text.charAt(end - 1))) end -= 1
  return text.slice(0, end)
}
