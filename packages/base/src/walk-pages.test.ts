/** Walks over pages read no more of them than their callers need. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { EMPTY_PAGES_MAX, walkPages, walkRemotePages } from "./walk-pages.js"

/** Three pages. `seen` has what was read of them, and what their reader did. */
function pagesOf(seen: string[], stop = new AbortController().signal) {
  return walkPages<number, { readonly name: string; readonly next: number | undefined }>(1, async at => {
    stop.throwIfAborted()
    seen.push(`reads ${at}`)
    return { name: `page ${at}`, next: at < 3 ? at + 1 : undefined }
  })
}

test("a page is read once its reader has done with the one before it", async () => {
  const seen: string[] = []
  for await (const { name } of pagesOf(seen)) seen.push(name)
  assert.deepEqual(seen, ["reads 1", "page 1", "reads 2", "page 2", "reads 3", "page 3"])
})

test("a walk that is left early reads no further page", async () => {
  const seen: string[] = []
  const pages = pagesOf(seen)
  for await (const { name } of pages) {
    seen.push(name)
    if (name === "page 2") break
  }
  assert.deepEqual(seen, ["reads 1", "page 1", "reads 2", "page 2"])
  assert.deepEqual(await pages.next(), { value: undefined, done: true })
})

test("a walk ends with the failure of a page, such as that of a signal that fires", async () => {
  const seen: string[] = []
  const stop = new AbortController()
  const walk = async (): Promise<void> => {
    for await (const { name } of pagesOf(seen, stop.signal)) {
      seen.push(name)
      if (name === "page 2") stop.abort()
    }
  }
  await assert.rejects(walk(), { name: "AbortError" })
  assert.deepEqual(seen, ["reads 1", "page 1", "reads 2", "page 2"])
})

test("pages of another server that has no end are left after too many empty ones in a row", async () => {
  let read = 0
  const walk = async (emptyInRow: number): Promise<void> => {
    const pages = walkRemotePages(
      0,
      at => ({ isEmpty: at % (emptyInRow + 1) !== emptyInRow, next: at > 3 * EMPTY_PAGES_MAX ? undefined : at + 1 }),
      page => page.isEmpty,
      () => new Error("no end"),
    )
    read = 0
    for await (const _ of pages) read += 1
  }
  await walk(EMPTY_PAGES_MAX)
  assert.equal(read, 3 * EMPTY_PAGES_MAX + 2)
  await assert.rejects(walk(EMPTY_PAGES_MAX + 1), { message: "no end" })
  assert.equal(read, EMPTY_PAGES_MAX)
})
