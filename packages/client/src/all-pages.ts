/**
 * All pages of a listing of another store.
 *
 * Promises  A listing that goes on without end is a failure, be its pages empty, or the same ones again and again.
 * Limits    `EMPTY_PAGES_MAX` pages without anything, or that were seen before. Memory holds the end of one page.
 */
import { EMPTY_PAGES_MAX, walkRemotePages } from "@hayloft/base/walk-pages.js"
import { BrokenAnswer } from "./remote.js"

/**
 * Finds a listing that goes round, whatever its order: each page is compared with an earlier one, which is exchanged after
 * twice as many pages each time. So it is part of the round at some time, and is seen again.
 */
class RepeatedPages {
  private compared: string | undefined
  private left = 1
  private distance = 1
  /** The times that the earlier page was seen again. */
  private seen = 0

  /** Returns false once a page was seen too many times. */
  isBounded(end: string): boolean {
    if (end === this.compared) this.seen += 1
    this.left -= 1
    if (this.left === 0) {
      this.compared = end
      this.seen = 0
      this.distance *= 2
      this.left = this.distance
    }
    return this.seen <= EMPTY_PAGES_MAX
  }
}

const endless = () => new BrokenAnswer("the store returned a listing that has no end")

/** Yields all pages; `endOf` names the last entry of a page, if there is one. Throws `BrokenAnswer`. */
export async function* allPages<At, Page extends { readonly next: At | undefined }>(
  read: (at: At | undefined) => Promise<Page>,
  endOf: (page: Page) => string | undefined,
): AsyncGenerator<Page, void> {
  const repeated = new RepeatedPages()
  const isEmpty = (page: Page): boolean => endOf(page) === undefined
  for await (const page of walkRemotePages<At | undefined, Page>(undefined, read, isEmpty, endless)) {
    const end = endOf(page)
    if (end !== undefined && !repeated.isBounded(end)) throw endless()
    yield page
  }
}
