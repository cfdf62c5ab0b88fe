/** Transactions over HTTP: their document and answers, the rights that each operation needs, and errors. */
import assert from "node:assert/strict"
import { before, test } from "node:test"
import { Machine } from "@hayloft/node/testing-engine.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { handleModel, strangerAccount } from "./over-model.js"
import { allow, deny, documented, People, policyOf, to, type Sent, type With } from "./people.js"
import { Spy } from "./spy.js"

const STRANGER = { AWS: `arn:aws:iam::${strangerAccount.number}:root` }
const spy = new Spy()
const machine = new Machine({ devices: 1 })
const { services } = await machine.open()
const telemetry = new SimTelemetry()
const { handler } = handleModel({ services: () => spy.over(services) }, telemetry)
const people = new People(handler)
const expect = people.expect.bind(people)

type Operation = Readonly<Record<string, Readonly<Record<string, unknown>>>>

const send = (name: string, operations: readonly Operation[], given: With & { readonly token?: string } = {}) => {
  const { token, ...rest } = given
  const body = JSON.stringify({ ...(token !== undefined && { token }), operations })
  return people.send(name, "POST /?transaction", { ...rest, body })
}

const resultsOf = ({ status, text }: Sent): readonly Readonly<Record<string, unknown>>[] => {
  assert.equal(status, 200, text)
  return (JSON.parse(text) as { results: readonly Readonly<Record<string, unknown>>[] }).results
}

function refused({ status, text }: Sent, expected: number, code: string, message: RegExp): void {
  assert.equal(status, expected, text)
  assert.match(text, new RegExp(`<Code>${code}</Code>`))
  assert.match(/<Message>([^<]*)</.exec(text)?.[1] ?? "", message)
}

/** An upload of one part, as an operation. */
async function uploaded(name: string, bucket: string, key: string, body: string): Promise<Operation> {
  const { text } = await expect(200, name, `POST /${bucket}/${key}?uploads`)
  const uploadId = /<UploadId>([^<]+)</.exec(text)?.[1] ?? ""
  const { headers } = await expect(200, name, `PUT /${bucket}/${key}?partNumber=1&uploadId=${uploadId}`, { body })
  return { put: { bucket, key, uploadId, parts: [{ partNumber: 1, etag: headers.get("ETag") }] } }
}

const put = (bucket: string, key: string, body = "body") => expect(200, "owner", `PUT /${bucket}/${key}`, { body })
const isThere = async (bucket: string, key: string): Promise<boolean> =>
  (await people.send("owner", `HEAD /${bucket}/${key}`)).status === 200

before(async () => {
  for (const bucket of ["plain", "versioned", "shared", "public", "careful"])
    await expect(200, "owner", `PUT /${bucket}`)
  const versioning = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
  await expect(200, "owner", "PUT /versioned?versioning", documented(versioning))
})

test("operations of several kinds and buckets are answered in their order", async () => {
  await put("plain", "from%20here", "renamed")
  await put("versioned", "gone")
  const etag = (await expect(200, "owner", "HEAD /plain/from%20here")).headers.get("ETag")
  const [stored, removed, renamed, checked] = resultsOf(
    await send("owner", [
      await uploaded("owner", "plain", "put", "uploaded"),
      { delete: { bucket: "versioned", key: "gone", ifMatch: "*" } },
      { rename: { bucket: "plain", key: "from here", toBucket: "versioned", toKey: "ä/to", ifMatch: etag } },
      { check: { bucket: "plain", key: "absent", ifNoneMatch: "*" } },
    ]),
  )
  assert.match(String(stored?.["etag"]), /^[0-9a-f]{32}-1$/)
  assert.deepEqual([Object.keys(stored ?? {}), checked], [["etag"], {}])
  assert.equal(removed?.["deleteMarker"], true)
  const read = await expect(200, "owner", "GET /versioned/%C3%A4/to")
  assert.deepEqual([read.text, read.headers.get("x-amz-version-id")], ["renamed", renamed?.["versionId"]])
  assert.equal((await expect(200, "owner", "GET /plain/put")).text, "uploaded")
  for (const [bucket, key] of [
    ["plain", "from%20here"],
    ["versioned", "gone"],
  ] as const)
    assert.equal(await isThere(bucket, key), false)
})

test("as many small objects as the limits allow are renamed together", async () => {
  const numbers = Array.from({ length: 49 }, (_, number) => number)
  for (const number of numbers) await put("plain", `many-${number}`, `body ${number}`)
  const operations = numbers.map(number => ({
    rename: { bucket: "plain", key: `many-${number}`, toBucket: "versioned", toKey: `many-${number}` },
  }))
  assert.equal(resultsOf(await send("owner", operations)).length, numbers.length)
  assert.equal((await expect(200, "owner", "GET /versioned/many-48")).text, "body 48")
})

test("an operation that is refused is named by its number, and nothing has happened", async () => {
  await put("plain", "a")
  await put("plain", "b")
  const remove = { delete: { bucket: "plain", key: "a" } }
  const b = { bucket: "plain", key: "b" }
  refused(
    await send("owner", [remove, { delete: { ...b, ifMatch: '"x"' } }]),
    412,
    "PreconditionFailed",
    /^operation 2: /,
  )
  refused(
    await send("owner", [{ check: { ...b, ifNoneMatch: "*" } }, remove]),
    412,
    "PreconditionFailed",
    /^operation 1: /,
  )
  refused(
    await send("owner", [remove, { check: { bucket: "plain", key: "absent", ifMatch: "*" } }]),
    404,
    "NoSuchKey",
    /^operation 2: The specified key/,
  )
  refused(
    await send("owner", [remove, { delete: { bucket: "nowhere", key: "b" } }]),
    404,
    "NoSuchBucket",
    /^operation 2: /,
  )
  const upload = await uploaded("owner", "plain", "new", "x")
  const other = { put: { ...upload["put"], parts: [{ partNumber: 2, etag: "x" }] } }
  refused(await send("owner", [remove, other]), 400, "InvalidPart", /^operation 2: /)
  refused(await send("owner", [remove, remove]), 400, "InvalidRequest", /^operation 2: names the key of operation 1/)
  assert.ok((await isThere("plain", "a")) && (await isThere("plain", "b")))
  resultsOf(await send("owner", [remove, upload]))
})

const WRONG: readonly (readonly [document: string, message: RegExp])[] = [
  ["", /is not JSON/],
  ["[]", /the document must be an object/],
  ['{"operations":{}}', /operations must be a list/],
  ['{"operations":[]}', /from 1 to 100 operations/],
  ['{"operations":[],"more":1}', /unknown member more; known are token, operations/],
  ['{"token":"with space","operations":[]}', /token has from 1 to 64/],
  ['{"operations":[{"copy":{}}]}', /^operation 1: an operation has an unknown member copy/],
  ['{"operations":[{}]}', /^operation 1: an operation is one of put, delete, rename, check/],
  ['{"operations":[{"delete":{"bucket":"plain"}}]}', /^operation 1: key is missing/],
  ['{"operations":[{"delete":{"bucket":1,"key":"a"}}]}', /^operation 1: bucket must be text/],
  ['{"operations":[{"check":{"bucket":"plain","key":"a"}}]}', /^operation 1: a check has ifMatch or ifNoneMatch/],
  ['{"operations":[{"delete":{"bucket":"plain","key":"a","ifMatch":"\\n"}}]}', /^operation 1: ifMatch is an ETag/],
  ['{"operations":[{"put":{"bucket":"plain","key":"a","uploadId":"u","parts":[]}}]}', /^operation 1: parts must be/],
  [
    '{"operations":[{"put":{"bucket":"plain","key":"a","uploadId":"u","parts":[{"partNumber":0}]}}]}',
    /partNumber must be/,
  ],
  ['{"operations":[{"delete":{"bucket":"plain","key":"\\ud800"}}]}', /^operation 1: /],
]

test("documents that are wrong are refused with what is wrong", async () => {
  for (const [body, message] of WRONG) {
    const { status, text } = await people.send("owner", "POST /?transaction", { body })
    assert.equal(status, 400, `${body}: ${text}`)
    assert.match(/<Message>([^<]*)</.exec(text)?.[1] ?? "", message, body)
  }
  const body = JSON.stringify({ operations: [], filler: "x".repeat(1024 * 1024) })
  refused(await people.send("owner", "POST /?transaction", { body }), 400, "InvalidRequest", /at most 1048576 bytes/)
  assert.equal((await people.send("owner", "GET /?transaction")).status, 405)
  const count = (outcome: string) => telemetry.metric("hayloft_transactions_total", { outcome })
  const [done, refusals] = [count("done"), count("refused")]
  resultsOf(await send("owner", [{ delete: { bucket: "plain", key: "none" } }]))
  await send("owner", [])
  assert.deepEqual([count("done") - done, count("refused") - refusals], [1, 1])
})

test("each operation needs the rights of the request that would do it alone, and nothing is written without all", async () => {
  const open = "arn:aws:s3:::shared/open/*"
  const actions = ["s3:PutObject", "s3:GetObject", "s3:DeleteObject"]
  const allowed = policyOf(
    to(STRANGER, allow(actions, open)),
    to(STRANGER, allow("s3:PutObject", "arn:aws:s3:::shared/drop/*")),
  )
  await expect(204, "owner", "PUT /shared?policy", { body: allowed })
  for (const key of ["open/a", "open/b", "drop/a", "closed/a"]) await put("shared", key)
  const at = (key: string) => ({ bucket: "shared", key })
  const fine = { delete: at("open/a") }
  const refusedOnes: readonly Operation[] = [
    { delete: at("drop/a") },
    { delete: { ...at("open/b"), versionId: "null" } },
    { delete: at("closed/a") },
    { check: { ...at("drop/a"), ifMatch: "*" } },
    { check: { ...at("closed/none"), ifNoneMatch: "*" } },
    { rename: { ...at("drop/a"), toKey: "open/c" } },
    { rename: { ...at("open/b"), toKey: "closed/c" } },
    { rename: { ...at("open/b"), toBucket: "plain", toKey: "c" } },
    { rename: { bucket: "plain", key: "a", toBucket: "shared", toKey: "open/c" } },
    { rename: { ...at("open/b"), toKey: "drop/a", destinationIfMatch: "*" } },
  ]
  for (const operation of refusedOnes) {
    spy.calls.length = 0
    refused(await send("stranger", [fine, operation]), 403, "AccessDenied", /^operation 2: Access Denied/)
    assert.ok(!spy.calls.includes("transactions.run"), JSON.stringify(operation))
  }
  // Only callers who may list learn whether a key exists.
  const answers = ["open/none", "open/b"].map(key => ({ ...at(key), ifMatch: "0" }))
  const [absent, present] = [
    await send("stranger", [{ check: answers[0] ?? {} }]),
    await send("stranger", [{ check: answers[1] ?? {} }]),
  ]
  refused(absent, 403, "AccessDenied", /^operation 1: /)
  refused(present, 412, "PreconditionFailed", /^operation 1: /)
  resultsOf(
    await send("stranger", [
      fine,
      { rename: { ...at("open/b"), toKey: "drop/b" } },
      await uploaded("stranger", "shared", "drop/c", "x"),
    ]),
  )
  assert.deepEqual([await isThere("shared", "open/a"), await isThere("shared", "drop/b")], [false, true])
})

test("anonymous callers may do what a bucket's policy lets everybody do, without a token", async () => {
  await expect(204, "owner", "DELETE /public?publicAccessBlock")
  await expect(204, "owner", "PUT /public?policy", {
    body: policyOf(
      to(
        "*",
        allow(["s3:DeleteObject", "s3:GetObject", "s3:ListBucket"], ["arn:aws:s3:::public", "arn:aws:s3:::public/*"]),
      ),
    ),
  })
  await put("public", "a")
  const operations = [
    { delete: { bucket: "public", key: "a" } },
    { check: { bucket: "public", key: "b", ifNoneMatch: "*" } },
  ]
  refused(await send("nobody", operations, { token: "t" }), 403, "AccessDenied", /sign the request/)
  refused(
    await send("nobody", [...operations, { delete: { bucket: "plain", key: "x" } }]),
    403,
    "AccessDenied",
    /^operation 3: /,
  )
  resultsOf(await send("nobody", operations))
  assert.equal(await isThere("public", "a"), false)
})

test("policies see the conditions of the operation, not headers of the transaction", async () => {
  const conditional = { Null: { "s3:if-none-match": "true" } }
  const policy = policyOf(to("*", deny("s3:PutObject", "arn:aws:s3:::careful/*", conditional)))
  const alone = await uploaded("owner", "careful", "k", "x")
  await expect(204, "owner", "PUT /careful?policy", { body: policy })
  const headers = ["if-none-match", "*"]
  refused(await send("owner", [alone], { headers }), 403, "AccessDenied", /^operation 1: /)
  resultsOf(await send("owner", [{ put: { ...alone["put"], ifNoneMatch: "*" } }]))
})

test("a token makes a transaction repeatable by the caller that has sent it", async () => {
  await put("plain", "once")
  const operations = [
    { rename: { bucket: "plain", key: "once", toBucket: "versioned", toKey: "once" } },
    await uploaded("owner", "plain", "once-more", "x"),
  ]
  const first = resultsOf(await send("owner", operations, { token: "t-1" }))
  assert.deepEqual(resultsOf(await send("owner", operations, { token: "t-1" })), first)
  const [rename] = operations
  refused(
    await send("owner", rename ? [rename] : [], { token: "t-1" }),
    400,
    "IdempotencyParameterMismatch",
    /inconsistent/,
  )
  refused(await send("owner", operations), 404, "NoSuchUpload", /^operation 2: /)
  // Another account has tokens of its own.
  refused(await send("stranger", operations, { token: "t-1" }), 403, "AccessDenied", /^operation 1: /)
})

test("a deletion in a transaction bypasses governance only where it asks for that", async () => {
  await expect(200, "owner", "PUT /locked", { headers: ["x-amz-bucket-object-lock-enabled", "true"] })
  const until = new Date(Date.now() + 86_400_000).toISOString()
  const lock = ["x-amz-object-lock-mode", "GOVERNANCE", "x-amz-object-lock-retain-until-date", until]
  const deletions: Operation[] = []
  for (const key of ["a", "b", "c"]) {
    const { body, headers } = documented("x")
    const stored = await expect(200, "owner", `PUT /locked/${key}`, { body, headers: [...headers, ...lock] })
    deletions.push({ delete: { bucket: "locked", key, versionId: stored.headers.get("x-amz-version-id") } })
  }
  const removes = allow(["s3:DeleteObject", "s3:DeleteObjectVersion"], "arn:aws:s3:::locked/*")
  await expect(204, "owner", "PUT /locked?policy", { body: policyOf(to(STRANGER, removes)) })
  const operations = [{ delete: { bucket: "plain", key: "any" } }, ...deletions]
  const headers = ["x-amz-bypass-governance-retention", "true"]
  refused(await send("owner", operations), 403, "AccessDenied", /^operation 2: /)
  refused(await send("stranger", deletions, { headers }), 403, "AccessDenied", /^operation 1: Access Denied$/)
  const unlocked = { delete: { bucket: "locked", key: "absent" } }
  resultsOf(await send("stranger", [unlocked], { headers }))
  spy.calls.length = 0
  resultsOf(await send("owner", operations, { headers }))
  assert.deepEqual(
    spy.calls.filter(name => name.startsWith("transactions.")),
    ["transactions.run"],
    "however many are locked, it is prepared once",
  )
})

test("a fence is shown with a transaction, and a lock that is not held refuses it", async () => {
  const headers = ["x-hayloft-fence", "jobs/leader:exclusive:1"]
  refused(
    await send("owner", [{ delete: { bucket: "plain", key: "x" } }], { headers }),
    412,
    "PreconditionFailed",
    /^operation 1: /,
  )
})

test("a rename to another bucket needs the rights on both", async () => {
  await put("shared", "open/move", "moved")
  const source = ["x-amz-rename-source", "/shared/open/move"]
  refused(
    await people.send("stranger", "PUT /plain/moved?renameObject", { headers: source }),
    403,
    "AccessDenied",
    /Access/,
  )
  await expect(200, "owner", "PUT /versioned/moved?renameObject", { headers: source })
  assert.equal((await expect(200, "owner", "GET /versioned/moved")).text, "moved")
  assert.equal(await isThere("shared", "open/move"), false)
  const nowhere = await people.send("owner", "PUT /plain/x?renameObject", {
    headers: ["x-amz-rename-source", "/nowhere/k"],
  })
  refused(nowhere, 404, "NoSuchBucket", /./)
})

/** Runs `change` once a request for a rename, alone or in a transaction, was authorised, and before it is done. */
function onceAuthorised(change: () => Promise<unknown>): void {
  const { renames, transactions } = services
  const [rename, run] = [renames.rename.bind(renames), transactions.run.bind(transactions)]
  const changed = async <T>(go: () => Promise<T>): Promise<T> => {
    Object.assign(renames, { rename })
    Object.assign(transactions, { run })
    await change()
    return go()
  }
  Object.assign(renames, { rename: (...args: Parameters<typeof rename>) => changed(() => rename(...args)) })
  Object.assign(transactions, { run: (...args: Parameters<typeof run>) => changed(() => run(...args)) })
}

test("a rename takes no version that has replaced the authorised one and that the caller may not rename", async () => {
  // Tags go along with a rename, and the stranger may not read them.
  const tagged = () => expect(200, "owner", "PUT /shared/open/now", { body: "new", headers: ["x-amz-tagging", "a=b"] })
  const source = ["x-amz-rename-source", "/shared/open/now"]
  const attempts = [
    () => people.send("stranger", "PUT /shared/open/then?renameObject", { headers: source }),
    () => send("stranger", [{ rename: { bucket: "shared", key: "open/now", toKey: "open/then" } }]),
  ]
  for (const attempt of attempts) {
    await put("shared", "open/now")
    onceAuthorised(tagged)
    refused(await attempt(), 403, "AccessDenied", /Access Denied$/)
    assert.deepEqual([await isThere("shared", "open/now"), await isThere("shared", "open/then")], [true, false])
    await put("shared", "open/now")
    onceAuthorised(() => put("shared", "open/now", "newer"))
    assert.equal((await attempt()).status, 200)
    assert.equal((await expect(200, "owner", "GET /shared/open/then")).text, "newer")
    await expect(204, "owner", "DELETE /shared/open/then")
  }
})
