/** A real server whose file calls fail. Stories on as many folders share one, which each of them ends and starts again. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { withFolder } from "../harness/folders.js"
import { FaultyServer, type ProcessStory } from "./process.js"
import { missingForShim } from "./shim.js"

const missing = await missingForShim()
const skip = missing === undefined ? false : `needs LD_PRELOAD and cc: ${missing}`
const disk = (folders: readonly string[], number: number): string => folders[number - 1] ?? "none"

const STORIES: Readonly<Record<string, ProcessStory>> = {
  // The first one: the files of volumes are not open yet.
  "the process has no file handles for a while": {
    folders: 1,
    ending: "kill",
    rules: all => [{ prefix: `${disk(all, 1)}/`, calls: ["open"], nth: 1, how: { errno: "EMFILE" } }],
  },
  "the metadata store cannot be written at the last checkpoint: the log has all entries": {
    folders: 1,
    ending: "stop",
    rules: all => [{ prefix: `${disk(all, 1)}/base/`, calls: ["write"], nth: 1, forEver: true, how: { errno: "EIO" } }],
  },
  "the process dies in the middle of a checkpoint": {
    folders: 1,
    ending: "stop",
    failsLast: true,
    rules: all => [{ prefix: `${disk(all, 1)}/base/`, calls: ["write"], nth: 3, how: { kill: true } }],
  },
  "files of the metadata store cannot be removed": {
    folders: 1,
    ending: "stop",
    rules: all => [
      { prefix: `${disk(all, 1)}/base/`, calls: ["unlink"], nth: 1, forEver: true, how: { errno: "EIO" } },
    ],
  },
  "the log of one of three disks fails": {
    folders: 3,
    ending: "kill",
    rules: all => [{ prefix: `${disk(all, 2)}/log/`, calls: ["write"], nth: 2, how: { errno: "EIO" } }],
  },
  "volumes of one of three disks rot as they are read": {
    folders: 3,
    ending: "kill",
    moreObjects: 40,
    rules: all => [
      { prefix: `${disk(all, 1)}/volumes/`, calls: ["read"], nth: 1, forEver: true, how: { flippedBit: 12_345 } },
    ],
  },
  "volumes of one of three disks are full": {
    folders: 3,
    ending: "stop",
    rules: all => [
      { prefix: `${disk(all, 3)}/volumes/`, calls: ["write"], nth: 1, forEver: true, how: { errno: "ENOSPC" } },
    ],
  },
}

for (const count of [1, 3]) {
  test(`file calls of a server on ${count} folder(s) fail`, { skip }, t =>
    withFolder(async folder => {
      const server = await FaultyServer.start(folder, count)
      try {
        for (const [what, { folders, ...story }] of Object.entries(STORIES))
          if (folders === count)
            await t.test(what, async () => {
              const { wrong, acknowledged, hits } = await server.tell(story)
              assert.deepEqual(wrong, [])
              assert.ok(acknowledged >= 8, `${acknowledged} writes were acknowledged`)
              assert.ok(hits.length > 0, "no call got a fault")
            })
      } finally {
        await server.stop()
      }
    }),
  )
}
