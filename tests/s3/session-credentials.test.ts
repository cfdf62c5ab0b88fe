/**
 * Temporary credentials of a role over S3, in every form of signature: what the role and the session policy allow
 * and deny, and how the credentials end.
 */
import assert from "node:assert/strict"
import { after, before, test } from "node:test"
import { Client } from "../../conformance/client.js"
import { formBody, post, signForm } from "../../conformance/forms.js"
import { parseEndpoint, type RawResponse } from "../../conformance/raw-client.js"
import { streamedPut, type Mode } from "../../conformance/streaming.js"
import type { AssumeRequest, IssuedSession } from "@hayloft/access/index.js"
import { attemptsWithoutWaits } from "@hayloft/access/secrets/testing-attempts.js"
import type { AccessKeyId } from "@hayloft/base/ids.js"
import { accountNumberOf } from "@hayloft/engine/format/accounts/account-number.js"
import { AccessWorld, HOUR_MS, NO_CONTEXT, ROOT_KEY, trust } from "../access/world.js"
import { serveModel, type Served } from "./over-model.js"
import { allow, policyOf } from "./people.js"

const ROLE = "writer"
const NUMBER = accountNumberOf(ROOT_KEY.accountId)
const IN = (folder: string): string => `arn:aws:s3:::bucket/${folder}/*`
const BODY = Buffer.from("body")
const OBJECTS = ["s3:GetObject", "s3:PutObject"]

const world = await AccessWorld.open()
let [served, bob]: [Served | undefined, AccessKeyId] = [undefined, ROOT_KEY.accessKeyId]

function clientOf(accessKey: string, secretKey: string, sessionToken?: string): Client {
  assert.ok(served)
  const credentials = { accessKey, secretKey, ...(sessionToken !== undefined && { sessionToken }) }
  return new Client(parseEndpoint(served.endpoint), credentials, "us-east-1")
}

const signedBy = ({ accessKeyId, secret, token }: IssuedSession): Client => clientOf(accessKeyId, secret, token)

async function assume(change: Partial<AssumeRequest> = {}): Promise<IssuedSession> {
  const request = {
    roleArn: `arn:aws:iam::${NUMBER}:role/${ROLE}`,
    sessionName: "work",
    seconds: undefined,
    policy: undefined,
    policyArns: [],
    tags: [],
    context: NO_CONTEXT,
    nowMs: Date.now(),
    ...change,
  }
  return world.access.sessions.assume(await world.mustKnow(bob, undefined, Date.now()), request)
}

function sendForm({ credentials }: Client, key: string): Promise<RawResponse> {
  assert.ok(served)
  const { sessionToken } = credentials
  const token = sessionToken === undefined ? [] : [["x-amz-security-token", sessionToken] as const]
  const fields = [["key", key] as const, ...token]
  const conditions = fields.map(([name]) => ["starts-with", `$${name}`, ""])
  const signed = signForm(credentials, { bucket: "bucket", conditions })
  return post({ endpoint: served.endpoint, bucket: "bucket", body: formBody([...fields, ...signed], { bytes: BODY }) })
}

const inChunks =
  (mode: Mode) =>
  (client: Client, key: string): Promise<RawResponse> =>
    streamedPut(client, {
      bucket: "bucket",
      key,
      mode,
      body: BODY,
      ...(mode !== "signed" && { trailer: "CRC32" as const, headers: [["x-amz-sdk-checksum-algorithm", "CRC32"]] }),
    })

const FORMS: Readonly<Record<string, (client: Client, key: string) => Promise<RawResponse>>> = {
  header: (client, key) => client.call("PUT", { bucket: "bucket", key, body: BODY }),
  query: (client, key) => client.send("PUT", client.presign("PUT", { bucket: "bucket", key }), { body: BODY }),
  form: sendForm,
  "signed chunks": inChunks("signed"),
  "signed chunks and trailer": inChunks("signed-trailer"),
  "chunks and trailer": inChunks("unsigned-trailer"),
  reading: (client, key) => client.call("GET", { bucket: "bucket", key }),
}

async function inEachForm(client: Client, key: string, status: number, code = ""): Promise<void> {
  for (const [form, send] of Object.entries(FORMS)) {
    const { status: result, text } = await send(client, key)
    assert.equal(result === 204 ? 200 : result, status, `${form}: ${text}`)
    if (code !== "") assert.match(text, new RegExp(`<Code>${code}</Code>`), form)
  }
}

before(async () => {
  const { identities } = world.access
  bob = (await world.user("bob", "sts:AssumeRole")).id
  const role = await world.create("role", ROLE, trust({ AWS: `arn:aws:iam::${NUMBER}:root` }))
  await identities.putInline(role, "write", policyOf(allow(OBJECTS, [IN("wide"), IN("narrow")])))
  served = await serveModel({ accounts: world.access.accounts, attempts: attemptsWithoutWaits() })
  const { status } = await clientOf(ROOT_KEY.accessKeyId, ROOT_KEY.secret).call("PUT", { bucket: "bucket" })
  assert.equal(status, 200)
})

after(() => served?.stop())

test("a session may do what its role may, and nothing else", async () => {
  const client = signedBy(await assume())
  await inEachForm(client, "wide/a", 200)
  await inEachForm(client, "narrow/a", 200)
  await inEachForm(client, "else/a", 403, "AccessDenied")
})

test("the session policy restricts the permissions of the role, and never extends them", async () => {
  const client = signedBy(await assume({ policy: policyOf(allow("s3:*", [IN("narrow"), IN("else")])) }))
  await inEachForm(client, "narrow/b", 200)
  await inEachForm(client, "wide/b", 403, "AccessDenied")
  await inEachForm(client, "else/b", 403, "AccessDenied")
})

test("an expired session, a key without its token, and a token with another key are refused", async () => {
  const session = await assume({ nowMs: Date.now() - 2 * HOUR_MS })
  await inEachForm(signedBy(session), "wide/c", 400, "ExpiredToken")
  const { accessKeyId, secret, token } = await assume()
  await inEachForm(clientOf(accessKeyId, secret), "wide/c", 403, "InvalidAccessKeyId")
  await inEachForm(clientOf(ROOT_KEY.accessKeyId, ROOT_KEY.secret, token), "wide/c", 400, "InvalidToken")
  await inEachForm(clientOf(accessKeyId, "another secret", token), "wide/c", 403, "SignatureDoesNotMatch")
})

test("a session is refused from the next request after its role or key is removed", async () => {
  const client = signedBy(await assume())
  await inEachForm(client, "wide/d", 200)
  await world.access.accounts.setKeyActive(bob, false)
  await inEachForm(client, "wide/d", 400, "InvalidToken")
  await world.access.accounts.setKeyActive(bob, true)
  await inEachForm(client, "wide/d", 200)
  const role = world.ref("role", ROLE)
  await world.access.identities.removeInline(role, "write")
  await inEachForm(client, "wide/d", 403, "AccessDenied")
  await world.access.identities.remove(role)
  await inEachForm(client, "wide/d", 400, "InvalidToken")
})
