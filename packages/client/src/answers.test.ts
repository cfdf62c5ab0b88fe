/** Responses of a store that is broken or hostile. */
import { test } from "node:test"
import assert from "node:assert/strict"
import type { RequestListener, ServerResponse } from "node:http"
import { AdminClient } from "./admin-client.js"
import { BrokenAnswer, RemoteFailure, Unreachable } from "./remote.js"
import type { S3Client } from "./s3-client.js"
import { withPeer } from "./testing-peer.js"
import { readXml, textOfChild } from "./xml-reader.js"

const OBJECT = { bucket: "b", key: "k" }
const PART = { ...OBJECT, uploadId: "u", partNumber: 1 }
const BODY = Buffer.from("a")
const RANGE = { first: 0, last: 1 }

/** Returns what the client makes of a response with this document and these headers. */
const told = <T>(
  document: string,
  work: (client: S3Client) => Promise<T>,
  headers: Readonly<Record<string, string>> = {},
): Promise<T> =>
  withPeer(
    (request, response) => void request.resume().on("end", () => response.writeHead(200, headers).end(document)),
    {},
    ({ client }) => work(client),
  )

test("a response that changes the protocol, and one that never comes, are failures", async () => {
  for (const head of [
    "HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    "HTTP/1.1 101 x\r\n\r\n",
  ]) {
    let requests = 0
    let closed: Promise<void> | undefined
    const switching: RequestListener = request => {
      requests += 1
      closed ??= new Promise(resolve => request.socket.once("close", () => resolve()))
      request.socket.write(head)
    }
    await withPeer(switching, {}, async ({ client }) => {
      await assert.rejects(client.head("b", "k"), (error: unknown) => {
        assert.ok(error instanceof Unreachable)
        assert.equal(error.reason, "the connection closed without a response")
        return true
      })
      await closed
      const body = { lengthBytes: 9, open: () => waiting() }
      await assert.rejects(client.put({ ...OBJECT, body }), Unreachable)
      assert.equal(requests, 2, "not repeated")
    })
  }
})

async function* waiting(): AsyncGenerator<Uint8Array> {
  yield BODY
  await new Promise(() => undefined)
}

test("a listing that goes on without end is a failure", async () => {
  let number = 0
  const endless: RequestListener = (request, response) => {
    number += 1
    const next = `<NextContinuationToken>${number}</NextContinuationToken><NextKeyMarker>${number}</NextKeyMarker>`
    const name = request.url?.includes("versions") === true ? "ListVersionsResult" : "ListBucketResult"
    const token = request.url?.startsWith("/b") === true ? "" : `<ContinuationToken>${number}</ContinuationToken>`
    if (number > 1_000) response.destroy()
    else response.end(`<${name}><IsTruncated>true</IsTruncated>${next}${token}</${name}>`)
  }
  await withPeer(endless, {}, async ({ client }) => {
    const message = "the store returned a listing that has no end"
    await assert.rejects(client.listBuckets(), { message })
    await assert.rejects(client.keys("b", "").next(), { message })
    await assert.rejects(client.versions("b", "").next(), { message })
  })
})

test("a listing that returns the same pages again and again is a failure, and one of many pages is not", async () => {
  let pages = 3
  const peer: RequestListener = (request, response) => {
    pages -= 1
    const isVersions = request.url?.includes("versions") === true
    const isOfBuckets = request.url?.startsWith("/b") !== true
    const next = `<NextContinuationToken>t${pages}</NextContinuationToken><NextKeyMarker>t${pages}</NextKeyMarker>`
    const more = pages > 0 ? `<IsTruncated>true</IsTruncated>${next}` : ""
    const name = isCircle ? `k${pages % 3}` : `k${pages}`
    const object = `<Key>${name}</Key><Size>1</Size><ETag>"e"</ETag><LastModified>2026-01-01T00:00:00Z</LastModified>`
    if (isOfBuckets) {
      const bucket = `<Bucket><Name>${name}</Name><CreationDate>2026-01-01T00:00:00Z</CreationDate></Bucket>`
      const token = pages > 0 ? `<ContinuationToken>t${pages}</ContinuationToken>` : ""
      response.end(`<ListAllMyBucketsResult><Buckets>${bucket}</Buckets>${token}</ListAllMyBucketsResult>`)
    } else if (isVersions) {
      const version = `<Version>${object}<VersionId>v</VersionId></Version>`
      response.end(`<ListVersionsResult>${more}${version}</ListVersionsResult>`)
    } else response.end(`<ListBucketResult>${more}<Contents>${object}</Contents></ListBucketResult>`)
  }
  let isCircle = false
  const PAGES = 2_000
  await withPeer(peer, {}, async ({ client }) => {
    const amount = async (listed: AsyncIterable<unknown>): Promise<number> => {
      let count = 0
      for await (const _ of listed) count += 1
      return count
    }
    const lists = [
      async () => (await client.listBuckets()).length,
      () => amount(client.keys("b", "")),
      () => amount(client.versions("b", "")),
    ]
    for (const list of lists) {
      for (isCircle of [false, true]) {
        pages = PAGES
        if (isCircle) await assert.rejects(list(), { message: "the store returned a listing that has no end" })
        else assert.equal(await list(), PAGES)
      }
      assert.ok(pages > PAGES / 4, "it ends soon")
    }
  })
})

test("XML of any form is read in linear time", () => {
  const repeated = 160_000
  const begun = process.cpuUsage()
  const unclosed = ["<!--", "<?", "<!---", "<a ", "<a", "</", "<a /", "&a", "&#", '<a b="', "<a\n\t"]
  for (const piece of unclosed) assert.throws(() => readXml(piece.repeat(repeated)), BrokenAnswer, piece)
  assert.throws(() => readXml(`<${"a".repeat(4 * repeated)}`), BrokenAnswer)
  assert.throws(() => readXml(`<a${" ".repeat(4 * repeated)}`), BrokenAnswer)
  assert.throws(() => readXml("</a>"), { message: "the response is not an XML document: an end tag has no start" })
  assert.throws(
    () => readXml(`</${"a".repeat(repeated)}>`),
    (error: Error) => error.message.length < 300,
  )
  assert.ok(process.cpuUsage(begun).user < 5_000_000)
})

test("comments and instructions end at their own ends only", () => {
  const root = readXml(`<?x a>b ?><A>1<!-- <B>-> > -->2<K a="b"/><?p > ?>3< 4</A><!---->`)
  assert.deepEqual([root.text, root.children.map(({ name }) => name)], ["123< 4", ["K"]])
  assert.equal(textOfChild(readXml("<A><K >1</K ></A>"), "K"), "1")
  for (const bad of ["<A></A><!-- ->", "<A></A><? >", "<A></A><!-->"]) assert.throws(() => readXml(bad), BrokenAnswer)
})

/** Writes for as long as the connection lives. */
function endless(response: ServerResponse, piece: string): void {
  response.write(piece, error => error == null && !response.destroyed && endless(response, piece))
}

test("of a failure no more than its beginning is read, and its connection ends", async () => {
  const closed: Promise<void>[] = []
  const failing: RequestListener = ({ socket, url }, response) => {
    closed.push(new Promise(resolve => socket.once("close", () => resolve())))
    response.writeHead(403)
    if (url?.startsWith("/b") === true) response.write("<Error><Code>Odd</Code><Message>")
    endless(response, "x".repeat(50_000))
  }
  await withPeer(failing, {}, async ({ client }) => {
    for (const [bucket, code] of [
      ["b", "Odd"],
      ["c", "http-403"],
    ] as const) {
      await assert.rejects(client.getSetting(bucket, "cors"), (error: unknown) => {
        assert.ok(error instanceof RemoteFailure)
        assert.deepEqual([error.status, error.code, error.message], [403, code, `${bucket}: access denied`])
        return true
      })
    }
    await Promise.all(closed)
    assert.equal(closed.length, 2)
  })
})

test("codes and messages of failures are cut", async () => {
  const code = "C".repeat(1_000)
  const message = "m".repeat(1_000)
  await withPeer(
    ({ url }, response) => {
      const isAdmin = url === "/admin"
      const document = `<Error><Code>${code}</Code><Message>${message}</Message></Error>`
      response.writeHead(400).end(isAdmin ? JSON.stringify({ error: { code, message } }) : document)
    },
    {},
    async ({ client, server, stop }) => {
      const isCut = (error: unknown): boolean =>
        error instanceof RemoteFailure && error.code === "C".repeat(100) && /^m{500}( \(C{100}\))?$/.test(error.message)
      await assert.rejects(client.getSetting("b", "cors"), isCut)
      const address = server.address()
      assert.ok(typeof address === "object" && address !== null)
      const endpoint = `http://127.0.0.1:${address.port}`
      const admin = new AdminClient({ endpoint, token: "t" }, stop.signal)
      await assert.rejects(admin.get("/admin"), isCut)
      admin.close()
    },
  )
})

test("a write without an ETag in its response is not taken for done", async () => {
  const writes: ((client: S3Client) => Promise<unknown>)[] = [
    client => client.put({ ...OBJECT, body: BODY }),
    client => client.putPart({ ...PART, body: BODY }),
    client => client.copy(OBJECT, "e", OBJECT),
    client => client.putPartCopy(PART, OBJECT, "e", RANGE),
    client => client.complete({ ...OBJECT, uploadId: "u", etags: ["e"] }),
  ]
  const missing = { name: "BrokenAnswer", message: /does not say which object it has written/ }
  for (const root of ["CompleteMultipartUploadResult", "CopyObjectResult"])
    for (const etag of ["", "<ETag></ETag>", "<ETag>&quot;&quot;</ETag>"])
      for (const [i, write] of writes.entries())
        await assert.rejects(
          told(`<${root}>${etag}</${root}>`, write),
          i === 4 && root === "CopyObjectResult" ? { name: "BrokenAnswer" } : missing,
        )
})

test("a completed upload: the ETag of the document or of the header, in the right document only", async () => {
  const complete = (client: S3Client) => client.complete({ ...OBJECT, uploadId: "u", etags: ["e"] })
  const inDocument = "<CompleteMultipartUploadResult><ETag>&quot;d&quot;</ETag></CompleteMultipartUploadResult>"
  assert.deepEqual(await told(inDocument, complete), { etag: "d" })
  assert.deepEqual(await told("<CompleteMultipartUploadResult/>", complete, { etag: '"h"' }), { etag: "h" })
  await assert.rejects(told("<html><ETag>e</ETag></html>", complete, { etag: '"h"' }), {
    name: "BrokenAnswer",
    message: "the response is not a CompleteMultipartUploadResult, but a html",
  })
  const failed = "<Error><Code>InternalError</Code></Error>"
  for (const write of [complete, (client: S3Client) => client.copy(OBJECT, "e", OBJECT)])
    await assert.rejects(told(failed, write, { etag: '"h"' }), { name: "RemoteFailure", code: "InternalError" })
})

const list = (client: S3Client) => client.list("b", { prefix: "", delimiter: "" })

async function versions(client: S3Client): Promise<unknown[]> {
  const found: unknown[] = []
  for await (const { key, sizeBytes, isMarker } of client.versions("b", "")) found.push([key, sizeBytes, isMarker])
  return found
}

test("a listing that is another document, or does not say how it continues, is broken", async () => {
  const cut = "<IsTruncated>true</IsTruncated>"
  for (const inside of ["", "<NextContinuationToken></NextContinuationToken>"])
    await assert.rejects(told(`<ListBucketResult>${cut}${inside}</ListBucketResult>`, list), BrokenAnswer)
  for (const inside of ["", "<NextKeyMarker></NextKeyMarker>"])
    await assert.rejects(told(`<ListVersionsResult>${cut}${inside}</ListVersionsResult>`, versions), BrokenAnswer)
  await assert.rejects(told("<html/>", list), BrokenAnswer)
  await assert.rejects(told("<ListVersionsResult/>", list), BrokenAnswer)
  await assert.rejects(told("<ListBucketResult/>", versions), BrokenAnswer)
  const whole = `<ListBucketResult>${cut}<NextContinuationToken>t</NextContinuationToken></ListBucketResult>`
  assert.deepEqual(await told(whole, list), { keys: [], prefixes: [], next: "t" })
})

test("sizes in listings are whole numbers; delete markers have none", async () => {
  const entry = (name: string, size: string): string => `<${name}><Key>k</Key>${size}</${name}>`
  const bad = ["-1", "1.5", "1e3", "0x10", "", " 1", "NaN", "9007199254740992", "99999999999999999"]
  for (const size of [...bad.map(text => `<Size>${text}</Size>`), ""]) {
    await assert.rejects(told(`<ListBucketResult>${entry("Contents", size)}</ListBucketResult>`, list), BrokenAnswer)
    const document = `<ListVersionsResult>${entry("Version", size)}</ListVersionsResult>`
    await assert.rejects(told(document, versions), BrokenAnswer)
  }
  const good = `${entry("Version", "<Size>9007199254740991</Size>")}${entry("DeleteMarker", "")}`
  assert.deepEqual(await told(`<ListVersionsResult>${good}</ListVersionsResult>`, versions), [
    ["k", Number.MAX_SAFE_INTEGER, false],
    ["k", 0, true],
  ])
})

test("a conditional write is not repeated after a broken connection, but is after a 503; one that may not be repeated only if it was refused at once", async () => {
  let requests = 0
  let breaks = true
  let code = "ServiceUnavailable"
  const listener: RequestListener = (request, response) => {
    requests += 1
    if (requests > 1) response.writeHead(200, { etag: '"e"' }).end()
    else if (breaks) request.socket.destroy()
    else response.writeHead(503).end(`<Error><Code>${code}</Code></Error>`)
  }
  await withPeer(listener, {}, async ({ client }) => {
    const attempts = async (work: Promise<unknown>): Promise<number> => {
      await work.catch((error: unknown) => assert.ok(error instanceof Unreachable || error instanceof RemoteFailure))
      const made = requests
      requests = 0
      return made
    }
    const put = (...headers: [string, string][]) => client.put({ ...OBJECT, body: BODY, headers })
    const complete = { ...OBJECT, uploadId: "u", etags: ["e"], headers: [["if-none-match", "*"]] as const }
    assert.equal(await attempts(put(["If-None-Match", "*"])), 1)
    assert.equal(await attempts(put(["if-match", '"e"'])), 1)
    assert.equal(await attempts(client.remove("b", "k", { ifMatch: "e" })), 1)
    assert.equal(await attempts(client.complete(complete)), 1)
    assert.equal(await attempts(put()), 2)
    assert.equal(await attempts(client.remove("b", "k")), 2)
    assert.equal(await attempts(client.get("b", "k", { ifMatch: "e" })), 2)
    breaks = false
    assert.equal(await attempts(put(["if-none-match", "*"])), 2)
    assert.equal(await attempts(client.remove("b", "k", { ifMatch: "e" })), 2)
    assert.equal(await attempts(client.remove("b", "k", { isRepeatable: false })), 1)
    code = "SlowDown"
    assert.equal(await attempts(client.remove("b", "k", { isRepeatable: false })), 2)
  })
})

test("conditions: an ETag has quotes, the star for any does not", async () => {
  const sent: unknown[] = []
  await withPeer(
    ({ headers }, response) => {
      sent.push(headers["if-match"])
      response.writeHead(204).end()
    },
    {},
    async ({ client }) => {
      for (const ifMatch of ["e", "*", undefined]) await client.remove("b", "k", { ifMatch })
      assert.deepEqual(sent, ['"e"', "*", undefined])
    },
  )
})
