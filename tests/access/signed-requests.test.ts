/** Keys and sessions in S3 requests: in the header, in the query and in forms, until they are no longer valid. */
import assert from "node:assert/strict"
import { presign, signRequest, UNSIGNED_PAYLOAD, type IssuedSession } from "@hayloft/access/index.js"
import { FORM_BOUNDARY, formBody, signForm } from "../../conformance/forms.js"
import { ask, type HandlerRequest, type Told } from "../s3/ask.js"
import { handleModel } from "../s3/over-model.js"
import { AccessWorld, ROOT_KEY, testBothWays } from "./world.js"

interface Signer {
  readonly id: string
  readonly secret: string
  readonly token?: string
}

const HOST = ["host", "localhost"]
const signerOf = ({ accessKeyId, secret, token }: IssuedSession): Signer => ({ id: accessKeyId, secret, token })
const termsOf = ({ id, secret }: Signer) => ({ accessKeyId: id, secret, region: "us-east-1", service: "s3" })

function inHeader(signer: Signer): HandlerRequest {
  const rawHeaders = signer.token === undefined ? HOST : [...HOST, "x-amz-security-token", signer.token]
  const request = { method: "GET", rawTarget: "/", rawHeaders }
  return { ...request, rawHeaders: signRequest(request, UNSIGNED_PAYLOAD, termsOf(signer), Date.now()).rawHeaders }
}

function inQuery(signer: Signer): HandlerRequest {
  const query = signer.token === undefined ? "" : `?X-Amz-Security-Token=${signer.token}`
  const request = { method: "GET", rawTarget: `/${query}`, rawHeaders: HOST }
  return { ...request, rawTarget: presign(request, 600, termsOf(signer), Date.now()) }
}

function inForm({ id, secret, token }: Signer): HandlerRequest {
  const extra = token === undefined ? [] : [["x-amz-security-token", token] as const]
  const conditions = [{ key: "k" }, ...extra.map(([name, value]) => ({ [name]: value }))]
  const signed = signForm({ accessKey: id, secretKey: secret }, { bucket: "bucket", conditions })
  const body = formBody([["key", "k"], ...extra, ...signed], { bytes: "kept" })
  const type = ["content-type", `multipart/form-data; boundary=${FORM_BOUNDARY}`]
  const rawHeaders = [...HOST, ...type, "content-length", String(body.length)]
  return { method: "POST", rawTarget: "/bucket", rawHeaders, body }
}

const outcomeOf = ({ answer }: Told): string => {
  const body = answer?.body instanceof Uint8Array ? Buffer.from(answer.body).toString() : ""
  return /<Code>(\w+)/.exec(body)?.[1] ?? String(answer?.status)
}

async function scene(answersLater: boolean) {
  const world = await AccessWorld.open(answersLater)
  const { handler } = handleModel({ accounts: world.access.accounts })
  const outcomes = async (signer: Signer): Promise<readonly string[]> => [
    outcomeOf(await ask(handler, inHeader(signer))),
    outcomeOf(await ask(handler, inQuery(signer))),
    outcomeOf(await ask(handler, inForm(signer))),
  ]
  const { secret } = ROOT_KEY
  const create = { method: "PUT", rawTarget: "/bucket", rawHeaders: HOST }
  const terms = termsOf({ id: ROOT_KEY.accessKeyId, secret })
  await ask(handler, { ...create, ...signRequest(create, UNSIGNED_PAYLOAD, terms, Date.now()) })
  return { world, outcomes, root: await world.mustKnow(ROOT_KEY.accessKeyId) }
}

const all = (outcome: string): readonly string[] => [outcome, outcome, outcome]

testBothWays(
  "a session of the root signs in the header, in the query and in forms, until it expires",
  async answersLater => {
    const { world, outcomes, root } = await scene(answersLater)
    const now = Date.now()
    const session = world.access.sessions.ofKey(root, { seconds: 900, nowMs: now })
    assert.deepEqual(await outcomes(signerOf(session)), ["200", "200", "204"])
    const over = world.access.sessions.ofKey(root, { seconds: 900, nowMs: now - 901_000 })
    assert.deepEqual(await outcomes(signerOf(over)), all("ExpiredToken"))
    const { token: _, ...bare } = signerOf(session)
    assert.deepEqual(await outcomes(bare), all("InvalidAccessKeyId"))
    assert.deepEqual(await outcomes({ ...bare, token: "nonsense" }), all("InvalidToken"))
    assert.deepEqual(await outcomes({ ...signerOf(session), secret: "wrong" }), all("SignatureDoesNotMatch"))
    assert.deepEqual(
      await outcomes({ id: ROOT_KEY.accessKeyId, secret: ROOT_KEY.secret, token: session.token }),
      all("InvalidToken"),
    )
  },
)

testBothWays(
  "a user limited by policies gets no access beyond them, and a disabled key is refused as unknown",
  async answersLater => {
    const { world, outcomes } = await scene(answersLater)
    const { accounts } = world.access
    await world.create("user", "bob")
    const bob = await accounts.createKey({ accountId: world.account, userName: "bob" })
    const signer = { id: bob.key.id, secret: bob.secret }
    assert.deepEqual(await outcomes(signer), all("AccessDenied"))
    const session = world.access.sessions.ofKey(await world.mustKnow(bob.key.id), { seconds: 900, nowMs: Date.now() })
    assert.deepEqual(await outcomes(signerOf(session)), all("AccessDenied"))
    await accounts.setKeyActive(bob.key.id, false)
    assert.deepEqual(await outcomes(signer), all("InvalidAccessKeyId"))
    assert.deepEqual(await outcomes(signerOf(session)), all("InvalidToken"))
  },
)

testBothWays("a request records when its key was last used, for every kind of caller", async answersLater => {
  const { world, outcomes } = await scene(answersLater)
  await outcomes({ id: ROOT_KEY.accessKeyId, secret: ROOT_KEY.secret })
  const use = await world.access.accounts.lastUse(ROOT_KEY.accessKeyId)
  assert.ok(use !== undefined && use.service === "s3" && Math.abs(use.usedMs - Date.now()) < 60_000)
})
