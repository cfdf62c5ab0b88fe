/** The simulator of policies decides as requests are decided: by bucket policy, lists, public access block, tags. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { NO_POLICIES, type SimulatedCaller } from "@hayloft/access/index.js"
import { isFailure } from "@hayloft/base/failures.js"
import { textOfObjectKey } from "@hayloft/base/ids.js"
import type { S3Services } from "@hayloft/protocols/s3/index.js"
import { S3Simulator } from "@hayloft/protocols/s3/index.js"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { handleModel, ownerAccount, strangerAccount, userKeyOf } from "./over-model.js"
import { allow, deny, documented, keyOf, People, policyOf, to } from "./people.js"

const IN_BUCKET = "arn:aws:s3:::bucket/*"
const NOBODY: SimulatedCaller = { principal: { kind: "anonymous" }, policies: NO_POLICIES, isWholeRoot: false }

async function world() {
  const reader = userKeyOf(keyOf("reader"), "reader", [policyOf(allow("s3:GetObject", "*"))])
  const bounded = userKeyOf(keyOf("bounded"), "bounded", [policyOf(allow("s3:*", "*"))], {
    boundary: policyOf(allow("s3:ListBucket", "*")),
  })
  const willing = userKeyOf(keyOf("willing"), "willing", [policyOf(allow("s3:*", "*"))], {}, strangerAccount)
  let model: S3Services | undefined
  const { handler } = handleModel({ keys: [reader, bounded, willing], services: made => (model = made) })
  assert.ok(model)
  const people = new People(handler)
  const accounts = {
    getAccount: async (id: string) => [ownerAccount, strangerAccount].find(account => account.id === id),
    listAccounts: async () => [ownerAccount, strangerAccount],
    pinPrincipals: (_: unknown, text: string) => text,
  }
  const simulator = new S3Simulator(model, accounts, new RealClock())
  const callers: Readonly<Record<string, SimulatedCaller>> = { nobody: NOBODY, reader, bounded, willing }
  const simulate = (
    name: string,
    action: string,
    resource: string,
    more: { ip?: string; bucketPolicy?: string } = {},
  ) =>
    simulator.simulate({
      caller: callers[name] ?? NOBODY,
      action,
      resource,
      bucketPolicy: more.bucketPolicy,
      values: { valuesOf: ({ name: key }) => (key === "aws:sourceip" ? more.ip : undefined) },
    })
  await people.expect(200, "owner", "PUT /bucket")
  await people.expect(200, "owner", "PUT /bucket/cat", { body: "cat" })
  return { people, simulate }
}
type World = Awaited<ReturnType<typeof world>>

/** Each caller's GET of the object, and its simulation. */
async function agree({ people, simulate }: World, allowed: readonly string[]): Promise<void> {
  for (const name of ["nobody", "reader", "bounded", "willing"]) {
    const { status, text } = await people.send(name, "GET /bucket/cat")
    const { decision } = await simulate(name, "s3:GetObject", "arn:aws:s3:::bucket/cat")
    assert.equal(status === 200, allowed.includes(name), `${name}: ${text}`)
    assert.equal(decision.outcome === "allow", status === 200, `${name}: ${JSON.stringify(decision)}`)
  }
}

test("identity policies, boundaries and accounts decide as for a request", async () => {
  await agree(await world(), ["reader"])
})

test("a bucket policy decides, and a public one only as far as the public access block lets it", async () => {
  const it = await world()
  const { people, simulate } = it
  const policy = policyOf(
    to("*", allow("s3:GetObject", IN_BUCKET)),
    to({ AWS: userArn("reader") }, { Sid: "NoReader", ...deny("s3:GetObject", IN_BUCKET) }),
  )
  const blocked = (on: boolean) => {
    const names = ["BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"]
    const switches = names.map(name => `<${name}>${on}</${name}>`).join("")
    const document = `<PublicAccessBlockConfiguration>${switches}</PublicAccessBlockConfiguration>`
    return people.expect(200, "owner", "PUT /bucket?publicAccessBlock", documented(document))
  }
  await blocked(false)
  await people.expect(204, "owner", "PUT /bucket?policy", { body: policy })
  await agree(it, ["nobody", "bounded", "willing"])
  const { decision } = await simulate("reader", "s3:GetObject", "arn:aws:s3:::bucket/cat")
  assert.ok(decision.outcome === "explicitDeny" && decision.by.sid === "NoReader")
  await blocked(true)
  await agree(it, ["bounded"])
  const restricted = await simulate("nobody", "s3:GetObject", "arn:aws:s3:::bucket/cat")
  assert.match(restricted.exclusion ?? "", /RestrictPublicBuckets/)
})

const userArn = (name: string): string => `arn:aws:iam::${ownerAccount.number}:user/${name}`

test("a policy that is only being written decides in place of the bucket's own", async () => {
  const { people, simulate } = await world()
  const body = policyOf(to("*", deny("s3:*", [IN_BUCKET, "arn:aws:s3:::bucket"])))
  await people.expect(204, "owner", "PUT /bucket?policy", { body })
  const ask = async (bucketPolicy?: string, ip?: string) => {
    const more = { ...(bucketPolicy !== undefined && { bucketPolicy }), ...(ip !== undefined && { ip }) }
    return (await simulate("reader", "s3:GetObject", "arn:aws:s3:::bucket/cat", more)).decision.outcome
  }
  assert.equal(await ask(), "explicitDeny")
  const fromOffice = { IpAddress: { "aws:SourceIp": "192.0.2.0/24" } }
  const draft = policyOf(to("*", deny("s3:GetObject", IN_BUCKET, fromOffice)))
  assert.deepEqual([await ask(draft, "192.0.2.7"), await ask(draft, "198.51.100.7")], ["explicitDeny", "allow"])
  await assert.rejects(ask("{}"), error => isFailure(error, "malformedPolicy"))
  assert.equal(await ask(), "explicitDeny")
})

test("tags of an object that exists are read from it", async () => {
  const { people, simulate } = await world()
  const tags = `<Tagging><TagSet><Tag><Key>open</Key><Value>yes</Value></Tag></TagSet></Tagging>`
  await people.expect(200, "owner", "PUT /bucket/cat?tagging", documented(tags))
  await people.expect(200, "owner", "PUT /bucket/dog", { body: "dog" })
  const open = { StringEquals: { "s3:ExistingObjectTag/open": "yes" } }
  const body = policyOf(to({ AWS: userArn("bounded") }, allow("s3:GetObject", IN_BUCKET, open)))
  await people.expect(204, "owner", "PUT /bucket?policy", { body })
  for (const [key, outcome] of [
    ["cat", "allow"] as const,
    ["dog", "implicitDeny"] as const,
    ["none", "implicitDeny"] as const,
  ]) {
    const { decision } = await simulate("bounded", "s3:GetObject", `arn:aws:s3:::bucket/${textOfObjectKey(key)}`)
    assert.equal(decision.outcome, outcome, key)
  }
})

test("what is no action, no object or no bucket is refused", async () => {
  const { simulate } = await world()
  for (const [action, resource, kind] of [
    ["s3:GetObjekt", "arn:aws:s3:::bucket/cat", "invalidArgument"],
    ["s3:GetObject", "arn:aws:s3:::bucket", "invalidArgument"],
    ["s3:ListBucket", "*", "invalidArgument"],
    ["s3:ListBucket", "arn:aws:s3:::nothing", "noSuchBucket"],
  ] as const)
    await assert.rejects(simulate("reader", action, resource), error => isFailure(error, kind))
  assert.equal((await simulate("reader", "s3:CreateBucket", "arn:aws:s3:::fresh")).decision.outcome, "implicitDeny")
})
