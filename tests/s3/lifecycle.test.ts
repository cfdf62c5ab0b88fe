/** Lifecycle rules in requests: what they cost, in which days they count, and recipes. Conformance rows hold the rest. */
import { test } from "node:test"
import assert from "node:assert/strict"
import { readFile } from "node:fs/promises"
import {
  CreateBucketCommand,
  GetBucketLifecycleConfigurationCommand,
  PutBucketLifecycleConfigurationCommand,
  S3Client,
} from "@aws-sdk/client-s3"
import type { BucketLifecycleConfiguration } from "@aws-sdk/client-s3"
import { Client } from "../../conformance/client.js"
import { md5Base64 } from "../../conformance/checksums.js"
import { parseEndpoint } from "../../conformance/raw-client.js"
import { text } from "../../conformance/xml.js"
import { fail } from "@hayloft/base/failures.js"
import type { S3Services } from "@hayloft/protocols/s3/index.js"
import { ROOT } from "../harness/server.js"
import { OWNER, serveModel } from "./over-model.js"
import { Spy } from "./spy.js"

const DAY_MS = 86_400_000
const EXPIRATION = /^expiry-date="([^"]+)", rule-id="r"$/
const rules = (inside: string): string =>
  `<LifecycleConfiguration><Rule><ID>r</ID><Filter/><Status>Enabled</Status>${inside}</Rule></LifecycleConfiguration>`
const expiring = (days: number): string => rules(`<Expiration><Days>${days}</Days></Expiration>`)

async function withClient(
  variations: Parameters<typeof serveModel>[0],
  use: (client: Client, put: (bucket: string, xml: string) => Promise<void>) => Promise<void>,
): Promise<void> {
  const served = await serveModel(variations)
  try {
    const client = new Client(
      parseEndpoint(served.endpoint),
      { accessKey: OWNER.id, secretKey: OWNER.secret },
      "us-east-1",
    )
    const put = async (bucket: string, body: string): Promise<void> => {
      const headers = { "Content-MD5": md5Base64(Buffer.from(body)) }
      assert.equal((await client.call("PUT", { bucket, query: "lifecycle", body, headers })).status, 200)
    }
    await use(client, put)
  } finally {
    await served.stop()
  }
}

test("a bucket without rules costs no further call, and rules are read once for all requests", async () => {
  const spy = new Spy()
  await withClient({ services: services => spy.over(services) }, async (client, put) => {
    const callsOf = async (bucket: string, key: string): Promise<readonly string[]> => {
      spy.calls.length = 0
      for (const [method, query] of [["PUT"], ["GET"], ["HEAD"], ["POST", "uploads"]] as const) {
        const call = { bucket, key, ...(query !== undefined && { query }) }
        assert.equal((await client.call(method, call)).status, 200, method)
      }
      const headers = { "x-amz-copy-source": `/${bucket}/${key}` }
      assert.equal((await client.call("PUT", { bucket, key: `${key} copy`, headers })).status, 200)
      return [...spy.calls]
    }
    await client.call("PUT", { bucket: "plain" })
    await client.call("PUT", { bucket: "ruled" })
    await put("ruled", expiring(1))
    const plain = await callsOf("plain", "k")
    assert.ok(!plain.includes("buckets.setting"), plain.join(" "))
    const first = await callsOf("ruled", "k")
    assert.equal(first.filter(call => call === "buckets.setting").length, 1, first.join(" "))
    // The copy is read again, because its tags came with it.
    assert.deepEqual(await callsOf("ruled", "l"), [...plain, "objects.get"])
  })
})

test("rules count in the days that the store was started with", async () => {
  const dayMs = 10_000
  await withClient({ lifecycleDays: { dayMs } }, async (client, put) => {
    await client.call("PUT", { bucket: "ruled" })
    await put("ruled", expiring(3))
    const beganMs = Math.floor(Date.now() / 1000) * 1000
    const answer = await client.call("PUT", { bucket: "ruled", key: "k" })
    const dueMs = Date.parse(EXPIRATION.exec(answer.header("x-amz-expiration") ?? "")?.[1] ?? "")
    assert.equal(dueMs % dayMs, 0)
    assert.ok(dueMs > beganMs + 3 * dayMs && dueMs <= Date.now() + 4 * dayMs, String(dueMs - beganMs))
  })
})

test("what is due after the year 9999 is not announced, and the object is stored", async () => {
  await withClient({}, async (client, put) => {
    await client.call("PUT", { bucket: "ruled" })
    const abort =
      "<AbortIncompleteMultipartUpload><DaysAfterInitiation>2147483647</DaysAfterInitiation></AbortIncompleteMultipartUpload>"
    for (const xml of [expiring(2_147_483_647), expiring(8000 * 366), rules(abort)]) {
      await put("ruled", xml)
      for (const [method, query] of [["PUT"], ["GET"], ["POST", "uploads"]] as const) {
        const answer = await client.call(method, { bucket: "ruled", key: "k", ...(query !== undefined && { query }) })
        assert.equal(answer.status, 200)
        assert.deepEqual([answer.header("x-amz-expiration"), answer.header("x-amz-abort-date")], [undefined, undefined])
      }
    }
  })
})

test("a rule that is removed or replaced is no longer announced by the next request", async () => {
  await withClient({}, async (client, put) => {
    const bucket = "ruled"
    await client.call("PUT", { bucket })
    await client.call("PUT", { bucket, key: "k" })
    const head = async () => (await client.call("HEAD", { bucket, key: "k" })).header("x-amz-expiration")
    const daysLeft = async () => {
      const date = Date.parse(EXPIRATION.exec((await head()) ?? "")?.[1] ?? "")
      return Math.floor((date - Date.now()) / DAY_MS)
    }
    assert.equal(await head(), undefined)
    await put(bucket, expiring(5))
    assert.equal(await daysLeft(), 5)
    await put(bucket, expiring(9))
    assert.equal(await daysLeft(), 9)
    assert.equal((await client.call("DELETE", { bucket, query: "lifecycle" })).status, 204)
    assert.equal(await head(), undefined)
  })
})

test("the ids that rules get are not those of another bucket", async () => {
  await withClient({}, async (client, put) => {
    const ids: (string | undefined)[] = []
    for (const bucket of ["one-bucket", "another"]) {
      await client.call("PUT", { bucket })
      await put(bucket, expiring(1).replace("<ID>r</ID>", ""))
      ids.push(text((await client.call("GET", { bucket, query: "lifecycle" })).text, "ID"))
    }
    assert.match(ids[0] ?? "", /^[\w+/]{48}$/)
    assert.notEqual(ids[0], ids[1])
  })
})

test("a copy that was made is answered as such, also if it cannot be read again for its header", async () => {
  const services = (model: S3Services): S3Services => ({
    ...model,
    objects: new Proxy(model.objects, {
      get: (target, name) => {
        if (name === "get") return () => Promise.reject(fail("tooManyInFlight"))
        const value: unknown = Reflect.get(target, name, target)
        return typeof value === "function" ? (value.bind(target) as unknown) : value
      },
    }),
  })
  await withClient({ services }, async (client, put) => {
    await client.call("PUT", { bucket: "ruled" })
    await put("ruled", expiring(1))
    assert.equal((await client.call("PUT", { bucket: "ruled", key: "k" })).status, 200)
    const headers = { "x-amz-copy-source": "/ruled/k" }
    const copied = await client.call("PUT", { bucket: "ruled", key: "copy", headers })
    assert.deepEqual([copied.status, copied.header("x-amz-expiration")], [200, undefined])
  })
})

test("the rules in the recipes are accepted as they are", async () => {
  const page = await readFile(`${ROOT}docs/guide/lifecycle.md`, "utf8")
  const recipes = Array.from(page.matchAll(/```json\n([^`]+)```/g), ([, text = ""]) => text)
  assert.ok(recipes.length >= 4, `${recipes.length} recipes`)
  const mapsArchives = (model: S3Services) => ({
    ...model,
    classes: { require: () => undefined, use: () => undefined },
  })
  const served = await serveModel({ services: mapsArchives })
  const credentials = { accessKeyId: OWNER.id, secretAccessKey: OWNER.secret }
  const s3 = new S3Client({ endpoint: served.endpoint, region: "us-east-1", forcePathStyle: true, credentials })
  try {
    const Bucket = "recipes"
    await s3.send(new CreateBucketCommand({ Bucket }))
    for (const recipe of recipes) {
      const LifecycleConfiguration = JSON.parse(recipe) as BucketLifecycleConfiguration
      await s3.send(new PutBucketLifecycleConfigurationCommand({ Bucket, LifecycleConfiguration }))
      const shown = await s3.send(new GetBucketLifecycleConfigurationCommand({ Bucket }))
      assert.deepEqual(shown.Rules, LifecycleConfiguration.Rules)
    }
  } finally {
    s3.destroy()
    await served.stop()
  }
})
