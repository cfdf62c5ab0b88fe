/**
 * `hayloft why` against a real server: it explains each refusal with its reason and the smallest grant that would
 * have allowed it, and the client gets no additional information.
 */
import assert from "node:assert/strict"
import { after, before, test } from "node:test"
import { exchange, parseEndpoint } from "../conformance/raw-client.js"
import { presign, sha256Hex, signRequest } from "@hayloft/access/index.js"
import { dataFolders, withFolder } from "./harness/folders.js"
import { createOtherAccount } from "./harness/accounts.js"
import { CREDENTIALS, ServerProcess } from "./harness/server.js"
import { formOf, formRequest, sign, type Signer, type Values } from "./iam/world.js"
import { allow, deny, policyOf, to } from "./s3/people.js"

const HOUR_MS = 3_600_000
const ROOT: Signer = { accessKeyId: CREDENTIALS.accessKey, secret: CREDENTIALS.secretKey }

let [server, stranger, bob, carol]: [ServerProcess | undefined, Signer, Signer, Signer] = [undefined, ROOT, ROOT, ROOT]
let finish: () => void = () => undefined
let folderDone: Promise<void> = Promise.resolve()

const running = (): ServerProcess => {
  assert.ok(server)
  return server
}

interface Heard {
  readonly status: number
  readonly text: string
  readonly requestId: string
}

interface Raw {
  readonly method: string
  readonly rawTarget: string
  readonly rawHeaders: readonly string[]
  readonly body?: Uint8Array
}

async function tell({ method, rawTarget, rawHeaders, body = new Uint8Array() }: Raw): Promise<Heard> {
  const pairs = rawHeaders.flatMap((name, at) => (at % 2 === 0 ? [[name, rawHeaders[at + 1] ?? ""] as const] : []))
  const headers = [...pairs, ["content-length", String(body.length)] as const]
  const request = { method, target: rawTarget, headers, ...(body.length > 0 && { body: [body] }) }
  const { status, text, header } = await exchange(parseEndpoint(running().endpoint), request)
  return { status, text, requestId: header("x-amz-request-id") ?? header("x-amzn-requestid") ?? "" }
}

/** `line`: `GET /bucket/key`; without a signer, unsigned. */
async function s3(
  signer: Signer | undefined,
  line: string,
  { body = "", headers = [], nowMs = Date.now() }: { body?: string; headers?: readonly string[]; nowMs?: number } = {},
): Promise<Heard> {
  const [method = "", rawTarget = ""] = line.split(" ")
  const bytes = Buffer.from(body)
  const tokens = signer?.token === undefined ? [] : ["x-amz-security-token", signer.token]
  const request = { method, rawTarget, rawHeaders: ["host", "localhost", ...headers, ...tokens] }
  if (signer === undefined) return tell({ ...request, body: bytes })
  const terms = { accessKeyId: signer.accessKeyId, secret: signer.secret, region: "us-east-1", service: "s3" }
  return tell({ ...request, ...signRequest(request, sha256Hex(bytes), terms, nowMs), body: bytes })
}

const iam = (signer: Signer, action: string, values: Values = {}, service = "iam"): Promise<Heard> =>
  tell(sign(formRequest(formOf(action, values, service)), service, signer))

const textIn = ({ text }: Heard, element: string): string =>
  new RegExp(`<${element}>([^<]*)<`).exec(text)?.[1] ?? assert.fail(`no ${element} in ${text}`)

const secretText = (text: string): string => text.replaceAll("&quot;", '"').replaceAll("&amp;", "&")

async function user(UserName: string, policy?: string): Promise<Signer> {
  await iam(ROOT, "CreateUser", { UserName })
  if (policy !== undefined) {
    assert.equal(
      (await iam(ROOT, "PutUserPolicy", { UserName, PolicyName: "own", PolicyDocument: policy })).status,
      200,
    )
  }
  const made = await iam(ROOT, "CreateAccessKey", { UserName })
  return { accessKeyId: textIn(made, "AccessKeyId"), secret: secretText(textIn(made, "SecretAccessKey")) }
}

const session = (heard: Heard): Signer => ({
  accessKeyId: textIn(heard, "AccessKeyId"),
  secret: secretText(textIn(heard, "SecretAccessKey")),
  token: secretText(textIn(heard, "SessionToken")),
})

interface Why {
  readonly sentence: string
  readonly operation: string
  readonly action?: string
  readonly resource?: string
  readonly caller: { readonly kind: string; readonly arn?: string; readonly accessKeyId?: string }
  readonly decidedBy?: {
    readonly side: string
    readonly policy: string
    readonly statement: number
    readonly sid?: string
  }
  readonly grants: readonly { readonly side: string; readonly statement: string }[]
  readonly hints: readonly string[]
}

async function why(heard: Heard, status = 403): Promise<Why> {
  assert.equal(heard.status, status, heard.text)
  return (await running().report(`/v1/denials/${heard.requestId}`)) as Why
}

const granted = ({ grants }: Why): readonly unknown[] =>
  grants.map(({ side, statement }): unknown => [side, JSON.parse(statement) as unknown])

before(async () => {
  const folder = new Promise<string>(resolve => {
    folderDone = withFolder(async path => {
      resolve(path)
      await new Promise<void>(done => (finish = done))
    })
  })
  server = await ServerProcess.start({ folders: dataFolders(await folder, 1) })
  const other = await createOtherAccount(server)
  stranger = { accessKeyId: other.accessKey, secret: other.secretKey }
  bob = await user("bob", policyOf(allow("s3:PutObject", "*"), { Sid: "NoDelete", ...deny("s3:DeleteObject", "*") }))
  carol = await user("carol")
  for (const bucket of ["photos", "shared", "closed"]) assert.equal((await s3(ROOT, `PUT /${bucket}`)).status, 200)
  assert.equal((await s3(ROOT, "PUT /photos/cat", { body: "cat" })).status, 200)
})

after(async () => {
  await server?.kill()
  finish()
  await folderDone
})

test("a user without the permission: which policies were evaluated", async () => {
  const refused = await s3(bob, "GET /photos/cat")
  const explanation = await why(refused)
  const { stdout } = await running().hayloft(["why", refused.requestId, "--json"])
  assert.deepEqual(JSON.parse(stdout), explanation, "the command shows the same")
  assert.match(explanation.sentence, /no policy of the caller allows it/)
  assert.deepEqual(
    [explanation.operation, explanation.action, explanation.resource],
    ["GetObject", "s3:GetObject", "arn:aws:s3:::photos/cat"],
  )
  assert.deepEqual([explanation.caller.kind, explanation.caller.accessKeyId], ["user", bob.accessKeyId])
  assert.match(explanation.caller.arn ?? "", /:user\/bob$/)
  assert.deepEqual(granted(explanation), [
    ["identity", { Effect: "Allow", Action: "s3:GetObject", Resource: "arn:aws:s3:::photos/cat" }],
  ])
})

test("an explicit Deny: which statement of which policy", async () => {
  const explanation = await why(await s3(bob, "DELETE /photos/cat"))
  assert.deepEqual(explanation.decidedBy, {
    side: "identity",
    policy: "user bob: inline own",
    statement: 2,
    sid: "NoDelete",
  })
  assert.deepEqual(explanation.grants, [])
  const denyAll = policyOf({ Sid: "Nobody", ...to("*", deny("s3:GetObject", "arn:aws:s3:::shared/*")) })
  assert.equal((await s3(ROOT, "PUT /shared?policy", { body: denyAll })).status, 204)
  const ofBucket = await why(await s3(ROOT, "GET /shared/x"))
  assert.deepEqual(ofBucket.decidedBy, {
    side: "resource",
    policy: "the policy of bucket shared",
    statement: 1,
    sid: "Nobody",
  })
  const { stdout } = await running().hayloft(["why", (await s3(ROOT, "GET /shared/x")).requestId.toLowerCase()])
  assert.match(stdout, /decided by +bucket policy: the policy of bucket shared, statement 1 \(Nobody\)/)
  assert.match(stdout, /answered +403 AccessDenied/)
})

test("a boundary and a session policy that do not allow the request", async () => {
  const dave = await user("dave", policyOf(allow("s3:*", "*")))
  const made = await iam(ROOT, "CreatePolicy", { PolicyName: "reads", PolicyDocument: policyOf(allow("s3:Get*", "*")) })
  const arn = textIn(made, "Arn")
  await iam(ROOT, "PutUserPermissionsBoundary", { UserName: "dave", PermissionsBoundary: arn })
  const explanation = await why(await s3(dave, "PUT /photos/dog", { body: "dog" }))
  assert.match(explanation.sentence, /no permissions boundary allows it/)
  assert.deepEqual(
    explanation.grants.map(({ side }) => side),
    ["boundary"],
  )
  const trust = JSON.stringify({
    Version: "2012-10-17",
    Statement: [{ Effect: "Allow", Principal: { AWS: explanation.caller.arn }, Action: "sts:AssumeRole" }],
  })
  const role = textIn(await iam(ROOT, "CreateRole", { RoleName: "all", AssumeRolePolicyDocument: trust }), "Arn")
  await iam(ROOT, "PutRolePolicy", { RoleName: "all", PolicyName: "all", PolicyDocument: policyOf(allow("s3:*", "*")) })
  const assumeRequest = { RoleArn: role, RoleSessionName: "job", Policy: policyOf(allow("s3:GetObject", "*")) }
  const refused = await why(await iam(carol, "AssumeRole", assumeRequest, "sts"))
  assert.deepEqual([refused.action, refused.resource], ["sts:AssumeRole", role])
  assert.deepEqual(
    refused.grants.map(({ side }) => side),
    ["resource"],
  )
  const assumed = session(await iam(dave, "AssumeRole", assumeRequest, "sts"))
  assert.equal((await s3(assumed, "GET /photos/cat")).status, 200)
  const limited = await why(await s3(assumed, "PUT /photos/dog", { body: "dog" }))
  assert.match(limited.sentence, /no session policy allows it/)
  assert.match(limited.caller.arn ?? "", /:assumed-role\/all\/job$/)
  const other = { ...assumed, accessKeyId: carol.accessKeyId }
  assert.match((await why(await s3(other, "GET /photos/cat"), 400)).sentence, /the session token is not valid/)
})

test("another account: both sides are needed, or only the bucket's for the account's root", async () => {
  const closed = await why(await s3(stranger, "GET /closed/x"))
  assert.match(closed.sentence, /bucket "closed" belongs to another account/)
  assert.deepEqual(
    closed.grants.map(({ side }) => side),
    ["resource"],
  )
  const read = policyOf(to({ AWS: closed.caller.arn }, allow("s3:GetObject", "arn:aws:s3:::shared/open/*")))
  assert.equal((await s3(ROOT, "PUT /shared?policy", { body: read })).status, 204)
  const explanation = await why(await s3(stranger, "GET /shared/other"))
  assert.deepEqual(granted(explanation), [
    [
      "resource",
      {
        Effect: "Allow",
        Principal: { AWS: closed.caller.arn },
        Action: "s3:GetObject",
        Resource: "arn:aws:s3:::shared/other",
      },
    ],
  ])
  const absent = await why(await s3(stranger, "GET /shared/open/absent"))
  assert.deepEqual([absent.action, absent.resource], ["s3:ListBucket", "arn:aws:s3:::shared"])
  assert.match(absent.sentence, /does not exist, which only callers who may list the bucket learn/)
})

test("another account's object: its list decides, and no policy of the bucket", async () => {
  const headers = ["x-amz-object-ownership", "ObjectWriter", "x-amz-grant-write", `id="${await canonicalId(stranger)}"`]
  assert.equal((await s3(ROOT, "PUT /lists", { headers })).status, 200)
  assert.equal((await s3(stranger, "PUT /lists/theirs", { body: "t" })).status, 200)
  const explanation = await why(await s3(ROOT, "GET /lists/theirs"))
  assert.deepEqual(explanation.grants, [])
  assert.match(explanation.sentence, /another account owns the object, and only its access control list/)
  assert.match(explanation.hints.join(), /its owner grants READ in the access control list of the object/)
  assert.match(
    (await why(await s3(ROOT, "GET /lists/theirs?tagging"))).hints.join(),
    /no access control list covers this action/,
  )
})

async function canonicalId(signer: Signer): Promise<string> {
  return textIn(await s3(signer, "GET /"), "ID")
}

test("an anonymous caller: the grant that would admit everybody, and the setting that blocks it", async () => {
  const explanation = await why(await s3(undefined, "GET /photos/cat"))
  assert.equal(explanation.caller.kind, "anonymous")
  assert.match(JSON.stringify(granted(explanation)), /"Principal":"\*"/)
  assert.match(explanation.hints.join(), /public access block/)
  assert.match((await why(await s3(undefined, "GET /"))).sentence, /no credentials/)
  const all = policyOf(to("*", allow("s3:GetObject", "arn:aws:s3:::closed/*")))
  const blocked = await why(await s3(ROOT, "PUT /closed?policy", { body: all }))
  assert.match(blocked.sentence, /BlockPublicPolicy/)
  const block =
    "<PublicAccessBlockConfiguration><BlockPublicPolicy>false</BlockPublicPolicy><RestrictPublicBuckets>true</RestrictPublicBuckets></PublicAccessBlockConfiguration>"
  const md5 = ["x-amz-checksum-sha256", Buffer.from(sha256Hex(Buffer.from(block)), "hex").toString("base64")]
  assert.equal((await s3(ROOT, "PUT /closed?publicAccessBlock", { body: block, headers: md5 })).status, 200)
  assert.equal((await s3(ROOT, "PUT /closed?policy", { body: all })).status, 204)
  assert.match((await why(await s3(undefined, "GET /closed/x"))).sentence, /RestrictPublicBuckets/)
})

test("signatures, clocks and keys", async () => {
  const wrong = await why(await s3({ ...bob, secret: "mistyped" }, "GET /photos/cat"))
  assert.match(wrong.sentence, /signature is wrong/)
  assert.deepEqual(
    [wrong.caller.kind, wrong.caller.accessKeyId, wrong.operation],
    ["unknown", bob.accessKeyId, "GetObject"],
  )
  const skewed = await why(await s3(bob, "GET /photos/cat", { nowMs: Date.now() - HOUR_MS }))
  assert.match(skewed.sentence, /clocks .* apart \(signed at .*, the server's clock was /)
  assert.equal(skewed.caller.accessKeyId, bob.accessKeyId)
  const request = { method: "GET", rawTarget: "/photos/cat", rawHeaders: ["host", "localhost"] }
  const terms = { accessKeyId: bob.accessKeyId, secret: bob.secret, region: "us-east-1", service: "s3" }
  const presigned = await tell({ ...request, rawTarget: presign(request, 60, terms, Date.now() - HOUR_MS) })
  assert.match((await why(presigned)).sentence, /presigned URL had expired \(expired at /)
  const unknown = await why(await s3({ accessKeyId: "AKIANOBODY", secret: "x" }, "GET /photos/cat"))
  assert.match(unknown.hints.join(), /no such key exists/)
  const disabled = await user("erin")
  assert.equal((await running().hayloft(["key", "disable", disabled.accessKeyId])).code, 0)
  assert.match((await why(await s3(disabled, "GET /photos/cat"))).hints.join(), /the key is disabled/)
  const unsigned = await s3(undefined, "GET /photos/cat", { headers: ["authorization", ""] })
  assert.match((await why(unsigned)).sentence, /Authorization header is empty/)
})

test("an unexpected owner, a preflight, several keys of one request", async () => {
  const headers = ["x-amz-expected-bucket-owner", "000000000000"]
  const owner = await why(await s3(ROOT, "GET /photos/cat", { headers }))
  assert.match(owner.sentence, /x-amz-expected-bucket-owner names another account/)
  const origin = ["origin", "https://example.com", "access-control-request-method", "GET"]
  const preflight = await why(await s3(undefined, "OPTIONS /photos/cat", { headers: origin }))
  assert.match(preflight.sentence, /the bucket has no CORS rules/)
  const body = "<Delete><Object><Key>cat</Key></Object></Delete>"
  const checksum = ["x-amz-checksum-sha256", Buffer.from(sha256Hex(Buffer.from(body)), "hex").toString("base64")]
  const each = await s3(bob, "POST /photos?delete", { body, headers: checksum })
  assert.match(each.text, /<Code>AccessDenied</)
  assert.equal((await why(each, 200)).decidedBy?.sid, "NoDelete")
})

test("IAM requests are explained too", async () => {
  const explanation = await why(await iam(bob, "CreateUser", { UserName: "x" }))
  assert.equal(explanation.action, "iam:CreateUser")
  assert.match(explanation.resource ?? "", /:user\/x$/)
  assert.match(granted(explanation).join(), /identity/)
  const wrong = await why(await iam({ ...bob, secret: "mistyped" }, "CreateUser", { UserName: "x" }))
  assert.match(wrong.sentence, /signature is wrong/)
})

test("an unknown request, and a malformed request id", async () => {
  const fine = await s3(ROOT, "GET /photos/cat")
  assert.equal(fine.status, 200)
  const none = await running().hayloft(["why", fine.requestId])
  assert.deepEqual([none.code, none.stdout], [3, ""])
  assert.match(none.stderr, /no denial of request [0-9A-F]{16} is known: .*not denied, or its entry was evicted.*1000/)
  const bad = await running().hayloft(["why", "../status"])
  assert.match(bad.stderr, /is not a request id/)
  const { status } = await running().admin("GET", `/v1/denials/${fine.requestId}`)
  assert.equal(status, 401, "only with the admin token")
})

test("the client gets no additional information", async () => {
  for (const line of ["GET /photos/cat", "GET /closed/x", "GET /photos/absent"]) {
    const { text } = await s3(carol, line)
    assert.match(text, /<Code>AccessDenied<\/Code><Message>Access Denied<\/Message><Resource>/, text)
    assert.doesNotMatch(text, /polic|statement|carol/i)
  }
})
