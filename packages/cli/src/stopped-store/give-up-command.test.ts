/** Unreadable rows of the only metadata replica: requests for them fail until an operator gives them up by name. */
import assert from "node:assert/strict"
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import type { S3Client } from "@hayloft/client/index.js"
import { createLockedBucket } from "@hayloft/client/testing-store-process.js"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { runHere } from "../testing-here.js"
import { withClient } from "../testing-process.js"

const OBJECTS = 160
const nameOf = (i: number): string => `object-${String(i).padStart(3, "0")}`
const NAMES = Array.from({ length: OBJECTS }, (_, i) => nameOf(i))
const textFor = (key: string): string => `text ${Number(key.slice(-3))}`
const PAGE_BYTES = 4096

async function textOf(client: S3Client, key: string): Promise<string> {
  const chunks: Uint8Array[] = []
  for await (const chunk of (await client.get("bucket", key)).body) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

async function keysOf(client: S3Client): Promise<readonly string[]> {
  const keys: string[] = []
  for await (const { key } of client.keys("bucket", "")) keys.push(key)
  return keys
}

const put = (client: S3Client, key: string, text: string) =>
  client.put({ bucket: "bucket", key, body: Buffer.from(text) })

const putAll = (client: S3Client) => Promise.all(NAMES.map(name => put(client, name, textFor(name))))

/** A name as tables have it: each byte plus one, as in row keys. */
const inTable = (key: string): Buffer => Buffer.from(Buffer.from(key).map(byte => byte + 1))

async function tablesIn(folder: string): Promise<readonly string[]> {
  return (await readdir(folder)).filter(each => each.endsWith(".table")).map(name => join(folder, name))
}

/**
 * Returns a name in the middle of those that one table has, whose block has rows of nothing else: how many tables there
 * are depends on when checkpoints were made.
 */
async function nameAmongMany(folder: string): Promise<string> {
  let most: readonly string[] = []
  for (const path of await tablesIn(folder)) {
    const content = await readFile(path)
    const names = NAMES.filter(name => content.includes(inTable(name)))
    if (names.length > most.length) most = names
  }
  return must(most[Math.floor(most.length / 2)], "a table has names")
}

/**
 * Damages the place of a table that contains the key, and all parity that would rebuild it.
 */
async function spoil(folder: string, key: string): Promise<void> {
  let count = 0
  for (const path of await tablesIn(folder)) {
    const content = await readFile(path)
    const at = content.indexOf(inTable(key))
    if (at < 0) continue
    count += 1
    content.fill(0x5a, at, at + 40)
    const [first, last] = [content.indexOf("HLTABLE1"), content.lastIndexOf("HLTABLE1")]
    content.fill(0x77, first + 8, first + 8 + Math.floor((last - first) / PAGE_BYTES) * PAGE_BYTES)
    await writeFile(path, content)
  }
  assert.ok(count > 0, "a table has the key")
}

/** Rows of the family `current`. */
const rowsOf = (text: string): number => text.split("\n").filter(line => /row.* family=current /.test(line)).length

test("unreadable rows fail the requests that need them, are listed, and are given up only by name", async () => {
  const root = await mkdtemp(join(tmpdir(), "hayloft-give-up-"))
  try {
    const data = join(root, "data")
    await withClient([data], async (client, access) => {
      await client.createBucket("bucket")
      await putAll(client)
      await createLockedBucket(access, "ledger", new RealClock())
    })
    const unneeded = await runHere(["volume", "give-up", data, "--yes", "--confirm", "data"])
    assert.deepEqual([unneeded.code, /every row .* can be read/.test(unneeded.out.toString())], [0, true])

    const lost = await nameAmongMany(join(data, "base"))
    await spoil(join(data, "base"), lost)
    await withClient([data], async client => {
      await assert.rejects(textOf(client, lost), "it is not said to be absent")
      await assert.rejects(put(client, lost, "new"), "nor replaced")
      await assert.rejects(keysOf(client), "nor left out of a listing")
      for (const i of [0, OBJECTS - 1]) assert.equal(await textOf(client, nameOf(i)), `text ${i}`)
      await put(client, nameOf(0), "goes on")
    })
    const fsck = await runHere(["volume", "fsck", data])
    assert.deepEqual([fsck.code, /DAMAGED metadata .*repair=none/.test(fsck.out.toString())], [1, true])
    assert.match(fsck.error, /hayloft volume give-up/)

    const inspected = await runHere(["volume", "inspect", join(data, "base")])
    assert.equal(inspected.code, 1)
    const keysShown = rowsOf(inspected.out.toString())
    assert.ok(keysShown > OBJECTS / 2 && keysShown < OBJECTS, `${keysShown} rows are shown around the damage`)

    const plan = await runHere(["volume", "give-up", data, "--yes"])
    assert.equal(plan.code, 2)
    assert.match(plan.out.toString(), /\.table: \d+ rows?, .*current.*keys from .* to "object-\d+" of bucket \d/)
    assert.match(plan.error, /--confirm data/)
    const unnamed = await runHere(["volume", "give-up", data, "--yes", "--confirm", "data"])
    assert.deepEqual([unnamed.code, /add --locked-buckets ledger/.test(unnamed.error)], [2, true])
    const named = ["--confirm", "data", "--locked-buckets", "ledger"]
    const done = await runHere(["volume", "give-up", data, "--yes", ...named])
    assert.equal(done.code, 0, done.error)
    assert.match(done.out.toString(), /gave up \d+ rows?; start the store/)
    assert.equal((await runHere(["volume", "fsck", data])).code, 0)

    await withClient([data], async client => {
      const keys = await keysOf(client)
      assert.ok(keys.length > OBJECTS / 2 && keys.length < OBJECTS, `${keys.length} keys are left`)
      const texts = await Promise.all(keys.map(key => textOf(client, key)))
      const expected = keys.map(key => (key === nameOf(0) ? "goes on" : textFor(key)))
      assert.deepEqual(texts, expected)
      await put(client, lost, "new")
      assert.equal(await textOf(client, lost), "new")
    })
    const metadataStore = join(data, "base")
    for (const name of await readdir(metadataStore)) if (name.includes("manifest")) await rm(join(metadataStore, name))
    const looked = await runHere(["volume", "inspect", metadataStore])
    assert.deepEqual([looked.code, /manifest DAMAGED/.test(looked.out.toString())], [1, true])
    assert.ok(rowsOf(looked.out.toString()) >= keysShown, "what the files themselves say")
  } finally {
    await rm(root, { recursive: true })
  }
})

test("a device with other metadata replicas gives nothing up, and learns the rows again", async () => {
  const root = await mkdtemp(join(tmpdir(), "hayloft-give-up-"))
  try {
    const folders = [1, 2, 3].map(number => join(root, `disk${number}`))
    const [first = ""] = folders
    await withClient(folders, async client => {
      await client.createBucket("bucket")
      await putAll(client)
    })
    await spoil(join(first, "base"), await nameAmongMany(join(first, "base")))
    const refused = await runHere(["volume", "give-up", first, "--yes", "--confirm", "disk1"])
    assert.deepEqual([refused.code, /nothing was changed: other devices/.test(refused.error)], [6, true])
    await withClient(folders, async client => {
      assert.equal((await keysOf(client)).length, OBJECTS)
      const texts = await Promise.all(NAMES.map(name => textOf(client, name)))
      assert.deepEqual(texts, NAMES.map(textFor))
    })
  } finally {
    await rm(root, { recursive: true })
  }
})
