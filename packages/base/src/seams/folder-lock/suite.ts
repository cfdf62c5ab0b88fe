/** The tests that all folder locks must pass. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure } from "../../failures.js"
import type { FolderLocks } from "./contract.js"

interface LocksUnderTest {
  readonly locks: FolderLocks
  /** Another process's view of the same machine. */
  readonly others: FolderLocks
  readonly folder: string
  readonly otherFolder: string
  done(): Promise<void>
}

export function lockSuite(kind: string, make: () => Promise<LocksUnderTest>): void {
  const check = (what: string, run: (made: LocksUnderTest) => Promise<void>): void => {
    test(`${kind}: ${what}`, async () => {
      const made = await make()
      try {
        await run(made)
      } finally {
        await made.done()
      }
    })
  }

  check("a folder has one owner, and the refusal names it", async ({ locks, others, folder }) => {
    const lock = await locks.take(folder)
    assert.equal(lock.folder, folder)
    for (const each of [locks, others]) {
      await assert.rejects(
        each.take(folder),
        error => isFailure(error, "folderInUse") && error.message.includes(folder) && /process \d+/.test(error.message),
      )
    }
    assert.equal(await lock.isHeld(), true)
    await lock.release()
  })

  check("a folder that was released can be taken again", async ({ locks, others, folder }) => {
    const first = await locks.take(folder)
    await first.release()
    assert.equal(await first.isHeld().catch(() => false), false)
    const second = await others.take(folder)
    assert.equal(await second.isHeld(), true)
    await second.release()
  })

  check("the owner of a folder can be asked for without taking it", async ({ locks, others, folder }) => {
    for (const each of [locks, others]) assert.equal(await each.ownerOf(folder), undefined)
    const lock = await locks.take(folder)
    for (const each of [locks, others]) assert.ok(((await each.ownerOf(folder))?.pid ?? 0) > 0)
    assert.equal(await lock.isHeld(), true)
    await lock.release()
    for (const each of [locks, others]) assert.equal(await each.ownerOf(folder), undefined)
  })

  check("folders do not know of each other", async ({ locks, others, folder, otherFolder }) => {
    const [one, two] = [await locks.take(folder), await others.take(otherFolder)]
    assert.ok((await one.isHeld()) && (await two.isHeld()))
    await one.release()
    assert.equal(await two.isHeld(), true)
    await two.release()
  })

  check("of many who try at once one succeeds", async ({ locks, others, folder }) => {
    const tries = await Promise.allSettled([...Array(10).keys()].map(i => (i % 2 ? locks : others).take(folder)))
    const taken = tries.flatMap(each => (each.status === "fulfilled" ? [each.value] : []))
    assert.equal(taken.length, 1)
    for (const each of tries) assert.ok(each.status === "fulfilled" || isFailure(each.reason, "folderInUse"))
    assert.equal(await taken[0]?.isHeld(), true)
    await taken[0]?.release()
  })
}
