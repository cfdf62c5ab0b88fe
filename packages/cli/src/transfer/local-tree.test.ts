import { test } from "node:test"
import assert from "node:assert/strict"
import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { compareNames, filesBelow, makeFoldersFor, removeEmptyFolders } from "./local-tree.js"

async function withFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "hayloft-tree-"))
  try {
    await use(folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function plant(root: string, names: readonly string[]): Promise<void> {
  for (const name of names) {
    await mkdir(dirname(join(root, name)), { recursive: true })
    await writeFile(join(root, name), name)
  }
}

async function listed(root: string) {
  const [problems, notes]: [string[], string[]] = [[], []]
  const names: string[] = []
  const reports = { problem: (text: string) => void problems.push(text), note: (text: string) => void notes.push(text) }
  for await (const { name } of filesBelow(root, reports)) names.push(name)
  return { names, problems, notes }
}

test("files come in the order of their keys, in which a folder's name ends with a slash", () =>
  withFolder(async folder => {
    const names = ["a-b", "a/x", "a/y/z", "a.txt", "a0", "b", "A", "é", "\uff5e", "😀/1"]
    await plant(folder, names)
    assert.deepEqual((await listed(folder)).names, [...names].sort(compareNames))
  }))

test("a link to a file is that file; a link to a folder is left out, a broken one is a problem", () =>
  withFolder(async folder => {
    await plant(folder, ["real/file"])
    await symlink("real/file", join(folder, "link"))
    await symlink("real", join(folder, "loop"))
    await symlink("nowhere", join(folder, "broken"))
    const { names, problems, notes } = await listed(folder)
    assert.deepEqual(names, ["link", "real/file"])
    assert.match(problems.join(), /^[^,]*broken does not exist$/)
    assert.match(notes.join(), /^[^,]*loop: left out, a link to a folder is not followed$/)
  }))

test("no file is written through a link, below a file, or over a folder", () =>
  withFolder(async folder => {
    await plant(folder, ["root/file", "root/folder/x", "outside/x"])
    await symlink("../outside", join(folder, "root", "link"))
    const root = join(folder, "root")
    await assert.rejects(makeFoldersFor(root, "link/x"), /link\/x: not copied, .*link is a link/)
    await assert.rejects(makeFoldersFor(root, "link/new/x"), /is a link/)
    await assert.rejects(
      makeFoldersFor(root, "file/x"),
      /file\/x: not copied, .*file is a file, and a folder is needed/,
    )
    await assert.rejects(makeFoldersFor(root, "folder"), /folder is a folder/)
    await makeFoldersFor(root, "new/deep/x")
    assert.deepEqual(await readdir(join(root, "new")), ["deep"])
    assert.deepEqual(await readdir(join(folder, "outside")), ["x"])
  }))

test("folders that become empty are removed, up to the root", () =>
  withFolder(async folder => {
    await plant(folder, ["a/b/c", "a/d"])
    await rm(join(folder, "a/b/c"))
    await removeEmptyFolders(folder, "a/b/c")
    assert.deepEqual(await readdir(join(folder, "a")), ["d"])
    await rm(join(folder, "a/d"))
    await removeEmptyFolders(folder, "a/d")
    assert.deepEqual(await readdir(folder), [])
  }))
