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

/** Another server's listing may have so many empty pages in a row: a store that lists many removed objects has some. */
export const EMPTY_PAGES_MAX = 100

/** Yields the pages of another server's listing. Throws what `endless` returns if too many in a row are empty. */
export async function* walkRemotePages<At, Page extends { readonly next?: At | undefined }>(
  start: At,
  read: (at: At) => Soon<Page>,
  isEmpty: (page: Page) => boolean,
  endless: () => Error,
): AsyncGenerator<Page, void> {
  let empty = 0
  for await (const page of walkPages(start, read)) {
    empty = isEmpty(page) ? empty + 1 : 0
    if (empty > EMPTY_PAGES_MAX) throw endless()
    yield page
  }
}
