/** Walks over pages of something long: each tells where the next one begins, and the last one nothing. */
import type { Soon } from "./soon.js"

/** Yields all pages; the next one is read when the caller has done with the one before it. */
export async function* walkPages<At, Page extends { readonly next?: At | undefined }>(
  start: At,
  read: (at: At) => Soon<Page>,
): AsyncGenerator<Page, void> {
  for (let at = start; ;) {
    const page = await read(at)
    yield page
    const { next } = page
    if (next === undefined) return
    at = next
  }
}
