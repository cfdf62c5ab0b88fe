/**
 * Permissions about object lock, over HTTP: who may lock, who sees a lock, who passes governance mode, and that a
 * bypass means nothing where nothing is locked.
 */
import assert from "node:assert/strict"
import { before, test } from "node:test"
import { handleModel, userKeyOf } from "./over-model.js"
import { allow, deny, documented, keyOf, People, policyOf, type Sent, type Statement } from "./people.js"

const IN_BUCKET = "arn:aws:s3:::bucket/*"
const READS = ["s3:GetObject", "s3:GetObjectVersion"]
const REMOVES = ["s3:DeleteObject", "s3:DeleteObjectVersion"]
const LOCKS = ["s3:PutObject", "s3:PutObjectRetention", "s3:PutObjectLegalHold"]

const USERS: Readonly<Record<string, readonly Statement[]>> = {
  writer: [allow("s3:PutObject", IN_BUCKET)],
  retainer: [allow(["s3:PutObject", "s3:PutObjectRetention"], IN_BUCKET)],
  holder: [allow(["s3:PutObject", "s3:PutObjectLegalHold"], IN_BUCKET)],
  reader: [allow(READS, IN_BUCKET)],
  readsretention: [allow([...READS, "s3:GetObjectRetention"], IN_BUCKET)],
  readshold: [allow([...READS, "s3:GetObjectLegalHold"], IN_BUCKET)],
  remover: [allow([...REMOVES, "s3:PutObjectRetention"], IN_BUCKET)],
  bypasser: [allow([...REMOVES, "s3:PutObjectRetention", "s3:BypassGovernanceRetention"], IN_BUCKET)],
  creator: [allow("s3:CreateBucket", "*")],
  lockcreator: [allow(["s3:CreateBucket", "s3:PutBucketObjectLockConfiguration", "s3:PutBucketVersioning"], "*")],
  shortly: [
    allow(LOCKS, IN_BUCKET),
    deny("s3:PutObjectRetention", IN_BUCKET, {
      NumericGreaterThan: { "s3:object-lock-remaining-retention-days": "10" },
    }),
  ],
  atleast: [
    allow(LOCKS, IN_BUCKET),
    deny("s3:PutObjectRetention", IN_BUCKET, { NumericLessThan: { "s3:object-lock-remaining-retention-days": "10" } }),
  ],
  until: [
    allow(LOCKS, IN_BUCKET),
    deny("s3:PutObjectRetention", IN_BUCKET, {
      DateGreaterThan: { "s3:object-lock-retain-until-date": "2139-01-01T00:00:00Z" },
    }),
  ],
  governs: [
    allow("s3:PutObject", IN_BUCKET),
    allow("s3:PutObjectRetention", IN_BUCKET, { StringEquals: { "s3:object-lock-mode": "GOVERNANCE" } }),
    allow("s3:PutObjectLegalHold", IN_BUCKET, { StringEquals: { "s3:object-lock-legal-hold": "ON" } }),
  ],
  mustlock: [allow(LOCKS, IN_BUCKET, { Null: { "s3:object-lock-mode": "false" } })],
}

const keys = Object.entries(USERS).map(([name, statements]) => userKeyOf(keyOf(name), name, [policyOf(...statements)]))
const { handler } = handleModel({ keys })
const people = new People(handler)
const expect = people.expect.bind(people)

const DAY_MS = 86_400_000
const inDays = (days: number): string => new Date(Date.now() + days * DAY_MS).toISOString()
const FAR = "2140-01-01T00:00:00.000Z"
const BYPASS = ["x-amz-bypass-governance-retention", "true"]
const locking = (mode = "GOVERNANCE", until = FAR): readonly string[] => [
  "x-amz-object-lock-mode",
  mode,
  "x-amz-object-lock-retain-until-date",
  until,
]
const HOLD = ["x-amz-object-lock-legal-hold", "ON"]
const retention = (mode: string, until: string) =>
  documented(`<Retention><Mode>${mode}</Mode><RetainUntilDate>${until}</RetainUntilDate></Retention>`)
const hold = (status: string) => documented(`<LegalHold><Status>${status}</Status></LegalHold>`)

/** A body with its digest. */
const put = (...headers: readonly string[]) => {
  const { body, headers: digest } = documented("x")
  return { body, headers: [...digest, ...headers] }
}
const versionOf = ({ headers }: Sent): string => headers.get("x-amz-version-id") ?? ""
const stored = async (key: string, ...headers: readonly string[]) =>
  versionOf(await expect(200, "owner", `PUT /bucket/${key}`, put(...headers)))
const messageOf = ({ text }: Sent): string => /<Message>(.*)<\/Message>/.exec(text)?.[1] ?? ""
const PROTECTED = "Access Denied because object protected by object lock."

before(async () => {
  await expect(200, "owner", "PUT /bucket", { headers: ["x-amz-bucket-object-lock-enabled", "true"] })
})

test("a bucket with object lock needs the permissions for its configuration and its versioning", async () => {
  const headers = ["x-amz-bucket-object-lock-enabled", "true"]
  await expect(403, "creator", "PUT /created", { headers })
  await expect(200, "creator", "PUT /created", { headers: ["x-amz-bucket-object-lock-enabled", "false"] })
  await expect(404, "owner", "GET /created?object-lock")
  await expect(200, "lockcreator", "PUT /locked", { headers })
  await expect(200, "owner", "GET /locked?object-lock")
})

test("a lock needs its own permission, beside the one to write", async () => {
  const copy = ["x-amz-copy-source", "/bucket/source"]
  await stored("source")
  for (const [headers, may] of [
    [locking(), "retainer"],
    [HOLD, "holder"],
  ] as const) {
    for (const name of ["writer", "retainer", "holder"]) {
      const status = name === may ? 200 : 403
      await expect(status, name, "PUT /bucket/w", put(...headers))
      await expect(status, name, "POST /bucket/w?uploads", { headers })
    }
    await expect(403, may, "PUT /bucket/w", { headers: [...copy, ...headers] })
    await expect(403, "writer", "PUT /bucket/w", put(...locking(), ...HOLD))
  }
  await expect(403, "writer", "PUT /bucket/source?retention", retention("GOVERNANCE", FAR))
  await expect(403, "writer", "PUT /bucket/source?legal-hold", hold("ON"))
  await expect(403, "reader", "GET /bucket/source?retention")
  await expect(403, "reader", "GET /bucket/source?legal-hold")
  await expect(403, "writer", "GET /bucket?object-lock")
  await expect(403, "writer", "PUT /bucket?object-lock", documented("<ObjectLockConfiguration/>"))
})

test("GET and HEAD show a lock only to those who may see it", async () => {
  const version = await stored("shown", ...locking(), ...HOLD)
  const sees = { reader: [false, false], readsretention: [true, false], readshold: [false, true], owner: [true, true] }
  for (const [name, [seesRetention, seesHold]] of Object.entries(sees)) {
    for (const line of ["GET /bucket/shown", "HEAD /bucket/shown", `GET /bucket/shown?versionId=${version}`]) {
      const { headers } = await expect(200, name, line)
      assert.equal(headers.get("x-amz-object-lock-mode"), seesRetention ? "GOVERNANCE" : undefined, `${name} ${line}`)
      assert.equal(headers.get("x-amz-object-lock-retain-until-date"), seesRetention ? FAR : undefined)
      assert.equal(headers.get("x-amz-object-lock-legal-hold"), seesHold ? "ON" : undefined, `${name} ${line}`)
    }
  }
})

test("a bypass needs its permission only where governance mode prevents the request", async () => {
  const free = await stored("free")
  await expect(204, "remover", `DELETE /bucket/free?versionId=${free}`, { headers: BYPASS })
  await expect(204, "remover", "DELETE /bucket/free", { headers: BYPASS })
  const governed = `DELETE /bucket/governed?versionId=${await stored("governed", ...locking())}`
  for (const name of ["remover", "bypasser", "owner"]) {
    assert.equal(messageOf(await expect(403, name, governed)), PROTECTED, name)
    await expect(403, name, governed, { headers: ["x-amz-bypass-governance-retention", "false"] })
  }
  // The permission is missing, so the answer is that of any other denial.
  assert.equal(messageOf(await expect(403, "remover", governed, { headers: BYPASS })), "Access Denied")
  await expect(204, "bypasser", governed, { headers: BYPASS })
  for (const [key, headers] of [
    ["complies", locking("COMPLIANCE")],
    ["held", HOLD],
    ["both", [...locking(), ...HOLD]],
  ] as const) {
    const line = `DELETE /bucket/${key}?versionId=${await stored(key, ...headers)}`
    for (const name of ["remover", "bypasser", "owner"]) {
      assert.equal(messageOf(await expect(403, name, line, { headers: BYPASS })), PROTECTED, `${name} ${key}`)
    }
  }
})

test("a retention is shortened past governance mode only with the permission, and prolonged without", async () => {
  await stored("term")
  const retain = (name: string, status: number, until: string, headers: readonly string[] = []) => {
    const document = retention("GOVERNANCE", until)
    const sent = { ...document, headers: [...document.headers, ...headers] }
    return expect(status, name, "PUT /bucket/term?retention", sent)
  }
  await retain("remover", 200, inDays(5), BYPASS)
  await retain("remover", 200, inDays(9), BYPASS)
  assert.equal(messageOf(await retain("remover", 403, inDays(5), BYPASS)), "Access Denied")
  assert.equal(messageOf(await retain("bypasser", 403, inDays(5))), PROTECTED)
  await retain("bypasser", 200, inDays(5), BYPASS)
})

test("a batch delete passes governance mode for each key by the same rule", async () => {
  const versions = { free: await stored("f"), governed: await stored("g", ...locking()) }
  const entry = (key: string, version: string) => `<Object><Key>${key}</Key><VersionId>${version}</VersionId></Object>`
  const batch = documented(`<Delete>${entry("f", versions.free)}${entry("g", versions.governed)}</Delete>`)
  const sent = { ...batch, headers: [...batch.headers, ...BYPASS] }
  const { text: refused } = await expect(200, "remover", "POST /bucket?delete", sent)
  assert.match(refused, /<Deleted><Key>f<\/Key>/)
  assert.match(refused, /<Error><Key>g<\/Key><VersionId>.*<\/VersionId><Code>AccessDenied<\/Code>/)
  const { text: removed } = await expect(200, "bypasser", "POST /bucket?delete", sent)
  assert.doesNotMatch(removed, /<Error>/)
})

test("policies decide by the lock that a request asks for, in headers and in documents", async () => {
  await stored("judged")
  const ask = async (name: string, mode: string, until: string, may: boolean) => {
    await expect(may ? 200 : 403, name, "PUT /bucket/asked", put(...locking(mode, until)))
    await expect(may ? 200 : 403, name, "POST /bucket/asked?uploads", { headers: locking(mode, until) })
    const key = `doc-${name}-${mode}-${until}`
    await stored(key)
    await expect(may ? 200 : 403, name, `PUT /bucket/${key}?retention`, retention(mode, until))
  }
  await ask("shortly", "GOVERNANCE", inDays(10), true)
  await ask("shortly", "GOVERNANCE", inDays(11), false)
  await ask("atleast", "GOVERNANCE", inDays(10), true)
  await ask("atleast", "GOVERNANCE", inDays(8.5), false)
  await ask("until", "GOVERNANCE", inDays(30), true)
  await ask("until", "GOVERNANCE", FAR, false)
  await ask("governs", "GOVERNANCE", FAR, true)
  await ask("governs", "COMPLIANCE", FAR, false)
  await expect(200, "governs", "PUT /bucket/judged?legal-hold", hold("ON"))
  await expect(403, "governs", "PUT /bucket/judged?legal-hold", hold("OFF"))
  await expect(403, "mustlock", "PUT /bucket/asked", put())
  await expect(200, "mustlock", "PUT /bucket/asked", put(...locking()))
})
