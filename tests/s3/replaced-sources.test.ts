/**
 * Sources of copies that are replaced once the caller was allowed to read them, and before they are read: over the engine and
 * over the model.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { RealRandom } from "@hayloft/base/seams/random/real.js"
import { Machine } from "@hayloft/node/testing-engine.js"
import { createModel } from "../../sim/model/index.js"
import { onceDecided } from "./once-decided.js"
import { handleModel, userKeyOf } from "./over-model.js"
import { allow, keyOf, People, policyOf, type Sent } from "./people.js"

const [BUCKETS, IN_BUCKETS] = ["arn:aws:s3:::*", "arn:aws:s3:::*/*"]
const OPEN = { StringEquals: { "s3:ExistingObjectTag/open": "yes" } }
const COPIER = policyOf(
  allow("s3:GetObject", IN_BUCKETS, OPEN),
  allow(["s3:PutObject", "s3:GetObjectTagging", "s3:PutObjectTagging"], IN_BUCKETS),
  allow("s3:ListBucket", BUCKETS),
)
const UNTAGGED = policyOf(allow(["s3:GetObject", "s3:PutObject", "s3:ListBucket"], "*"))
const keys = [userKeyOf(keyOf("copier"), "copier", [COPIER]), userKeyOf(keyOf("untagged"), "untagged", [UNTAGGED])]
const SOURCE = ["x-amz-copy-source", "/bucket/source"]
/** The headers of a source that the copier may read, or may not. */
const tagged = (open: string) => ["x-amz-tagging", `open=${open}`]
const codeOf = ({ status, text }: Sent) => [status, /<Code>(.*)<\/Code>/.exec(text)?.[1]]

const machine = new Machine({ devices: 1 })
const worlds = {
  engine: (await machine.open()).services,
  model: createModel(new RealClock(), new RealRandom()),
}

for (const [name, services] of Object.entries(worlds)) {
  const { handler } = handleModel({ services: model => ({ ...model, ...services }), keys })
  const people = new People(handler)
  const expect = people.expect.bind(people)
  const { objects } = services
  const put = (body: string, headers: readonly string[]) =>
    expect(200, "owner", "PUT /bucket/source", { body, headers })
  const isThere = async (key: string) => (await people.send("owner", `HEAD /bucket/${key}`)).status === 200

  await expect(200, "owner", "PUT /bucket")

  test(`${name}: a copy is of the version that the caller may read, or refused`, async () => {
    const copy = () => people.send("copier", "PUT /bucket/copy", { headers: SOURCE })
    await put("first", tagged("yes"))
    onceDecided(objects, "source", () => put("hidden", tagged("no")))
    assert.deepEqual(codeOf(await copy()), [403, "AccessDenied"])
    assert.equal(await isThere("copy"), false)
    await put("first", tagged("yes"))
    onceDecided(objects, "source", () => put("newer", ["x-amz-tagging", "open=yes&of=newer"]))
    assert.equal((await copy()).status, 200)
    assert.equal((await expect(200, "owner", "GET /bucket/copy")).text, "newer")
    assert.match((await expect(200, "owner", "GET /bucket/copy?tagging")).text, /<Key>of<\/Key><Value>newer</)
    await expect(204, "owner", "DELETE /bucket/copy")
  })

  test(`${name}: a part is copied from the version that the caller may read, or refused`, async () => {
    const begun = await expect(200, "owner", "POST /bucket/upload?uploads")
    const uploadId = /<UploadId>([^<]+)</.exec(begun.text)?.[1] ?? ""
    const copy = () =>
      people.send("copier", `PUT /bucket/upload?partNumber=1&uploadId=${uploadId}`, { headers: SOURCE })
    const sizes = async () => {
      const { text } = await expect(200, "owner", `GET /bucket/upload?uploadId=${uploadId}`)
      return [...text.matchAll(/<Size>(\d+)</g)].map(([, size]) => size)
    }
    await put("first", tagged("yes"))
    onceDecided(objects, "source", () => put("hidden one", tagged("no")))
    assert.deepEqual(codeOf(await copy()), [403, "AccessDenied"])
    assert.deepEqual(await sizes(), [])
    await put("first", tagged("yes"))
    onceDecided(objects, "source", () => put("a newer one", tagged("yes")))
    assert.equal((await copy()).status, 200)
    assert.deepEqual(await sizes(), ["11"])
  })

  test(`${name}: a copy without tags is of a source that has none`, async () => {
    await put("plain", [])
    onceDecided(objects, "source", () => put("labelled", tagged("yes")))
    assert.deepEqual(codeOf(await people.send("untagged", "PUT /bucket/copy", { headers: SOURCE })), [
      403,
      "AccessDenied",
    ])
    assert.equal(await isThere("copy"), false)
  })

  test(`${name}: a source that is replaced again and again is not copied: the client tries again later`, async () => {
    await put("first", tagged("yes"))
    let body = ""
    const replace = async () => {
      onceDecided(objects, "source", replace)
      await put((body += "x"), tagged("yes"))
    }
    onceDecided(objects, "source", replace)
    const answer = await people.send("copier", "PUT /bucket/copy", { headers: SOURCE })
    assert.deepEqual(codeOf(answer), [409, "ConditionalRequestConflict"])
    assert.equal(await isThere("copy"), false)
    onceDecided(objects, "source", async () => undefined)
  })
}
