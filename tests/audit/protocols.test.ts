/** The audit log of changes by S3, IAM and KMS: who, what, before and after, without secrets. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { FakeAudit } from "@hayloft/access/audit/testing-audit.js"
import { readerOf } from "@hayloft/protocols/iam/audit-actions.js"
import { IamWorld } from "../iam/world.js"
import { KmsApiWorld } from "../kms/api-world.js"
import { handleModel, OWNER, userKeyOf } from "../s3/over-model.js"
import { documented, keyOf, People, policyOf, allow } from "../s3/people.js"
import { ACTIONS } from "@hayloft/protocols/iam/actions.js"

const RULES = (days: number): string =>
  `<LifecycleConfiguration><Rule><ID>a</ID><Filter><Prefix>l/</Prefix></Filter><Status>Enabled</Status><Expiration><Days>${days}</Days></Expiration></Rule></LifecycleConfiguration>`

const parsed = (text: string | undefined): unknown => (text === undefined ? undefined : JSON.parse(text))

test("S3: buckets and their settings are recorded as JSON before and after; reads, objects and denials are not", async () => {
  const audit = new FakeAudit()
  const { handler } = handleModel({ audit, keys: [userKeyOf(keyOf("member"), "member", [])] })
  const people = new People(handler)
  const expect = people.expect.bind(people)
  await expect(200, "owner", "PUT /bucket")
  await expect(200, "owner", "PUT /bucket/key", { body: "x" })
  await expect(200, "owner", "GET /bucket?lifecycle").catch(() => undefined)
  await expect(403, "member", "PUT /bucket?lifecycle", documented(RULES(1)))
  for (const days of [1, 2]) await expect(200, "owner", "PUT /bucket?lifecycle", documented(RULES(days)))
  await expect(400, "owner", "PUT /bucket?lifecycle", documented("<LifecycleConfiguration/>"))
  await expect(200, "owner", "PUT /bucket?versioning", {
    body: "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>",
  })
  const policy = policyOf({
    ...allow("s3:GetObject", "arn:aws:s3:::bucket/*"),
    Principal: { AWS: "*" },
    Effect: "Deny",
  })
  await expect(204, "owner", "PUT /bucket?policy", { body: policy })
  await expect(204, "owner", "DELETE /bucket?policy")
  await expect(200, "owner", "POST /bucket?delete", documented("<Delete><Object><Key>key</Key></Object></Delete>"))
  assert.deepEqual(
    audit.all.map(({ operation, ended }) => [operation, ended?.outcome]),
    [
      ["s3:CreateBucket", "done"],
      ["s3:PutBucketLifecycleConfiguration", "done"],
      ["s3:PutBucketLifecycleConfiguration", "done"],
      ["s3:PutBucketLifecycleConfiguration", "invalidRequest"],
      ["s3:PutBucketVersioning", "done"],
      ["s3:PutBucketPolicy", "done"],
      ["s3:DeleteBucketPolicy", "done"],
    ],
  )
  const [made, first, second, failed, versioning, put, removed] = audit.all
  assert.equal(made?.before, undefined)
  assert.match(made?.after ?? "", /"name":"bucket"/)
  const rules = (days: number) => ({
    Rules: [{ ID: "a", Status: "Enabled", Filter: { Prefix: "l/" }, Expiration: { Days: days } }],
  })
  assert.deepEqual([parsed(first?.before), parsed(first?.after)], [undefined, rules(1)])
  assert.deepEqual([parsed(second?.before), parsed(second?.after)], [rules(1), rules(2)])
  assert.deepEqual([parsed(failed?.before), failed?.after], [rules(2), undefined])
  assert.deepEqual([parsed(versioning?.before), parsed(versioning?.after)], [{}, { Status: "Enabled" }])
  assert.deepEqual([put?.before, parsed(put?.after)], [undefined, parsed(policy)])
  assert.deepEqual([parsed(removed?.before), removed?.after], [parsed(policy), undefined])
  assert.equal(second?.target, "bucket")
  assert.deepEqual([second?.caller.kind, second?.caller.id], ["key", OWNER.id])
  assert.match(second?.caller.name ?? "", /^arn:aws:iam::\d{12}:/)
})

test("IAM: changes are recorded with what the reading action shows, and a new key without its secret", async () => {
  const world = await IamWorld.open()
  const { audit } = world
  await world.iam("CreateUser", { UserName: "bob", Path: "/team/" })
  const document = policyOf(allow("s3:*", "*"))
  await world.iam("PutUserPolicy", { UserName: "bob", PolicyName: "p", PolicyDocument: document })
  await world.iam("UpdateUser", { UserName: "bob", NewUserName: "rob" })
  const secret = (await world.iam("CreateAccessKey", { UserName: "rob" })).one("SecretAccessKey")
  await world.iam("ListUsers")
  await world.ask("DeleteUser", { UserName: "rob" })
  const [made, policy, renamed, key, failed, ...others] = audit.all
  assert.deepEqual(others, [])
  assert.deepEqual([made?.operation, made?.request], ["iam:CreateUser", '{"UserName":"bob","Path":"/team/"}'])
  assert.match(made?.target ?? "", /^arn:aws:iam::\d{12}:user\/team\/bob$/)
  assert.equal(made?.before, undefined)
  assert.match(made?.after ?? "", /"UserName":"bob"/)
  assert.equal(policy?.before, undefined)
  assert.match(decodeURIComponent(policy?.after ?? ""), /s3:\*/)
  assert.match(renamed?.before ?? "", /"UserName":"bob"/)
  assert.match(renamed?.after ?? "", /"UserName":"rob"/)
  assert.match(key?.after ?? "", /"AccessKeyId":"\w+"/)
  assert.ok(!JSON.stringify(audit.all).includes(secret), "a secret is in the log")
  assert.deepEqual([failed?.operation, failed?.ended?.outcome], ["iam:DeleteUser", "deleteConflict"])
})

test("IAM: who joins or leaves a group is recorded, however many members it has", async () => {
  const world = await IamWorld.open()
  await world.iam("CreateGroup", { GroupName: "all" })
  const names = [...Array.from({ length: 101 }, (_, at) => `a${at}`), "zed"]
  for (const UserName of names) {
    await world.iam("CreateUser", { UserName })
    await world.iam("AddUserToGroup", { UserName, GroupName: "all" })
  }
  await world.iam("RemoveUserFromGroup", { UserName: "zed", GroupName: "all" })
  const [left, joined] = [world.audit.all.at(-1), world.audit.all.at(-2)]
  assert.deepEqual([joined?.operation, left?.operation], ["iam:AddUserToGroup", "iam:RemoveUserFromGroup"])
  const isMember = [joined?.before, joined?.after, left?.before, left?.after].map(
    text => text?.includes('"all"') === true,
  )
  assert.deepEqual(isMember, [false, true, true, false])
})

test("IAM: every action that changes something has one that shows it, by the same parameters", () => {
  const unshown = new Set(["DeleteLoginProfile", "CreatePolicy", "CreatePolicyVersion"])
  for (const [name, action] of Object.entries(ACTIONS.iam)) {
    if (action.kind !== "guarded" || /^(Get|List)/.test(name) || unshown.has(name)) continue
    const reader = readerOf(name)
    assert.ok(reader, `${name} is shown by none`)
    const [named = ""] = reader.parameters
    if (!/^Create/.test(name)) assert.ok(action.parameters.includes(named), `${name} does not have ${named}`)
  }
})

test("KMS: changes of keys, policies and aliases are recorded; encryption is not", async () => {
  const world = await KmsApiWorld.open()
  const id = await world.key({ Description: "photos" })
  await world.kms("CreateAlias", { AliasName: "alias/photos", TargetKeyId: id })
  await world.kms("DisableKey", { KeyId: id })
  await world.kms("EnableKey", { KeyId: id })
  await world.kms("Encrypt", { KeyId: id, Plaintext: "aGVsbG8=" })
  await world.kms("DescribeKey", { KeyId: id })
  await world.kms("TagResource", { KeyId: id, Tags: [{ TagKey: "team", TagValue: "web" }] })
  const [made, alias, disabled, enabled, tagged, ...others] = world.audit.all
  assert.deepEqual(others, [])
  assert.match(made?.after ?? "", new RegExp(`"KeyId":"${id}"`))
  assert.deepEqual([alias?.target, alias?.before], ["alias/photos", undefined])
  assert.match(alias?.after ?? "", new RegExp(`"KeyId":"${id}"`))
  assert.match(disabled?.before ?? "", /"KeyState":"Enabled"/)
  assert.match(disabled?.after ?? "", /"KeyState":"Disabled"/)
  assert.equal(enabled?.operation, "kms:EnableKey")
  assert.match(tagged?.after ?? "", /"TagKey":"team","TagValue":"web"/)
})
