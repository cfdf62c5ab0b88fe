/** Authorization in IAM: the root may do everything, users what their current policies allow. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { parseAccessKeyId, parseAccountId } from "@hayloft/base/ids.js"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { allow, ROOT_KEY, trust, testBothWays } from "../access/world.js"
import { IamWorld, ROOT, sessionIn, type Signer, type Values } from "./world.js"

const policy = (...Statement: readonly object[]): string => JSON.stringify({ Version: "2012-10-17", Statement })

/** A policy variable, not a template of this program. */
const OWN_USER = ["arn:aws:iam::*:user/$", "{aws:username}"].join("")

testBothWays("a user without a policy may only call GetCallerIdentity", async answersLater => {
  const world = await IamWorld.open(answersLater)
  const bob = await world.user("bob")
  for (const [action, values] of [
    ["ListUsers", {}],
    ["GetUser", {}],
    ["CreateUser", { UserName: "x" }],
    ["CreateAccessKey", {}],
    ["GetUser", { UserName: "nobody" }],
    ["GetAccountSummary", {}],
  ] as const) {
    const answer = await world.refused("AccessDenied", action, values, bob)
    assert.equal(answer.status, 403, action)
    assert.match(answer.one("Message"), /^User: arn:aws:iam::\d{12}:user\/bob is not authorized to perform: iam:/)
    assert.equal(answer.notes["reason"], "denied: no policy of the caller allows it", "a reason for the log only")
  }
  const self = await world.sts("GetCallerIdentity", {}, bob)
  assert.match(self.one("Arn"), /:user\/bob$/)
  assert.match(
    self.xml,
    /^<\?xml[^>]*>\n<GetCallerIdentityResponse xmlns="https:\/\/sts\.amazonaws\.com\/doc\/2011-06-15\/">/,
  )
})

testBothWays(
  "a policy with a variable for the user's name lets users manage themselves, and no other user",
  async answersLater => {
    const world = await IamWorld.open(answersLater)
    const own = ["iam:GetUser", "iam:*AccessKey*"]
    const bob = await world.user("bob", policy({ Effect: "Allow", Action: own, Resource: OWN_USER }))
    await world.iam("CreateUser", { UserName: "eve" })
    const second = await world.iam("CreateAccessKey", {}, bob)
    await world.iam("DeleteAccessKey", { AccessKeyId: second.one("AccessKeyId") }, bob)
    assert.equal((await world.iam("GetUser", { UserName: "BOB" }, bob)).one("UserName"), "bob")
    for (const action of ["GetUser", "CreateAccessKey", "ListAccessKeys"]) {
      await world.refused("AccessDenied", action, { UserName: "eve" }, bob)
    }
  },
)

testBothWays("after five wrong signatures of a user the next one is answered Throttling", async answersLater => {
  const world = await IamWorld.open(answersLater)
  const bob = await world.user("bob", policy({ Effect: "Allow", Action: "iam:*", Resource: "*" }))
  const wrong = { ...bob, secret: "wrong" }
  for (let i = 0; i < 5; i += 1) await world.refused("SignatureDoesNotMatch", "ListUsers", {}, wrong)
  await world.refused("Throttling", "ListUsers", {}, bob)
  await world.iam("ListUsers")
})

testBothWays("another spelling of a name does not bypass a policy", async answersLater => {
  const world = await IamWorld.open(answersLater)
  await world.iam("CreateUser", { UserName: "Admin", Path: "/high/" })
  const made = await world.iam("CreatePolicy", { PolicyName: "m", PolicyDocument: allow("s3:*") })
  const PolicyArn = made.one("Arn")
  const denied = { Effect: "Deny", Action: "*", Resource: ["arn:aws:iam::*:user/high/Admin", PolicyArn] }
  const bob = await world.user("bob", policy({ Effect: "Allow", Action: "iam:*", Resource: "*" }, denied))
  for (const UserName of ["Admin", "admin", "ADMIN"]) {
    await world.refused("AccessDenied", "CreateAccessKey", { UserName }, bob)
  }
  await world.refused("AccessDenied", "DeletePolicy", { PolicyArn }, bob)
  await world.refused("NoSuchEntity", "DeletePolicy", { PolicyArn: PolicyArn.replace(/\d{12}/, "999999999999") }, bob)
  await world.iam("GetPolicy", { PolicyArn })
})

testBothWays(
  "renaming a user needs permission for both names, and no user can take another one's name",
  async answersLater => {
    const world = await IamWorld.open(answersLater)
    const bob = await world.user("bob", policy({ Effect: "Allow", Action: "iam:UpdateUser", Resource: OWN_USER }))
    await world.refused("AccessDenied", "UpdateUser", { UserName: "bob", NewUserName: "admin" }, bob)
    await world.refused("AccessDenied", "UpdateUser", { UserName: "bob", NewPath: "/high/" }, bob)
    await world.iam("UpdateUser", { UserName: "bob", NewPath: "/" }, bob)
    const renaming = { Effect: "Allow", Action: "iam:UpdateUser", Resource: "arn:aws:iam::*:user/b*" }
    const ann = await world.user("ann", policy(renaming))
    await world.refused("AccessDenied", "UpdateUser", { UserName: "bob", NewUserName: "rob" }, ann)
    await world.iam("UpdateUser", { UserName: "bob", NewUserName: "bobby" }, ann)
    await world.iam("CreateGroup", { GroupName: "low" })
    const moving = { Effect: "Allow", Action: "iam:UpdateGroup", Resource: "arn:aws:iam::*:group/low" }
    const eve = await world.user("eve", policy(moving))
    await world.refused("AccessDenied", "UpdateGroup", { GroupName: "low", NewPath: "/high/" }, eve)
  },
)

testBothWays("creating a resource with tags requires the permission to tag it", async answersLater => {
  const world = await IamWorld.open(answersLater)
  const make = { Effect: "Allow", Action: ["iam:Create*"], Resource: "*" }
  const bob = await world.user("bob", policy(make))
  const tags = { "Tags.member.1.Key": "team", "Tags.member.1.Value": "a" }
  const made = {
    CreateUser: { UserName: "ann" },
    CreateRole: { RoleName: "r", AssumeRolePolicyDocument: trust({ AWS: "*" }) },
    CreatePolicy: { PolicyName: "p", PolicyDocument: allow("s3:*") },
    CreateOpenIDConnectProvider: { Url: "https://id.example", "ClientIDList.member.1": "x" },
  }
  for (const [action, values] of Object.entries(made)) {
    await world.refused("AccessDenied", action, { ...values, ...tags }, bob)
    await world.iam(action, values, bob)
  }
  const tag = {
    Effect: "Allow",
    Action: "iam:Tag*",
    Resource: "*",
    Condition: { StringEquals: { "aws:RequestTag/team": "a" } },
  }
  const eve = await world.user("eve", policy(make, tag))
  await world.iam("CreateUser", { UserName: "tom", ...tags }, eve)
})

testBothWays(
  "the path prefix of a list must begin with a slash: no other prefix bypasses a policy",
  async answersLater => {
    const world = await IamWorld.open(answersLater)
    const denied = { Effect: "Deny", Action: "iam:ListUsers", Resource: "arn:aws:iam::*:user/*" }
    const bob = await world.user("bob", policy({ Effect: "Allow", Action: "iam:*", Resource: "*" }, denied))
    await world.refused("AccessDenied", "ListUsers", {}, bob)
    for (const PathPrefix of ["", "x", "bob"]) await world.refused("ValidationError", "ListUsers", { PathPrefix }, bob)
  },
)

testBothWays("conditions on the attached policy, the boundary and the tags", async answersLater => {
  const world = await IamWorld.open(answersLater)
  const read = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"
  const full = "arn:aws:iam::aws:policy/AmazonS3FullAccess"
  const on = (Action: string, Condition: object) => ({ Effect: "Allow", Action, Resource: "*", Condition })
  const bob = await world.user(
    "bob",
    policy(
      on("iam:AttachUserPolicy", { ArnEquals: { "iam:PolicyARN": read } }),
      on("iam:CreateUser", { StringEquals: { "iam:PermissionsBoundary": read } }),
      on("iam:PutUserPolicy", { StringEquals: { "iam:PermissionsBoundary": read } }),
      on("iam:TagUser", { "ForAllValues:StringEquals": { "aws:TagKeys": ["team"] } }),
      on("iam:DeleteUser", { StringEquals: { "aws:ResourceTag/team": "bob" } }),
    ),
  )
  await world.refused("AccessDenied", "CreateUser", { UserName: "x" }, bob)
  await world.refused("AccessDenied", "CreateUser", { UserName: "x", PermissionsBoundary: full }, bob)
  await world.iam("CreateUser", { UserName: "x", PermissionsBoundary: read }, bob)
  await world.iam("CreateUser", { UserName: "free" })
  await world.refused("AccessDenied", "AttachUserPolicy", { UserName: "x", PolicyArn: full }, bob)
  await world.iam("AttachUserPolicy", { UserName: "x", PolicyArn: read }, bob)
  const inline = { PolicyName: "p", PolicyDocument: allow("s3:*") }
  await world.refused("AccessDenied", "PutUserPolicy", { UserName: "free", ...inline }, bob)
  await world.iam("PutUserPolicy", { UserName: "x", ...inline }, bob)
  const tag = (key: string) => ({ "Tags.member.1.Key": key, "Tags.member.1.Value": "bob" })
  await world.refused("AccessDenied", "TagUser", { UserName: "free", ...tag("other") }, bob)
  await world.refused("AccessDenied", "DeleteUser", { UserName: "free" }, bob)
  await world.iam("TagUser", { UserName: "free", ...tag("team") }, bob)
  await world.iam("DeleteUser", { UserName: "free" }, bob)
})

testBothWays("a removed permission is gone at the next request", async answersLater => {
  const world = await IamWorld.open(answersLater)
  const bob = await world.user("bob", allow("iam:ListUsers"))
  const sees = () => world.iam("ListUsers", {}, bob)
  const doesNot = () => world.refused("AccessDenied", "ListUsers", {}, bob)
  await sees()
  await world.iam("DeleteUserPolicy", { UserName: "bob", PolicyName: "own" })
  await doesNot()
  await world.iam("CreateGroup", { GroupName: "g" })
  await world.iam("PutGroupPolicy", { GroupName: "g", PolicyName: "p", PolicyDocument: allow("iam:List*") })
  await world.iam("AddUserToGroup", { GroupName: "g", UserName: "bob" })
  await sees()
  await world.iam("RemoveUserFromGroup", { GroupName: "g", UserName: "bob" })
  await doesNot()
  const PolicyArn = (await world.iam("CreatePolicy", { PolicyName: "m", PolicyDocument: allow("iam:*") })).one("Arn")
  await world.iam("AttachUserPolicy", { UserName: "bob", PolicyArn })
  await sees()
  await world.iam("CreatePolicyVersion", { PolicyArn, PolicyDocument: allow("s3:*"), SetAsDefault: "true" })
  await doesNot()
  await world.iam("SetDefaultPolicyVersion", { PolicyArn, VersionId: "v1" })
  await sees()
  await world.iam("PutUserPermissionsBoundary", {
    UserName: "bob",
    PermissionsBoundary: "arn:aws:iam::aws:policy/AmazonS3FullAccess",
  })
  await doesNot()
  await world.iam("DeleteUserPermissionsBoundary", { UserName: "bob" })
  await sees()
  await world.iam("UpdateAccessKey", { UserName: "bob", AccessKeyId: bob.accessKeyId, Status: "Inactive" })
  await world.refused("InvalidClientTokenId", "ListUsers", {}, bob)
})

test("a RoleArn that names no account of the store acts as the caller, never as more, if the setting allows it", async () => {
  const world = await IamWorld.open()
  world.ignoresUnknownRoles = true
  const made = await world.iam("CreateRole", {
    RoleName: "admin",
    AssumeRolePolicyDocument: trust({ AWS: "*" }, "Deny"),
  })
  const RoleArn = made.one("Arn")
  await world.iam("PutRolePolicy", { RoleName: "admin", PolicyName: "p", PolicyDocument: allow("s3:*") })
  const bob = await world.user("bob", allow("s3:Get*"))
  const may = ({ accessKeyId, token }: Signer, action: string) =>
    world.access.may(parseAccessKeyId(accessKeyId), action, token, new RealClock().wallMs())
  const asking = (arn: string, more: Values = {}) => ({ RoleArn: arn, RoleSessionName: "work", ...more })
  for (const arn of [
    "arn:minio:iam:::role/admin",
    "admin",
    RoleArn.replace(/\d{12}/, "000000000000"),
    "arn:xxx:xxx:xxx:xxxx",
  ]) {
    const answer = await world.sts("AssumeRole", asking(arn), bob)
    const session = sessionIn(answer)
    assert.match(answer.one("Arn"), /:user\/bob$/, arn)
    assert.deepEqual([await may(session, "s3:GetObject"), await may(session, "s3:PutObject")], [true, false], arn)
    const asked = asking(arn, { Policy: allow("s3:*Tagging") })
    const narrowed = sessionIn(await world.sts("AssumeRole", asked, bob))
    const allowed = ["s3:GetObjectTagging", "s3:GetObject", "s3:PutObjectTagging"].map(action => may(narrowed, action))
    assert.deepEqual(await Promise.all(allowed), [true, false, false], arn)
    await world.refused("AccessDenied", "AssumeRole", asking(arn), session, "sts")
    await world.refused("NotImplemented", "AssumeRole", asking(arn, { "PolicyArns.member.1.arn": "arn:x" }), bob, "sts")
  }
  // Mistyped, but of this account: keys of the caller might be wider than those of the role.
  for (const arn of [
    RoleArn,
    `${RoleArn}x`,
    RoleArn.replace(":role/", ":roles/"),
    RoleArn.replace("arn:aws:", "arn:minio:"),
  ])
    await world.refused("AccessDenied", "AssumeRole", asking(arn), bob, "sts")
})

test("without the setting every RoleArn must be that of a role, apart from two of MinIO's documents", async () => {
  const world = await IamWorld.open()
  const bob = await world.user("bob", allow("sts:AssumeRole"))
  const asking = (RoleArn: string) => ({ RoleArn, RoleSessionName: "work" })
  for (const arn of ["arn:minio:iam:::role/admin", "arn:aws:iam::000000000000:role/any", "arn:xxx:xxx:xxx:xxxxx"])
    await world.refused("AccessDenied", "AssumeRole", asking(arn), bob, "sts")
  for (const arn of ["arn:xxx:xxx:xxx:xxxx", "arn:x:ignored:by:minio:"]) await world.sts("AssumeRole", asking(arn), bob)
})

testBothWays(
  "roles: assumed by trust policy and permission, limited by session policies, ended with the role",
  async answersLater => {
    const world = await IamWorld.open(answersLater)
    const made = await world.iam("CreateRole", { RoleName: "r", AssumeRolePolicyDocument: trust({ AWS: "*" }) })
    const RoleArn = made.one("Arn")
    await world.iam("PutRolePolicy", { RoleName: "r", PolicyName: "p", PolicyDocument: allow("iam:List*") })
    const bob = await world.user("bob", allow("sts:AssumeRole"))
    const eve = await world.user("eve")
    const asking = { RoleArn, RoleSessionName: "work" }
    const root = await world.refused("AccessDenied", "AssumeRole", asking, ROOT, "sts")
    assert.match(root.xml, /Roles may not be assumed by root accounts\./)
    const answer = await world.sts("AssumeRole", asking, bob)
    const session = sessionIn(answer)
    assert.match(answer.one("Arn"), /^arn:aws:sts::\d{12}:assumed-role\/r\/work$/)
    assert.match(answer.one("AssumedRoleId"), /^AROA\w{17}:work$/)
    const inAnHour = Date.parse(answer.one("Expiration")) - Date.now() - 3_600_000
    assert.ok(Math.abs(inAnHour) < 60_000)
    assert.match((await world.sts("GetCallerIdentity", {}, session)).one("Arn"), /assumed-role\/r\/work$/)
    await world.iam("ListUsers", {}, session)
    await world.refused("AccessDenied", "CreateUser", { UserName: "x" }, session)
    await world.refused("ValidationError", "ListAccessKeys", {}, session)
    const limited = sessionIn(await world.sts("AssumeRole", { ...asking, Policy: allow("iam:ListRoles") }, bob))
    await world.iam("ListRoles", {}, limited)
    await world.refused("AccessDenied", "ListUsers", {}, limited)
    const byArn = { ...asking, "PolicyArns.member.1.arn": "arn:aws:iam::aws:policy/AmazonS3FullAccess" }
    await world.refused("AccessDenied", "ListUsers", {}, sessionIn(await world.sts("AssumeRole", byArn, bob)))
    await world.refused("AccessDenied", "AssumeRole", { ...asking, RoleArn: `${RoleArn}x` }, bob, "sts")
    await world.refused("MalformedPolicyDocument", "AssumeRole", { ...asking, Policy: "{" }, bob, "sts")
    await world.refused(
      "PackedPolicyTooLarge",
      "AssumeRole",
      { ...asking, Policy: allow("s3:*", `arn:aws:s3:::${"x".repeat(3_000)}`) },
      bob,
      "sts",
    )
    await world.refused("ValidationError", "AssumeRole", { ...asking, DurationSeconds: 60 }, bob, "sts")
    await world.refused("NotImplemented", "AssumeRole", { ...asking, SourceIdentity: "me" }, bob, "sts")
    await world.iam("UpdateAssumeRolePolicy", { RoleName: "r", PolicyDocument: trust({ AWS: "*" }, "Deny") })
    await world.refused("AccessDenied", "AssumeRole", asking, bob, "sts")
    assert.equal((await world.refused("AccessDenied", "AssumeRole", asking, eve, "sts")).status, 403)
    await world.iam("ListUsers", {}, session)
    await world.iam("DeleteRolePolicy", { RoleName: "r", PolicyName: "p" })
    await world.iam("DeleteRole", { RoleName: "r" })
    await world.refused("InvalidClientTokenId", "ListUsers", {}, session)
  },
)

testBothWays("an external id that the trust policy requires must be sent", async answersLater => {
  const world = await IamWorld.open(answersLater)
  const Condition = { StringEquals: { "sts:ExternalId": "42" } }
  const AssumeRolePolicyDocument = policy({
    Effect: "Allow",
    Principal: { AWS: "*" },
    Action: "sts:AssumeRole",
    Condition,
  })
  const RoleArn = (await world.iam("CreateRole", { RoleName: "r", AssumeRolePolicyDocument })).one("Arn")
  const bob = await world.user("bob", allow("sts:AssumeRole"))
  const asking = { RoleArn, RoleSessionName: "work" }
  await world.refused("AccessDenied", "AssumeRole", asking, bob, "sts")
  await world.refused("AccessDenied", "AssumeRole", { ...asking, ExternalId: "43" }, bob, "sts")
  await world.sts("AssumeRole", { ...asking, ExternalId: "42" }, bob)
})

testBothWays(
  "credentials of GetSessionToken cannot be used for IAM or to get further sessions; they end with their key",
  async answersLater => {
    const world = await IamWorld.open(answersLater)
    const bob = await world.user("bob", allow("iam:*"))
    const session = sessionIn(await world.sts("GetSessionToken", { DurationSeconds: 900 }, bob))
    assert.match((await world.sts("GetCallerIdentity", {}, session)).one("Arn"), /user\/bob$/)
    await world.refused("AccessDenied", "ListUsers", {}, session)
    await world.refused("AccessDenied", "GetSessionToken", {}, session, "sts")
    const withoutToken: Signer = { accessKeyId: session.accessKeyId, secret: session.secret }
    await world.refused("InvalidClientTokenId", "GetCallerIdentity", {}, withoutToken, "sts")
    await world.refused("InvalidClientTokenId", "GetCallerIdentity", {}, { ...session, token: "HL1.x" }, "sts")
    await world.iam("DeleteAccessKey", { UserName: "bob", AccessKeyId: bob.accessKeyId })
    await world.refused("InvalidClientTokenId", "GetCallerIdentity", {}, session, "sts")
  },
)

testBothWays("an expired session is refused as expired", async answersLater => {
  const world = await IamWorld.open(answersLater)
  const { accounts, sessions } = world.access.access
  const anHourAgoMs = Date.now() - 3_600_000
  const key = await world.access.mustKnow(ROOT_KEY.accessKeyId)
  const { accessKeyId, secret, token } = sessions.ofKey(key, { seconds: 900, nowMs: anHourAgoMs })
  assert.ok((await accounts.secretOf(accessKeyId, token, anHourAgoMs)) !== undefined)
  const answer = await world.refused("ExpiredToken", "GetCallerIdentity", {}, { accessKeyId, secret, token }, "sts")
  assert.equal(answer.status, 403)
})

testBothWays("accounts cannot see each other's identities", async answersLater => {
  const world = await IamWorld.open(answersLater)
  const { accounts } = world.access.access
  const account = await accounts.createAccount({ id: parseAccountId("other"), displayName: "Other", email: "" })
  const made = await accounts.createKey({ accountId: account.id, userName: undefined })
  const other: Signer = { accessKeyId: made.key.id, secret: made.secret }
  const bob = await world.user("bob", allow("*"))
  const PolicyArn = (await world.iam("CreatePolicy", { PolicyName: "m", PolicyDocument: allow("s3:*") })).one("Arn")
  await world.refused("NoSuchEntity", "GetUser", { UserName: "bob" }, other)
  await world.refused("NoSuchEntity", "GetPolicy", { PolicyArn }, other)
  await world.refused("NoSuchEntity", "GetAccessKeyLastUsed", { AccessKeyId: bob.accessKeyId }, other)
  await world.refused("NoSuchEntity", "DeleteAccessKey", { AccessKeyId: bob.accessKeyId }, other)
  await world.refused("AccessDenied", "GetAccessKeyInfo", { AccessKeyId: bob.accessKeyId }, other, "sts")
  assert.deepEqual((await world.iam("ListUsers", {}, other)).all("UserName"), [])
  assert.equal(
    (await world.sts("GetAccessKeyInfo", { AccessKeyId: other.accessKeyId }, other)).one("Account"),
    account.number,
  )
  await world.user("x")
  await world.iam("CreateUser", { UserName: "bob" }, other)
})
