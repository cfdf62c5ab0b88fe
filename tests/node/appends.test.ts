/** Appends to a real server: Amazon's SDK, `POST ?append`, the command line, and kills while several clients append. */
import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { once } from "node:events"
import { test } from "node:test"
import { setTimeout as later } from "node:timers/promises"
import { until } from "@hayloft/base/seams/clock/testing-until.js"
import { CopyObjectCommand, GetObjectCommand, HeadObjectCommand, PutObjectCommand } from "@aws-sdk/client-s3"
import { runsOf } from "@hayloft/base/testing-seed.js"
import { setSetting } from "../harness/admin-client.js"
import { dataFolders, forTestsOfFile } from "../harness/folders.js"
import { withClient } from "../harness/sdk-client.js"
import { ServerProcess } from "../harness/server.js"

/** The bucket of the test that runs: each has its own. */
let logs = ""
let tests = 0
let shared: ServerProcess

forTestsOfFile(async folder => {
  shared = await ServerProcess.start({ folders: dataFolders(folder, 3), args: ["--redundancy", "ec:2+1"] })
  const plain = await shared.client().call("PUT", { bucket: "plain" })
  assert.equal(plain.status, 200)
  return () => shared.kill()
})

async function withStore(work: (server: ServerProcess) => Promise<void>): Promise<void> {
  tests += 1
  logs = `logs-${tests}`
  assert.equal((await shared.client().call("PUT", { bucket: logs })).status, 200)
  await setSetting(shared, logs, "append")
  await work(shared)
}

test("Amazon's SDK appends at an offset, and learns when another client was faster", async () => {
  await withStore(async server => {
    await withClient(server, async client => {
      const target = { Bucket: logs, Key: "a" }
      const first = await client.send(new PutObjectCommand({ ...target, Body: "one ", WriteOffsetBytes: 0 }))
      assert.equal(first.Size, 4)
      const second = await client.send(new PutObjectCommand({ ...target, Body: "two", WriteOffsetBytes: 4 }))
      assert.deepEqual([second.Size, second.ETag === first.ETag], [7, false])
      assert.ok(second.ChecksumCRC32 ?? second.ChecksumCRC64NVME, "the checksum of the whole object")
      const late = client.send(new PutObjectCommand({ ...target, Body: "late", WriteOffsetBytes: 4 }))
      await assert.rejects(late, { name: "InvalidWriteOffset" })
      const got = await client.send(new GetObjectCommand({ ...target, ChecksumMode: "ENABLED" }))
      assert.equal(await got.Body?.transformToString(), "one two")
      await client.send(new PutObjectCommand({ Bucket: logs, Key: "b", Body: "x", Metadata: { a: "1" } }))
      await client.send(new PutObjectCommand({ Bucket: logs, Key: "b", Body: "y", WriteOffsetBytes: 1 }))
      const head = await client.send(new HeadObjectCommand({ Bucket: logs, Key: "b" }))
      assert.deepEqual([head.ContentLength, head.Metadata], [2, { a: "1" }])
    })
  })
})

test("what cannot be appended to says so", async () => {
  await withStore(async server => {
    const client = server.client()
    const code = async (bucket: string, headers: Readonly<Record<string, string>> = {}) => {
      const { status, text } = await client.call("POST", { bucket, key: "o", query: "append", body: "bytes", headers })
      return `${status} ${/<Code>(.*?)<\/Code>/.exec(text)?.[1] ?? ""}`
    }
    assert.equal(await code(logs), "200 ")
    assert.equal(await code(logs, { "x-amz-write-offset-bytes": "0x" }), "400 InvalidArgument")
    assert.equal(await code(logs, { "x-hayloft-append-id": "a b" }), "400 InvalidArgument")
    assert.equal(await code(logs, { "x-amz-server-side-encryption": "AES256" }), "501 NotImplemented")
    assert.equal(await code("plain"), "501 NotImplemented")
    await client.call("PUT", {
      bucket: logs,
      key: "sealed",
      headers: { "x-amz-server-side-encryption": "AES256" },
      body: "s",
    })
    const sealed = await client.call("POST", { bucket: logs, key: "sealed", query: "append", body: "t" })
    assert.equal(sealed.status, 501)
    const versioning = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
    await client.call("PUT", { bucket: logs, query: "versioning", body: versioning })
    assert.equal(await code(logs), "400 InvalidRequest")
  })
})

test("who follows an object gets what is appended, and learns when another one is there", async () => {
  await withStore(async server => {
    const client = server.client()
    const follow = (key: string, query: string) => client.call("GET", { bucket: logs, key, query: `follow&${query}` })
    const append = (key: string, body: string) => client.call("POST", { bucket: logs, key, query: "append", body })
    // It may be there before the object.
    const early = follow("o", "offset=0")
    await waiting(server, 1)
    await append("o", "one ")
    const first = await early
    const stream = first.header("x-hayloft-append-stream") ?? assert.fail("it is named")
    assert.deepEqual([first.status, first.text, first.header("content-range")], [206, "one ", "bytes 0-3/4"])
    const next = follow("o", `offset=4&stream=${stream}`)
    await waiting(server, 1)
    await append("o", "two")
    assert.equal((await next).text, "two")
    assert.equal((await follow("o", "offset=2")).text, "e two")
    // Nothing comes.
    const empty = await follow("o", "offset=7&wait=0")
    assert.deepEqual([empty.status, empty.header("x-amz-object-size")], [204, "7"])
    // A replacement is another object, also if it is longer.
    const replaced = follow("o", `offset=7&stream=${stream}`)
    await waiting(server, 1)
    await client.call("PUT", { bucket: logs, key: "o", body: "another object" })
    assert.equal((await replaced).status, 412)
    for (const offset of [15, 2 ** 31, 2 ** 40])
      assert.equal((await follow("o", `offset=${offset}&wait=0`)).status, 416, `${offset}`)
    const removed = follow("o", "offset=14")
    await waiting(server, 1)
    await client.call("DELETE", { bucket: logs, key: "o" })
    assert.equal((await removed).status, 404)
    const missing = await follow("missing", "offset=0&wait=0")
    assert.deepEqual([missing.status, missing.header("x-amz-object-size")], [204, undefined])
    // One of the same size, or a shorter one, is another object too.
    await append("o", "1234")
    const other = (await follow("o", "offset=0")).header("x-hayloft-append-stream") ?? ""
    assert.equal((await follow("o", `offset=4&wait=0&stream=${other}`)).status, 204)
    for (const body of ["5678", "9"]) {
      await client.call("PUT", { bucket: logs, key: "o", body })
      assert.equal((await follow("o", `offset=4&wait=0&stream=${other}`)).status, 412, body)
    }
    for (const query of ["offset=-1", "offset=x", "wait=61"])
      assert.equal((await follow("o", query)).status, 400, query)
    const anonymous = { bucket: logs, key: "o", query: "follow", anonymous: true }
    assert.equal((await client.call("GET", anonymous)).status, 403)
    assert.equal((await client.call("GET", { bucket: "plain", key: "o", query: "follow" })).status, 501)
    // A server that stops tells its followers.
    const last = follow("o", "offset=1&wait=60")
    await waiting(server, 1)
    assert.equal(await server.stop(), 0)
    assert.equal((await last).status, 204)
    await server.launch()
  })
})

test("hayloft cat --follow writes what is appended, over a restart of the server", async () => {
  await withStore(async server => {
    const append = (body: string) => server.client().call("POST", { bucket: logs, key: "log", query: "append", body })
    const command = server.startHayloft(["cat", "--follow", `s3://${logs}/log`, "--range", "2-"])
    const exited = once(command, "exit")
    let out = ""
    // Output may come before somebody waits for it.
    command.stdout.on("data", piece => (out += String(piece)))
    const shows = async (text: string) => {
      await until(
        () => `everything is shown: ${out}`,
        () => out.length >= text.length,
        20,
      )
      assert.equal(out, text)
    }
    try {
      await append("1\n2\n")
      await shows("2\n")
      await append("3\n")
      await shows("2\n3\n")
      await server.kill()
      await server.launch()
      await append("4\n")
      await shows("2\n3\n4\n")
    } finally {
      command.kill("SIGINT")
    }
    assert.deepEqual(await exited, [0, null])
  })
})

test("objects are joined without copying their bytes, and are copied like that", async () => {
  await withStore(async server => {
    const client = server.client()
    const large = randomBytes(3_000_000)
    await client.call("PUT", { bucket: logs, key: "day 1", body: large })
    await client.call("POST", { bucket: logs, key: "day 2", query: "append", body: "second day" })
    const before = await usedBytes(server)
    await withClient(server, async sdk => {
      const copied = await sdk.send(
        new CopyObjectCommand({ Bucket: logs, Key: "snapshot", CopySource: `${logs}/day%201` }),
      )
      const { ETag } = await sdk.send(new HeadObjectCommand({ Bucket: logs, Key: "day 1" }))
      assert.equal(copied.CopyObjectResult?.ETag, ETag)
    })
    const places = ["day 1", "day 2", "snapshot"].map(key => `s3://${logs}/${key}`)
    const made = await server.hayloft(["cat", ...places, "--into", `s3://${logs}/all`, "--json"])
    assert.equal(made.code, 0, made.stderr)
    assert.ok((await usedBytes(server)) - before < 100_000, "no bytes were written again")
    const whole = Buffer.concat([large, Buffer.from("second day"), large])
    for (const key of ["day 1", "day 2", "snapshot"]) await client.call("DELETE", { bucket: logs, key })
    await server.kill()
    await server.launch()
    const all = await client.call("GET", { bucket: logs, key: "all" })
    assert.ok(all.body.equals(whole))
    await complete(client, ["all"], "206 and a range", "bytes=3000000-3000005")
    assert.equal((await client.call("GET", { bucket: logs, key: "206 and a range" })).text, "second")
  })
})

test("what cannot be joined is refused by name", async () => {
  await withStore(async server => {
    const client = server.client()
    for (const key of ["a", "b"]) await client.call("PUT", { bucket: logs, key, body: key })
    const headers = { "x-amz-server-side-encryption": "AES256" }
    await client.call("PUT", { bucket: logs, key: "sealed", headers, body: "s" })
    const code = async (names: readonly string[], range?: string, more?: string) =>
      (await complete(client, names, "o", range, more)).code
    assert.equal(await code(["missing"]), "NoSuchKey")
    assert.equal(await code(["sealed"]), "NotImplemented")
    assert.equal(await code(["a"], "bytes=7-"), "InvalidRange")
    assert.equal(await code(["a"], "lines=1"), "InvalidArgument")
    assert.equal(await code(["a"], undefined, "<Rnage>bytes=0-0</Rnage>"), "MalformedXML")
    assert.equal(await code(["../plain/x"]), "NotImplemented")
    for (const [key, name] of [
      ["größe 中?versionId=x", encodeURIComponent("größe 中?versionId=x")],
      ["größe 中", "größe 中"],
    ] as const) {
      await client.call("PUT", { bucket: logs, key, body: key })
      assert.equal(await code([`../${logs}/${name}`]), undefined, name)
      assert.equal((await client.call("GET", { bucket: logs, key: "o" })).text, key)
    }
    assert.equal(await code(Array<string>(251).fill("a")), "InvalidRequest")
    assert.equal(await code(["a", "b"]), undefined)
    assert.equal((await client.call("GET", { bucket: logs, key: "o" })).text, "ab")
    const removed = await server.hayloft(["bucket", "settings", "delete", logs, "append"])
    assert.equal(removed.code, 0, removed.stderr)
    assert.equal(await code(["a", "b"]), "NotImplemented")
  })
})

/** Completes an upload of the bytes of other objects. */
async function complete(
  client: ReturnType<ServerProcess["client"]>,
  names: readonly string[],
  key: string,
  range?: string,
  more = "",
) {
  const begun = await client.call("POST", { bucket: logs, key, query: "uploads" })
  const uploadId = /<UploadId>(.*?)<\/UploadId>/.exec(begun.text)?.[1] ?? ""
  const parts = names.map((name, i) => {
    const source = name.startsWith("../") ? name.slice(3) : `${logs}/${encodeURIComponent(name)}`
    const ranged = range === undefined ? "" : `<Range>${range}</Range>`
    return `<Part><PartNumber>${i + 1}</PartNumber><CopySource>${source}</CopySource>${ranged}${more}</Part>`
  })
  const body = `<CompleteMultipartUpload>${parts.join("")}</CompleteMultipartUpload>`
  const { text } = await client.call("POST", { bucket: logs, key, query: `uploadId=${uploadId}`, body })
  return { code: /<Code>(.*?)<\/Code>/.exec(text)?.[1] }
}

/** Bytes of shards on all devices. */
async function usedBytes(server: ServerProcess): Promise<number> {
  const metrics = await server.metrics()
  const found = [...metrics.matchAll(/^hayloft_volume_bytes\{[^}]*\} (\d+)$/gm)]
  assert.ok(found.length > 0)
  return found.reduce((sum, [, bytes]) => sum + Number(bytes), 0)
}

/** Requests that wait for more of an object. */
async function waiting(server: ServerProcess, count: number): Promise<void> {
  const areWaiting = async (): Promise<boolean> =>
    Number(/^hayloft_s3_follows_waiting(?:\{[^}]*\})? (\d+)$/m.exec(await server.metrics())?.[1]) >= count
  await until(`${count} requests wait`, areWaiting, 20)
}

/** Returns what a follower reads until it has all records. */
async function followed(server: ServerProcess, over: AbortSignal): Promise<string> {
  const pieces: string[] = []
  let offset = 0
  for (;;) {
    const query = `follow&offset=${offset}&wait=1`
    const isLast = over.aborted
    const answer = await server
      .client()
      .call("GET", { bucket: logs, key: "shared", query })
      .catch(() => undefined)
    if (answer?.status === 206) {
      pieces.push(answer.text)
      offset += answer.text.length
    } else if (answer?.status === 204 && isLast) return pieces.join("")
    else await later(100)
  }
}

const KILLS = runsOf(1)
const CLIENTS = 3

/** A client that appends records of its own until it is told to stop, and repeats each with its id until it is acknowledged. */
async function appends(server: ServerProcess, name: string, over: AbortSignal): Promise<readonly string[]> {
  const done: string[] = []
  for (let number = 0; !over.aborted; number += 1) {
    const record = `${name}-${number} ${"x".repeat((number * 37) % 300)}\n`
    const headers = { "x-hayloft-append-id": `${name}-${number}` }
    const call = { bucket: logs, key: "shared", query: "append", headers, body: record }
    const append = async (): Promise<boolean> => {
      const answer = await server
        .client()
        .call("POST", call)
        .catch(() => undefined)
      return answer?.status === 200
    }
    await until("the record is acknowledged", append, 100)
    done.push(record)
  }
  return done
}

test("kill -9 while clients append: each record is there once, whole, in order, for followers too", async () => {
  await withStore(async server => {
    const over = new AbortController()
    const clients = Array.from({ length: CLIENTS }, (_, i) => appends(server, `client${i}`, over.signal))
    const follower = followed(server, over.signal)
    for (let kill = 0; kill < KILLS; kill += 1) {
      const { offset } = await grows(server)
      await server.kill()
      await server.launch()
      assert.ok((await grows(server)).offset > offset)
    }
    over.abort()
    const records = await Promise.all(clients)
    const seen = await follower
    const { text } = await server.client().call("GET", { bucket: logs, key: "shared" })
    assert.ok(seen === text, "a follower reads each byte once")
    const lines = text.split("\n").slice(0, -1)
    assert.equal(lines.length, records.flat().length)
    for (const [i, own] of records.entries()) {
      const found = lines.filter(line => line.startsWith(`client${i}-`)).map(line => `${line}\n`)
      assert.deepEqual(found, own)
    }
  })
})

/** Waits until some more records are there. */
async function grows(server: ServerProcess): Promise<{ readonly offset: number }> {
  const size = async (): Promise<number> => {
    const head = await server
      .client()
      .call("HEAD", { bucket: logs, key: "shared" })
      .catch(() => undefined)
    return head?.status === 200 ? Number(head.header("content-length")) : 0
  }
  const first = await size()
  let now = first
  await until("the log grows", async () => (now = await size()) > first + 6_000, 100)
  return { offset: now }
}
