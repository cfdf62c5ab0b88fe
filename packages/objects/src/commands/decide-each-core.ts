/** Decisions in parts, each of which reads rows. Pure. */
import { isFailure } from "@hayloft/base/failures.js"

/**
 * Decides all items, even if one cannot be decided because the engine has to fetch rows: it fetches what all of them
 * lack at the same time. Throws that, else the refusal of the first item that is refused.
 */
export function decideEach<Item, Result>(items: Iterable<Item>, decide: (item: Item) => Result): readonly Result[] {
  const results: Result[] = []
  let refusal: { readonly error: unknown } | undefined
  let lacking: { readonly error: unknown } | undefined
  for (const item of items) {
    try {
      results.push(decide(item))
    } catch (error) {
      if (isFailure(error)) refusal ??= { error }
      else lacking ??= { error }
    }
  }
  const thrown = lacking ?? refusal
  if (thrown !== undefined) throw thrown.error
  return results
}
