/**
 * Transforms of a real server: pipelines by name and as text, rules of buckets, archives, modules; their ETags, conditions,
 * ranges and permissions; and results that are kept over restarts.
 */
import assert from "node:assert/strict"
import { execFileSync } from "node:child_process"
import { createHash } from "node:crypto"
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import { gunzipSync } from "node:zlib"
import { GetObjectCommand, HeadObjectCommand } from "@aws-sdk/client-s3"
import { Client, type Call } from "../../conformance/client.js"
import { parseEndpoint, type RawResponse } from "../../conformance/raw-client.js"
import { noChromium, withChromium } from "../harness/chromium.js"
import { forTestsOfFile } from "../harness/folders.js"
import { withClient } from "../harness/sdk-client.js"
import { CREDENTIALS, ROOT, ServerProcess } from "../harness/server.js"
import { until } from "@hayloft/base/seams/clock/testing-until.js"

const REGION = "us-east-1"
const SVG = `<?xml version="1.0"?>\n<!-- drawn by hand -->\n<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10">
    <g>   <rect   x="1.0000" y="1.0000" width="8.000" height="8.000" fill="#ff0000"/>   </g>
</svg>\n`
/** Exports memory, allocate, and a transform that returns its parameters. */
const ECHO = Buffer.from(
  "0061736d01000000010e0260017f017f60047f7f7f7f017e03030200010503010002060701" +
    "7f014180080b072103066d656d6f7279020008616c6c6f636174650000097472616e73666f726d00010a1a020b0023" +
    "00230020006a24000b0c002002ad42208620 03ad840b".replaceAll(" ", ""),
  "hex",
)

/** A PNG of one pixel. */
const DOT = Buffer.from(
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==",
  "base64",
)

let server: ServerProcess
let s3: Client
let folder: string

const start = async (args: readonly string[] = ["--transforms"]): Promise<void> => {
  server = await ServerProcess.start({ folders: [join(folder, "data")], args })
  s3 = new Client(parseEndpoint(server.endpoint), CREDENTIALS, REGION)
}

forTestsOfFile(async made => {
  folder = made
  await start()
  await ok("PUT", { bucket: "art" })
  return () => server.kill()
})

async function ok(method: string, call: Call, status = 200): Promise<RawResponse> {
  const answer = await s3.call(method, call)
  assert.equal(answer.status, status, `${method} ${call.key ?? ""}?${call.query ?? ""}: ${textOf(answer)}`)
  return answer
}

const textOf = ({ body }: RawResponse): string => body.toString()
const put = (key: string, body: string | Uint8Array, headers: Record<string, string> = {}): Promise<RawResponse> =>
  ok("PUT", { bucket: "art", key, body, headers })
const get = (key: string, query = "", headers: Record<string, string> = {}, status = 200): Promise<RawResponse> =>
  ok("GET", { bucket: "art", key, query, headers }, status)
const transformed = (pipeline: string): string => `x-transform=${encodeURIComponent(pipeline)}`
const rules = (text: string): Promise<RawResponse> =>
  ok("PUT", {
    bucket: "art",
    query: "transforms",
    body: `<TransformConfiguration>${text}</TransformConfiguration>`,
    headers: md5Of(`<TransformConfiguration>${text}</TransformConfiguration>`),
  })
const md5Of = (text: string) => ({ "Content-MD5": createHash("md5").update(text).digest("base64") })
const outcomeOf = (answer: RawResponse): readonly (string | undefined)[] => [
  answer.header("x-hayloft-transform"),
  answer.header("x-hayloft-transform-reason"),
]

test("a pipeline as text: the representation has its own ETag, length, type and ranges; the original stays", async () => {
  const stored = await put("logo.svg", SVG, { "Content-Type": "image/svg+xml", "x-amz-meta-by": "me" })
  const small = await get("logo.svg", transformed("svgmin"))
  assert.ok(textOf(small).length < SVG.length && textOf(small).startsWith("<svg"), textOf(small))
  assert.deepEqual(outcomeOf(small), ["applied", undefined])
  assert.deepEqual(
    [small.header("content-length"), small.header("content-type"), small.header("x-amz-meta-by")],
    [String(small.body.length), "image/svg+xml", "me"],
  )
  const etag = small.header("etag") ?? ""
  assert.notEqual(etag, stored.header("etag"))
  assert.equal((await get("logo.svg", transformed("svgmin"))).header("etag"), etag)
  const original = await get("logo.svg", "x-transform=none")
  assert.deepEqual([textOf(original), original.header("etag")], [SVG, stored.header("etag")])
  const part = await get("logo.svg", transformed("svgmin"), { Range: "bytes=1-3" }, 206)
  assert.equal(textOf(part), textOf(small).slice(1, 4))
  assert.equal(part.header("content-range"), `bytes 1-3/${small.body.length}`)
  await get("logo.svg", transformed("svgmin"), { Range: "bytes=100000-" }, 416)
  const head = await ok("HEAD", { bucket: "art", key: "logo.svg", query: transformed("svgmin") })
  assert.deepEqual([head.header("etag"), head.header("content-length")], [etag, String(small.body.length)])
  await get("logo.svg", transformed("svgmin"), { "If-None-Match": etag }, 304)
  await get("logo.svg", transformed("svgmin"), { "If-None-Match": stored.header("etag") ?? "" }, 200)
  await get("logo.svg", transformed("svgmin"), { "If-Match": stored.header("etag") ?? "" }, 412)
  await get("logo.svg", transformed("svgmin"), { "If-Match": etag })
  const since = original.header("last-modified") ?? ""
  await get("logo.svg", transformed("svgmin"), { "If-Modified-Since": since }, 200)
  await put("logo.svg", SVG.replace("ff0000", "00ff00"), { "Content-Type": "image/svg+xml" })
  const changed = await get("logo.svg", transformed("svgmin"))
  assert.notEqual(changed.header("etag"), etag)
  assert.notEqual(textOf(changed), textOf(small))
})

test("the end that rules announce is that of the stored object, whatever the size of a representation", async () => {
  const document =
    "<LifecycleConfiguration><Rule><ID>small</ID><Status>Enabled</Status><Expiration><Days>1</Days></Expiration>" +
    "<Filter><ObjectSizeLessThan>10000</ObjectSizeLessThan></Filter></Rule></LifecycleConfiguration>"
  await ok("PUT", { bucket: "ends" })
  await ok("PUT", { bucket: "ends", query: "lifecycle", body: document, headers: md5Of(document) })
  const announced = async (key: string, query: string): Promise<readonly (boolean | string | undefined)[]> => {
    const answers = [await ok("GET", { bucket: "ends", key, query }), await ok("HEAD", { bucket: "ends", key, query })]
    return answers.flatMap(answer => [answer.header("x-amz-expiration") !== undefined, outcomeOf(answer)[0]])
  }
  for (const [key, lengthBytes, isSmall] of [["long.txt", 50_000, false] as const, ["short.txt", 500, true] as const]) {
    await ok("PUT", {
      bucket: "ends",
      key,
      body: Buffer.alloc(lengthBytes, "text "),
      headers: { "Content-Type": "text/plain" },
    })
    assert.deepEqual(await announced(key, ""), [isSmall, undefined, isSmall, undefined])
    assert.deepEqual(await announced(key, transformed("gzip")), [isSmall, "applied", isSmall, "applied"])
  }
})

test("what a step cannot change is the original, with the original's ETag and conditions", async () => {
  const broken = await put("broken.svg", "<svg><g></svg>", { "Content-Type": "image/svg+xml" })
  const answer = await get("broken.svg", transformed("svgmin"))
  assert.equal(textOf(answer), "<svg><g></svg>")
  assert.equal(outcomeOf(answer)[0], "skipped")
  assert.equal(answer.header("etag"), broken.header("etag"))
  await get("broken.svg", transformed("svgmin"), { "If-None-Match": broken.header("etag") ?? "" }, 304)
  await get("broken.svg", transformed("svgmin"), { "If-Match": broken.header("etag") ?? "" })
  const film = Buffer.alloc(3_000_000, "film")
  const stored = await put("film.mp4", film, { "Content-Type": "video/mp4" })
  const played = await get("film.mp4", transformed("gzip"), { Range: "bytes=2000000-2000003" }, 206)
  assert.deepEqual([textOf(played), ...outcomeOf(played)], ["film", "skipped", "video and audio stay as they are"])
  assert.equal(played.header("etag"), stored.header("etag"))
  const coded = await put("coded.txt", "not really", { "Content-Encoding": "br" })
  const skipped = await get("coded.txt", transformed("gzip"))
  assert.deepEqual([skipped.header("etag"), outcomeOf(skipped)[0]], [coded.header("etag"), "skipped"])
})

test("gzip and zstd: other programs read them, whole and while they are sent", async () => {
  const text = Array.from({ length: 400_000 }, (_, i) => `line ${i % 977}\n`).join("")
  assert.ok(text.length > 3_000_000)
  await put("long.txt", text, { "Content-Type": "text/plain" })
  await put("short.txt", "short", { "Content-Type": "text/plain" })
  await put("empty.txt", "", { "Content-Type": "text/plain" })
  for (const [key, expected] of [
    ["long.txt", text],
    ["short.txt", "short"],
    ["empty.txt", ""],
  ] as const) {
    const zipped = await get(key, transformed("gzip"))
    assert.equal(zipped.header("content-encoding"), "gzip")
    assert.equal(zipped.header("content-length"), key === "long.txt" ? undefined : String(zipped.body.length))
    assert.equal(gunzipSync(zipped.body).toString(), expected)
    assert.equal(execFileSync("gzip", ["-dc"], { input: zipped.body, maxBuffer: 1e8 }).toString(), expected)
    const packed = await get(key, transformed("zstd"))
    assert.equal(packed.header("content-encoding"), "zstd")
    assert.ok(packed.body.length < expected.length + 20)
  }
  const head = await ok("HEAD", { bucket: "art", key: "long.txt", query: transformed("gzip") })
  assert.deepEqual([head.header("content-length"), head.header("content-encoding")], [undefined, "gzip"])
  const ranged = await get("long.txt", transformed("gzip"), { Range: "bytes=0-9" })
  assert.equal(gunzipSync(ranged.body).toString(), text)
  await get("long.txt", transformed("gzip"), { "If-None-Match": ranged.header("etag") ?? "" }, 304)
})

test("an image is resized and converted; what is no image stays as it is", async t => {
  if (!existsSync(join(ROOT, "node_modules/sharp"))) return t.skip("the package sharp is not installed")
  await put("dot.png", DOT, { "Content-Type": "image/png" })
  const webp = await get("dot.png", transformed("image,width=1,format=webp"))
  assert.deepEqual([webp.header("content-type"), webp.body.subarray(0, 4).toString()], ["image/webp", "RIFF"])
  assert.deepEqual(outcomeOf(webp), ["applied", undefined])
  await put("fake.png", "no image", { "Content-Type": "image/png" })
  const fake = await get("fake.png", transformed("image,width=1"))
  assert.deepEqual([textOf(fake), outcomeOf(fake)[0]], ["no image", "skipped"])
})

test("members of archives are read as objects of their own, and listed in pages", async () => {
  const root = join(folder, "tree")
  mkdirSync(join(root, "a"), { recursive: true })
  const big = Buffer.alloc(2_000_000, "0123456789")
  writeFileSync(join(root, "a/logo.svg"), SVG)
  writeFileSync(join(root, "a/big.bin"), big)
  writeFileSync(join(root, "ü,|.txt"), "odd name")
  execFileSync("tar", ["-C", root, "-cf", join(folder, "t.tar"), "."])
  await put("t.tar", readFileSync(join(folder, "t.tar")), { "Content-Type": "application/x-tar" })
  const member = await get("t.tar", transformed("tar,member=a/big.bin"))
  assert.deepEqual(Buffer.from(member.body), big)
  const part = await get("t.tar", transformed("tar,member=a/big.bin"), { Range: "bytes=1000003-1000006" }, 206)
  assert.equal(textOf(part), "3456")
  assert.equal(part.header("content-range"), "bytes 1000003-1000006/2000000")
  const odd = await get("t.tar", transformed(`tar,member=${encodeURIComponent("ü,|.txt")}`))
  assert.deepEqual([textOf(odd), odd.header("content-type")], ["odd name", "text/plain; charset=utf-8"])
  const small = await get("t.tar", transformed("tar,member=a/logo.svg|svgmin"))
  assert.ok(textOf(small).startsWith("<svg") && small.body.length < SVG.length)
  assert.notEqual(small.header("etag"), member.header("etag"))
  await get("t.tar", transformed("tar,member=a/none"), {}, 404)
  const list: unknown = JSON.parse(textOf(await get("t.tar", transformed("tar,prefix=a/"))))
  assert.match(JSON.stringify(list), /"path":"a\/big.bin","kind":"file","sizeBytes":2000000/)
  await put("not.tar", "x".repeat(2_000))
  const refused = await get("not.tar", transformed("tar"), {}, 400)
  assert.match(textOf(refused), /InvalidRequest/)
})

test("a rule changes what a plain GET returns; results are kept, and made again for another version", async () => {
  await put("icons/a.svg", SVG, { "Content-Type": "image/svg+xml" })
  await put("docs/a.txt", "text ".repeat(1_000), { "Content-Type": "text/plain" })
  await rules(
    `<Pipeline><Name>tiny</Name><Steps>svgmin</Steps></Pipeline>
     <Rule><Prefix>icons/</Prefix><Suffix>.svg</Suffix><When>GET</When><Steps>svgmin</Steps></Rule>
     <Rule><Prefix>docs/</Prefix><When>PUT</When><Steps>gzip</Steps></Rule>`,
  )
  const shown = textOf(await ok("GET", { bucket: "art", query: "transforms" }))
  assert.match(shown, /<Pipeline><Name>tiny<\/Name><Steps>svgmin<\/Steps><\/Pipeline><Rule><Prefix>icons\/<\/Prefix>/)
  const first = await get("icons/a.svg")
  assert.deepEqual([first.body.length < SVG.length, ...outcomeOf(first)], [true, "applied", undefined])
  const again = await get("icons/a.svg", "", { Range: "bytes=0-3" }, 206)
  assert.deepEqual([textOf(again), again.header("etag")], ["<svg", first.header("etag")])
  assert.equal(textOf(await get("icons/a.svg", "x-transform=none")), SVG)
  assert.deepEqual(outcomeOf(await get("logo.svg")), [undefined, undefined])
  // A copy is one of the original.
  await ok("PUT", { bucket: "art", key: "copy.svg", headers: { "x-amz-copy-source": "/art/icons/a.svg" } })
  assert.equal(textOf(await get("copy.svg")), SVG)
  const plain = await get("docs/a.txt")
  assert.deepEqual(
    [plain.body.length, plain.header("vary"), plain.header("content-encoding")],
    [5_000, "Accept-Encoding", undefined],
  )
  const zipped = await get("docs/a.txt", "", { "Accept-Encoding": "br, gzip;q=0.5" })
  assert.equal(gunzipSync(zipped.body).toString(), "text ".repeat(1_000))
  assert.notEqual(zipped.header("etag"), plain.header("etag"))
  const fresh = await get("docs/a.txt", "", { "If-None-Match": plain.header("etag") ?? "" }, 304)
  assert.equal(fresh.header("vary"), "Accept-Encoding")
  await put("icons/least.svg", `<svg xmlns="http://www.w3.org/2000/svg"/>`, { "Content-Type": "image/svg+xml" })
  for (let i = 0; i < 2; i += 1) {
    const least = await get("icons/least.svg", "", { Range: "bytes=0-3" }, 206)
    assert.deepEqual([textOf(least), outcomeOf(least)[0]], ["<svg", "skipped"])
  }
  const named = await get("logo.svg", "x-transform=tiny")
  assert.equal(outcomeOf(named)[0], "applied")
  await put("icons/a.svg", SVG.replace("8.000", "7.000"), { "Content-Type": "image/svg+xml" })
  assert.notEqual((await get("icons/a.svg")).header("etag"), first.header("etag"))
})

test("a rule on PUT makes the result in the background; it is there after a restart", async () => {
  await rules(`<Rule><Prefix>p/</Prefix><When>PUT</When><Steps>svgmin</Steps></Rule>`)
  const before = await madeBy(server)
  await put("p/x.svg", SVG.replace("8.000", "6.000"), { "Content-Type": "image/svg+xml" })
  await until("the result is made", async () => (await madeBy(server)) > before)
  const first = await get("p/x.svg")
  assert.equal(await madeBy(server), before + 1, "the reader found it")
  await server.kill()
  await start()
  assert.equal((await get("p/x.svg")).header("etag"), first.header("etag"))
  assert.equal(await madeBy(server), 0, "it was kept")
})

async function madeBy({ adminEndpoint }: ServerProcess): Promise<number> {
  const text = await (await fetch(`${adminEndpoint}/metrics`)).text()
  return Number(/^hayloft_transforms_total\{outcome="made"\} (\d+)$/m.exec(text)?.[1] ?? "0")
}

test("the command line reads representations, and signs URLs for them", async () => {
  const shown = await server.hayloft(["cat", "--transform", "svgmin", "s3://art/logo.svg"])
  assert.ok(shown.stdout.startsWith("<svg") && shown.stdout.length < SVG.length, shown.stderr)
  const signed = await server.hayloft(["presign", "--transform", "svgmin", "s3://art/logo.svg"])
  assert.equal(await (await fetch(signed.stdout.trim())).text(), shown.stdout)
  const long = await server.hayloft(["cat", "--transform", "gzip", "s3://art/long.txt"])
  assert.equal(long.code, 0, long.stderr)
  const both = await server.hayloft(["cat", "--follow", "--transform", "gzip", "s3://art/logo.svg"])
  assert.match(both.stderr, /--follow/)
  const write = await server.hayloft(["presign", "--method", "PUT", "--transform", "gzip", "s3://art/logo.svg"])
  assert.match(write.stderr, /--transform: only for reading/)
})

/** Puts a module by the admin API; returns the status of the answer. */
async function putModule(name: string, bytes: Uint8Array, contentType?: string): Promise<number> {
  const query = contentType === undefined ? "" : `?contentType=${encodeURIComponent(contentType)}`
  const headers = { authorization: `Bearer ${await server.adminToken()}`, "content-type": "application/wasm" }
  const address = `${server.adminEndpoint}/v1/transforms/modules/${name}${query}`
  return (await fetch(address, { method: "PUT", headers, body: Buffer.from(bytes) })).status
}

test("a module of an administrator is a step; without it, requests that name it are refused", async () => {
  const file = join(folder, "echo.wasm")
  writeFileSync(file, ECHO)
  await get("logo.svg", transformed("echo,a=1"), {}, 400)
  const added = await server.hayloft(["transform", "put", "echo", file, "--content-type", "text/x-echo"])
  assert.equal(added.code, 0, added.stderr)
  const answer = await get("logo.svg", transformed("echo,a=1,b=%41"))
  assert.deepEqual([textOf(answer), answer.header("content-type")], ["a=1,b=%41", "text/x-echo"])
  assert.equal(await putModule("echo", ECHO, "text/y-echo"), 200)
  const retyped = await get("logo.svg", transformed("echo,a=1,b=%41"))
  assert.equal(retyped.header("content-type"), "text/y-echo")
  assert.notEqual(retyped.header("etag"), answer.header("etag"))
  assert.equal(await putModule("echo", ECHO.subarray(0, 40)), 400)
  assert.equal((await server.hayloft(["transform", "remove", "echo"])).code, 0)
  const refused = await get("logo.svg", transformed("echo,a=1"), {}, 400)
  assert.match(textOf(refused), /There is no transform .quot;echo/)
})

test("a browser decodes both codings, also of many pieces; Amazon's SDK accepts what a rule returns", async t => {
  const text = Array.from({ length: 400_000 }, (_, i) => `line ${i % 977}\n`).join("")
  await put("browser.txt", text, { "Content-Type": "text/plain" })
  await rules(`<Rule><Prefix>browser</Prefix><When>GET</When><Steps>gzip</Steps></Rule>`)
  await withClient(server, async client => {
    const { Body, ETag } = await client.send(new GetObjectCommand({ Bucket: "art", Key: "browser.txt" }))
    assert.equal(await Body?.transformToString(), text)
    const head = await client.send(new HeadObjectCommand({ Bucket: "art", Key: "browser.txt" }))
    assert.equal(head.ETag, ETag)
  })
  if (noChromium !== false) return t.skip(noChromium)
  await withChromium(async browser => {
    const page = await browser.newPage()
    await page.goto(`${server.endpoint}${s3.presign("GET", { bucket: "art", key: "short.txt" })}`)
    for (const query of ["", "x-transform=gzip", "x-transform=zstd"]) {
      const target = s3.presign("GET", { bucket: "art", key: "browser.txt", query })
      // A page that shows so many lines would be far more work than to decode them.
      const [body, coding] = await page.evaluate(async address => {
        const answer = await fetch(address)
        return [await answer.text(), answer.headers.get("content-encoding")] as const
      }, target)
      assert.equal(body, text, query)
      assert.equal(coding, query.endsWith("zstd") ? "zstd" : "gzip")
    }
  })
})

test("bad pipelines and documents are refused with what is wrong; other methods do not take the parameter", async () => {
  for (const [pipeline, fault] of [
    ["SVG", /no such step/],
    ["image,width=0", /width is a number/],
    ["gzip|svgmin", /last step/],
  ] as const)
    assert.match(textOf(await get("logo.svg", transformed(pipeline), {}, 400)), fault)
  await get("logo.svg", `${transformed("svgmin")}&partNumber=1`, {}, 400)
  assert.ok((await s3.call("PUT", { bucket: "art", key: "x", query: "x-transform=svgmin", body: "" })).status >= 400)
  const faulty = [
    "",
    "<Rule><When>NEVER</When><Steps>svgmin</Steps></Rule>",
    "<Rule><When>GET</When><Steps>tar</Steps></Rule>",
    "<Rule><When>GET</When><Steps>nothing at all</Steps></Rule>",
    "<Pipeline><Name>gzip</Name><Steps>svgmin</Steps></Pipeline>",
    "<Pipeline><Name>a</Name><Steps>svgmin</Steps></Pipeline><Pipeline><Name>a</Name><Steps>gzip</Steps></Pipeline>",
  ]
  for (const text of faulty) {
    const body = `<TransformConfiguration>${text}</TransformConfiguration>`
    const { status } = await s3.call("PUT", { bucket: "art", query: "transforms", body, headers: md5Of(body) })
    assert.equal(status, 400, text)
  }
})

test("who may not read the original reads no representation; nobody unsigned chooses what is computed", async () => {
  const policy = JSON.stringify({
    Version: "2012-10-17",
    Statement: [{ Effect: "Allow", Principal: "*", Action: "s3:GetObject", Resource: "arn:aws:s3:::open/*" }],
  })
  await ok("PUT", { bucket: "open" })
  await ok("DELETE", { bucket: "open", query: "publicAccessBlock" }, 204)
  await ok("PUT", { bucket: "open", query: "policy", body: policy }, 204)
  const body = `<TransformConfiguration><Pipeline><Name>tiny</Name><Steps>svgmin</Steps></Pipeline></TransformConfiguration>`
  await ok("PUT", { bucket: "open", query: "transforms", body, headers: md5Of(body) })
  await ok("PUT", { bucket: "open", key: "a.svg", body: SVG, headers: { "Content-Type": "image/svg+xml" } })
  const anonymous = (bucket: string, key: string, query: string) =>
    s3.call("GET", { bucket, key, query, anonymous: true })
  assert.equal((await anonymous("open", "a.svg", "x-transform=tiny")).status, 200)
  assert.equal((await anonymous("open", "a.svg", transformed("svgmin"))).status, 403)
  assert.equal((await anonymous("art", "logo.svg", "x-transform=tiny")).status, 403)
})

test("while transforms are off they are refused by name, and rules have no effect", async () => {
  await rules(`<Rule><Suffix>.svg</Suffix><When>GET</When><Steps>svgmin</Steps></Rule>`)
  await server.kill()
  await start([])
  assert.equal((await s3.call("GET", { bucket: "art", key: "logo.svg", query: "x-transform=svgmin" })).status, 501)
  assert.equal((await get("logo.svg")).header("x-hayloft-transform"), undefined)
  const body = `<TransformConfiguration><Pipeline><Name>a</Name><Steps>gzip</Steps></Pipeline></TransformConfiguration>`
  const refused = await s3.call("PUT", { bucket: "art", query: "transforms", body, headers: md5Of(body) })
  assert.equal(refused.status, 501)
})
