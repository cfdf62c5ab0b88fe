/** Restoring below a prefix: every key once, over pages that change while they are read. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure } from "@hayloft/base/failures.js"
import { objectKeyOfText, parseBucketId, textOfObjectKey, type ObjectKey } from "@hayloft/base/ids.js"
import { restoreBelow } from "./restore-below.js"
import type { UndeleteOutcome } from "./undelete-commands-core.js"
import type { DeletedObject, DeletedPage } from "./deleted-rows-core.js"

const BUCKET = parseBucketId(1)
const EXISTS = "exists"

/** Kept versions by key and number; what is restored over an object keeps that object, as the newest of its key. */
class World {
  readonly rows: DeletedObject[] = []
  readonly restored: string[] = []

  constructor(
    private readonly pageRows: number,
    ...kept: readonly (readonly [key: string, versions: number])[]
  ) {
    for (const [key, versions] of kept) for (let at = 0; at < versions; at += 1) this.keep(objectKeyOfText(key))
  }

  private keep(key: ObjectKey): void {
    const id = String(this.rows.length).padStart(4, "0")
    const times = { deletedMs: 1, untilMs: 2, modifiedMs: 0 }
    this.rows.push({ key, id, ...times, reason: "overwritten", sizeBytes: 1, etag: "" })
  }

  async listDeleted(
    _: unknown,
    { prefix = "", after = "" }: { prefix?: string; after?: string },
  ): Promise<DeletedPage> {
    const placeOf = ({ key, id }: DeletedObject) => `${key}\0${id}`
    const sorted = this.rows
      .filter(({ key }) => key.startsWith(prefix))
      .sort((a, b) => (placeOf(a) < placeOf(b) ? -1 : 1))
    const rest = sorted.filter(row => placeOf(row) > after)
    const items = rest.slice(0, this.pageRows)
    const last = items.at(-1)
    return { items, ...(last && rest.length > items.length && { next: placeOf(last) }) }
  }

  async undelete(_: unknown, key: ObjectKey, { over = false, atMs }: { over?: boolean; atMs?: number }) {
    const text = textOfObjectKey(key)
    if (atMs !== undefined) return "nothingKept" satisfies UndeleteOutcome
    if (text.endsWith(EXISTS) && !over) return "exists" satisfies UndeleteOutcome
    this.restored.push(text)
    this.keep(key)
    return "restored" satisfies UndeleteOutcome
  }

  async all(prefix: string, rest: { over?: boolean; atMs?: number } = {}) {
    const sum = { restored: 0, exist: 0, nothingKept: 0 }
    let after: string | undefined
    for (let pages = 1; pages === 1 || after !== undefined; pages += 1) {
      assert.ok(pages < 20, "it ends")
      const { over = false, atMs } = rest
      const page = await restoreBelow(this, BUCKET, { prefix, over, atMs, after })
      sum.restored += page.restored
      sum.exist += page.exist
      sum.nothingKept += page.nothingKept
      after = page.next
    }
    return sum
  }
}

test("each key is restored once, although what it replaces is kept and comes up on the next page", async () => {
  for (const pageRows of [1, 2, 3, 100]) {
    const world = new World(pageRows, ["a/1", 3], ["a/2", 1], ["a/é", 2], ["b", 1])
    assert.deepEqual(await world.all("a/", { over: true }), { restored: 3, exist: 0, nothingKept: 0 })
    assert.deepEqual(world.restored.toSorted(), ["a/1", "a/2", "a/é"], `${pageRows} rows a page`)
  }
})

test("keys that exist, and those of which nothing of the time is kept, are counted", async () => {
  const world = new World(2, ["1", 1], [`2${EXISTS}`, 2], ["3", 1])
  assert.deepEqual(await world.all(""), { restored: 2, exist: 1, nothingKept: 0 })
  assert.deepEqual(await new World(2, ["1", 3], ["2", 1]).all("", { atMs: 5 }), {
    restored: 0,
    exist: 0,
    nothingKept: 2,
  })
})

test("a cursor of something else is refused", async () => {
  for (const after of ["", "{}", "[1]", '["a",2]', "[", '["a","\\ud800"]']) {
    const restoring = restoreBelow(new World(1, ["1", 1]), BUCKET, { prefix: "", over: false, after })
    await assert.rejects(restoring, error => isFailure(error, "invalidArgument", "invalidKey"), after)
  }
})
