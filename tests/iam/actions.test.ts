/** Every action of IAM from a client's view: its answer, and its effect as later reads show it. */
import assert from "node:assert/strict"
import { allow, trust, testBothWays } from "../access/world.js"
import { IamWorld } from "./world.js"

const decoded = (text: string): string => decodeURIComponent(text)

testBothWays("users: created, read, listed, changed, tagged, deleted", async answersLater => {
  const world = await IamWorld.open(answersLater)
  const made = await world.iam("CreateUser", {
    UserName: "Bob",
    Path: "/team/",
    "Tags.member.1.Key": "team",
    "Tags.member.1.Value": "é @ co",
  })
  assert.match(
    made.xml,
    /<CreateUserResponse xmlns="https:\/\/iam\.amazonaws\.com\/doc\/2010-05-08\/"><CreateUserResult>/,
  )
  assert.match(made.xml, /<ResponseMetadata><RequestId>0123456789ABCDEF<\/RequestId><\/ResponseMetadata>/)
  assert.match(made.one("Arn"), /^arn:aws:iam::\d{12}:user\/team\/Bob$/)
  assert.match(made.one("UserId"), /^AIDA\w{17}$/)
  assert.equal(made.one("Value"), "é @ co")
  assert.equal(
    (await world.iam("GetUser", { UserName: "bob" })).one("UserName"),
    "Bob",
    "names are compared without case",
  )
  await world.refused("EntityAlreadyExists", "CreateUser", { UserName: "BOB" })
  await world.iam("CreateUser", { UserName: "alice" })
  assert.deepEqual((await world.iam("ListUsers")).all("UserName"), ["alice", "Bob"])
  assert.deepEqual((await world.iam("ListUsers", { PathPrefix: "/team/" })).all("UserName"), ["Bob"])
  await world.iam("UpdateUser", { UserName: "alice", NewUserName: "carol", NewPath: "/new/" })
  assert.match((await world.iam("GetUser", { UserName: "carol" })).one("Arn"), /user\/new\/carol$/)
  await world.iam("TagUser", { UserName: "Bob", "Tags.member.1.Key": "Team", "Tags.member.1.Value": "two" })
  assert.deepEqual((await world.iam("ListUserTags", { UserName: "Bob" })).all("Value"), ["two"])
  await world.iam("UntagUser", { UserName: "Bob", "TagKeys.member.1": "team" })
  assert.deepEqual((await world.iam("ListUserTags", { UserName: "Bob" })).all("Value"), [])
  for (const list of [
    "ListMFADevices",
    "ListSSHPublicKeys",
    "ListSigningCertificates",
    "ListServiceSpecificCredentials",
  ]) {
    await world.iam(list, { UserName: "Bob" })
  }
  await world.iam("ListVirtualMFADevices")
  await world.refused("NoSuchEntity", "GetLoginProfile", { UserName: "Bob" })
  await world.refused("NoSuchEntity", "DeleteLoginProfile", { UserName: "Bob" })
  await world.iam("DeleteUser", { UserName: "Bob" })
  assert.equal((await world.refused("NoSuchEntity", "GetUser", { UserName: "Bob" })).status, 404)
})

testBothWays("groups: members get their permissions, and are listed in pages", async answersLater => {
  const world = await IamWorld.open(answersLater)
  await world.iam("CreateGroup", { GroupName: "readers" })
  await world.refused("EntityAlreadyExists", "CreateGroup", { GroupName: "Readers" })
  for (const UserName of ["a", "b", "c"]) {
    await world.iam("CreateUser", { UserName })
    await world.iam("AddUserToGroup", { GroupName: "readers", UserName })
  }
  const first = await world.iam("GetGroup", { GroupName: "readers", MaxItems: 2 })
  assert.deepEqual([first.all("UserName"), first.one("IsTruncated")], [["a", "b"], "true"])
  const second = await world.iam("GetGroup", { GroupName: "readers", MaxItems: 2, Marker: first.one("Marker") })
  assert.deepEqual([second.all("UserName"), second.one("IsTruncated")], [["c"], "false"])
  assert.deepEqual((await world.iam("ListGroupsForUser", { UserName: "a" })).all("GroupName"), ["readers"])
  await world.iam("UpdateGroup", { GroupName: "readers", NewPath: "/x/" })
  assert.deepEqual((await world.iam("ListGroups", { PathPrefix: "/x/" })).all("GroupName"), ["readers"])
  assert.equal(
    (await world.refused("NotImplemented", "UpdateGroup", { GroupName: "readers", NewGroupName: "r" })).status,
    501,
  )
  await world.refused("DeleteConflict", "DeleteGroup", { GroupName: "readers" })
  for (const UserName of ["a", "b", "c"]) await world.iam("RemoveUserFromGroup", { GroupName: "readers", UserName })
  await world.refused("NoSuchEntity", "RemoveUserFromGroup", { GroupName: "readers", UserName: "a" })
  await world.iam("DeleteGroup", { GroupName: "readers" })
})

testBothWays("lists are paged without gaps or repetitions", async answersLater => {
  const world = await IamWorld.open(answersLater)
  const names = ["Ab", "aB-1", "ab_2", "B", "c", "d"]
  for (const UserName of names) await world.iam("CreateUser", { UserName })
  const seen: string[] = []
  let more: { Marker?: string } = {}
  for (let pages = 0; ; pages += 1) {
    assert.ok(pages < 4)
    const page = await world.iam("ListUsers", { MaxItems: 2, ...more })
    seen.push(...page.all("UserName"))
    if (page.one("IsTruncated") === "false") break
    more = { Marker: page.one("Marker") }
  }
  assert.deepEqual(seen, names)
  await world.refused("ValidationError", "ListUsers", { Marker: "***" })
  await world.refused("ValidationError", "ListUsers", { MaxItems: 0 })
  await world.refused("ValidationError", "ListUsers", { MaxItems: "many" })
})

testBothWays("roles: session duration, trust policies, tags", async answersLater => {
  const world = await IamWorld.open(answersLater)
  const AssumeRolePolicyDocument = trust({ AWS: "*" })
  const made = await world.iam("CreateRole", { RoleName: "r", AssumeRolePolicyDocument, Description: "a & <b>" })
  assert.equal(decoded(made.one("AssumeRolePolicyDocument")), AssumeRolePolicyDocument)
  assert.deepEqual([made.one("MaxSessionDuration"), made.one("Description")], ["3600", "a & <b>"])
  await world.refused("MalformedPolicyDocument", "CreateRole", { RoleName: "s", AssumeRolePolicyDocument: "{}" })
  await world.refused("ValidationError", "CreateRole", { RoleName: "s" })
  await world.refused("ValidationError", "CreateRole", {
    RoleName: "s",
    AssumeRolePolicyDocument,
    MaxSessionDuration: 60,
  })
  assert.match(
    (await world.iam("UpdateRole", { RoleName: "r", MaxSessionDuration: 7200 })).xml,
    /<UpdateRoleResult><\/UpdateRoleResult>/,
  )
  const changed = await world.iam("UpdateRoleDescription", { RoleName: "r", Description: "new" })
  assert.deepEqual([changed.one("Description"), changed.one("MaxSessionDuration")], ["new", "7200"])
  await world.iam("UpdateAssumeRolePolicy", { RoleName: "r", PolicyDocument: trust({ AWS: "*" }, "Deny") })
  assert.match(decoded((await world.iam("GetRole", { RoleName: "r" })).one("AssumeRolePolicyDocument")), /Deny/)
  await world.iam("TagRole", { RoleName: "r", "Tags.member.1.Key": "a", "Tags.member.1.Value": "b" })
  assert.deepEqual((await world.iam("ListRoleTags", { RoleName: "r" })).all("Key"), ["a"])
  await world.iam("UntagRole", { RoleName: "r", "TagKeys.member.1": "a" })
  assert.deepEqual((await world.iam("ListRoles")).all("RoleName"), ["r"])
  await world.iam("ListInstanceProfilesForRole", { RoleName: "r" })
  await world.iam("DeleteRole", { RoleName: "r" })
  await world.refused("NoSuchEntity", "GetRole", { RoleName: "r" })
})

testBothWays("a trust policy that names a missing principal is refused, and changes nothing", async answersLater => {
  const world = await IamWorld.open(answersLater)
  const made = await world.iam("CreateUser", { UserName: "u" })
  const arn = made.one("Arn")
  const [named, nobody] = [trust({ AWS: arn }), trust({ AWS: `${arn}nobody` })]
  const role = (name: string, document: string) => ({ RoleName: name, AssumeRolePolicyDocument: document })
  const strangers = [`${arn}nobody`, arn.replace(":user/", ":role/"), "999999999999", "arn:aws:iam::999999999999:root"]
  for (const AWS of strangers) {
    await world.refused("MalformedPolicyDocument", "CreateRole", role("r", trust({ AWS })))
  }
  await world.refused("NoSuchEntity", "GetRole", { RoleName: "r" })
  await world.iam("CreateRole", role("r", named))
  await world.refused("MalformedPolicyDocument", "UpdateAssumeRolePolicy", { RoleName: "r", PolicyDocument: nobody })
  assert.equal(decoded((await world.iam("GetRole", { RoleName: "r" })).one("AssumeRolePolicyDocument")), named)
  // A stored policy does not prevent changes of its role after the user was deleted.
  await world.iam("DeleteUser", { UserName: "u" })
  await world.iam("UpdateRoleDescription", { RoleName: "r", Description: "still there" })
})

testBothWays("access keys: two per user, rotated, disabled, with the time of their last use", async answersLater => {
  const world = await IamWorld.open(answersLater)
  const bob = await world.user("bob", allow("iam:*"))
  const second = await world.keyOf("bob")
  assert.equal((await world.refused("LimitExceeded", "CreateAccessKey", { UserName: "bob" })).status, 409)
  assert.deepEqual(
    (await world.iam("ListAccessKeys", {}, bob)).all("AccessKeyId").toSorted(),
    [bob.accessKeyId, second.accessKeyId].toSorted(),
  )
  const use = await world.iam("GetAccessKeyLastUsed", { AccessKeyId: bob.accessKeyId })
  assert.deepEqual([use.one("UserName"), use.one("ServiceName"), use.one("Region")], ["bob", "iam", "us-east-1"])
  assert.equal((await world.iam("GetAccessKeyLastUsed", { AccessKeyId: second.accessKeyId })).one("ServiceName"), "N/A")
  await world.refused("ValidationError", "UpdateAccessKey", {
    UserName: "bob",
    AccessKeyId: second.accessKeyId,
    Status: "active",
  })
  await world.iam("UpdateAccessKey", { UserName: "bob", AccessKeyId: second.accessKeyId, Status: "Inactive" })
  assert.equal((await world.refused("InvalidClientTokenId", "GetUser", {}, second)).status, 403)
  await world.iam("UpdateAccessKey", { UserName: "bob", AccessKeyId: second.accessKeyId, Status: "Active" })
  assert.equal((await world.iam("GetUser", {}, second)).one("UserName"), "bob")
  await world.iam("CreateUser", { UserName: "other" })
  await world.refused("NoSuchEntity", "DeleteAccessKey", { UserName: "other", AccessKeyId: bob.accessKeyId })
  await world.refused("DeleteConflict", "DeleteUser", { UserName: "bob" })
  await world.iam("DeleteAccessKey", { UserName: "bob", AccessKeyId: second.accessKeyId })
  await world.refused("InvalidClientTokenId", "GetUser", {}, second)
  await world.refused("NoSuchEntity", "GetAccessKeyLastUsed", { AccessKeyId: "AKIANOBODYNOBODYNOBO" })
  // The root's own key.
  assert.deepEqual((await world.iam("ListAccessKeys")).all("AccessKeyId"), ["HLROOT"])
  await world.refused("InvalidInput", "DeleteAccessKey", { AccessKeyId: "HLROOT" })
})

const OF_KINDS = [
  ["User", "CreateUser", {}],
  ["Group", "CreateGroup", {}],
  ["Role", "CreateRole", { AssumeRolePolicyDocument: trust({ AWS: "*" }) }],
] as const

for (const [Kind, create, terms] of OF_KINDS) {
  testBothWays(`policies of a ${Kind}: inline and attached`, async answersLater => {
    const world = await IamWorld.open(answersLater)
    const who = { [`${Kind}Name`]: "x" }
    await world.iam(create, { ...who, ...terms })
    const PolicyDocument = allow("s3:*", "arn:aws:s3:::b+c/ä*")
    await world.iam(`Put${Kind}Policy`, { ...who, PolicyName: "p", PolicyDocument })
    const got = await world.iam(`Get${Kind}Policy`, { ...who, PolicyName: "p" })
    assert.equal(decoded(got.one("PolicyDocument")), PolicyDocument)
    assert.deepEqual((await world.iam(`List${Kind}Policies`, who)).all("member"), ["p"])
    const bad = await world.refused("MalformedPolicyDocument", `Put${Kind}Policy`, {
      ...who,
      PolicyName: "q",
      PolicyDocument: '{"Statement":{}}',
    })
    assert.equal(bad.status, 400)
    await world.refused("NoSuchEntity", `Get${Kind}Policy`, { ...who, PolicyName: "q" })
    await world.iam(`Delete${Kind}Policy`, { ...who, PolicyName: "p" })
    const PolicyArn = (await world.iam("CreatePolicy", { PolicyName: "m", PolicyDocument })).one("Arn")
    await world.iam(`Attach${Kind}Policy`, { ...who, PolicyArn })
    await world.iam(`Attach${Kind}Policy`, { ...who, PolicyArn: "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess" })
    const listed = await world.iam(`ListAttached${Kind}Policies`, who)
    assert.deepEqual(listed.all("PolicyName").toSorted(), ["AmazonS3ReadOnlyAccess", "m"])
    assert.deepEqual((await world.iam("ListEntitiesForPolicy", { PolicyArn })).all(`${Kind}Name`), ["x"])
    await world.refused("DeleteConflict", "DeletePolicy", { PolicyArn })
    const elsewhere = PolicyArn.replace(/\d{12}/, "999999999999")
    await world.refused("NoSuchEntity", `Attach${Kind}Policy`, { ...who, PolicyArn: elsewhere })
    await world.iam(`Detach${Kind}Policy`, { ...who, PolicyArn })
    await world.refused("NoSuchEntity", `Detach${Kind}Policy`, { ...who, PolicyArn })
    await world.iam("DeletePolicy", { PolicyArn })
    if (Kind === "Group") return
    const boundary = (await world.iam("CreatePolicy", { PolicyName: "limit", PolicyDocument })).one("Arn")
    await world.iam(`Put${Kind}PermissionsBoundary`, { ...who, PermissionsBoundary: boundary })
    assert.equal((await world.iam(`Get${Kind}`, who)).one("PermissionsBoundaryArn"), boundary)
    const use = await world.iam("GetPolicy", { PolicyArn: boundary })
    assert.deepEqual([use.one("AttachmentCount"), use.one("PermissionsBoundaryUsageCount")], ["0", "1"])
    await world.iam(`Delete${Kind}PermissionsBoundary`, who)
    await world.refused("NoSuchEntity", `Delete${Kind}PermissionsBoundary`, who)
  })
}

testBothWays("managed policies: versions, one of which is the default", async answersLater => {
  const world = await IamWorld.open(answersLater)
  const made = await world.iam("CreatePolicy", {
    PolicyName: "m",
    Path: "/a/",
    Description: "d",
    PolicyDocument: allow("s3:Get*"),
  })
  const PolicyArn = made.one("Arn")
  assert.match(PolicyArn, /^arn:aws:iam::\d{12}:policy\/a\/m$/)
  const second = await world.iam("CreatePolicyVersion", {
    PolicyArn,
    PolicyDocument: allow("s3:Put*"),
    SetAsDefault: "true",
  })
  assert.deepEqual([second.one("VersionId"), second.one("IsDefaultVersion")], ["v2", "true"])
  assert.deepEqual((await world.iam("ListPolicyVersions", { PolicyArn })).all("VersionId"), ["v2", "v1"])
  await world.refused("DeleteConflict", "DeletePolicyVersion", { PolicyArn, VersionId: "v2" })
  await world.refused("DeleteConflict", "DeletePolicy", { PolicyArn })
  await world.iam("SetDefaultPolicyVersion", { PolicyArn, VersionId: "v1" })
  assert.equal((await world.iam("GetPolicy", { PolicyArn })).one("DefaultVersionId"), "v1")
  assert.match(
    decoded((await world.iam("GetPolicyVersion", { PolicyArn, VersionId: "v2" })).one("Document")),
    /s3:Put\*/,
  )
  await world.iam("DeletePolicyVersion", { PolicyArn, VersionId: "v2" })
  await world.refused("NoSuchEntity", "GetPolicyVersion", { PolicyArn, VersionId: "v2" })
  await world.refused("ValidationError", "GetPolicyVersion", { PolicyArn, VersionId: "2" })
  await world.iam("TagPolicy", { PolicyArn, "Tags.member.1.Key": "a", "Tags.member.1.Value": "b" })
  assert.deepEqual((await world.iam("ListPolicyTags", { PolicyArn })).all("Value"), ["b"])
  await world.iam("UntagPolicy", { PolicyArn, "TagKeys.member.1": "a" })
  assert.deepEqual((await world.iam("ListPolicies", { Scope: "Local" })).all("PolicyName"), ["m"])
  assert.deepEqual((await world.iam("ListPolicies", { Scope: "Local", OnlyAttached: "true" })).all("PolicyName"), [])
  const builtIn = (await world.iam("ListPolicies", { Scope: "AWS" })).all("Arn")
  assert.ok(builtIn.includes("arn:aws:iam::aws:policy/AdministratorAccess"))
  const seen = [...builtIn, PolicyArn].toSorted()
  assert.deepEqual((await world.iam("ListPolicies")).all("Arn").toSorted(), seen)
  await world.refused("AccessDenied", "DeletePolicy", { PolicyArn: "arn:aws:iam::aws:policy/AdministratorAccess" })
  await world.iam("DeletePolicy", { PolicyArn })
})

testBothWays("OpenID Connect providers: client ids, thumbprints, tags", async answersLater => {
  const world = await IamWorld.open(answersLater)
  const made = await world.iam("CreateOpenIDConnectProvider", {
    Url: "https://id.example.com/realm",
    "ClientIDList.member.1": "app",
  })
  const OpenIDConnectProviderArn = made.one("OpenIDConnectProviderArn")
  assert.match(OpenIDConnectProviderArn, /^arn:aws:iam::\d{12}:oidc-provider\/id\.example\.com\/realm$/)
  await world.refused("EntityAlreadyExists", "CreateOpenIDConnectProvider", { Url: "https://id.example.com/realm" })
  for (const Url of ["ftp://x", "http://id.example.com", "id.example.com", ""])
    await world.refused("ValidationError", "CreateOpenIDConnectProvider", { Url })
  const which = { OpenIDConnectProviderArn }
  await world.iam("AddClientIDToOpenIDConnectProvider", { ...which, ClientID: "more" })
  const placeholder = "Z".repeat(40)
  await world.iam("UpdateOpenIDConnectProviderThumbprint", { ...which, "ThumbprintList.member.1": placeholder })
  for (const characters of [39, 41]) {
    const wrong = { ...which, "ThumbprintList.member.1": "a".repeat(characters) }
    await world.refused("ValidationError", "UpdateOpenIDConnectProviderThumbprint", wrong)
  }
  assert.deepEqual((await world.iam("GetOpenIDConnectProvider", which)).all("member"), ["app", "more", placeholder])
  await world.iam("RemoveClientIDFromOpenIDConnectProvider", { ...which, ClientID: "app" })
  await world.iam("TagOpenIDConnectProvider", { ...which, "Tags.member.1.Key": "a", "Tags.member.1.Value": "b" })
  assert.deepEqual((await world.iam("ListOpenIDConnectProviderTags", which)).all("Value"), ["b"])
  await world.iam("UntagOpenIDConnectProvider", { ...which, "TagKeys.member.1": "a" })
  assert.deepEqual((await world.iam("ListOpenIDConnectProviders")).all("Arn"), [OpenIDConnectProviderArn])
  await world.iam("DeleteOpenIDConnectProvider", which)
  await world.refused("NoSuchEntity", "GetOpenIDConnectProvider", which)
  const elsewhere = { OpenIDConnectProviderArn: OpenIDConnectProviderArn.replace(/\d{12}/, "999999999999") }
  await world.refused("ValidationError", "GetOpenIDConnectProvider", elsewhere)
})

testBothWays("the account: a summary, and no aliases", async answersLater => {
  const world = await IamWorld.open(answersLater)
  await world.iam("CreateUser", { UserName: "u" })
  const summary = (await world.iam("GetAccountSummary")).xml
  const entries = new Map(
    Array.from(summary.matchAll(/<entry><key>(\w+)<\/key><value>(\d+)<\/value><\/entry>/g), ([, key, value]) => [
      key,
      Number(value),
    ]),
  )
  const shown = (...names: readonly string[]) => names.map(name => entries.get(name))
  assert.deepEqual(shown("Users", "Groups", "Roles", "PolicyVersionsInUse"), [1, 0, 0, 0])
  assert.deepEqual(shown("AccessKeysPerUserQuota", "GroupsPerUserQuota", "VersionsPerPolicyQuota"), [2, 10, 5])
  assert.deepEqual(shown("PolicySizeQuota", "UserPolicySizeQuota", "AssumeRolePolicySizeQuota"), [6144, 2048, 2048])
  for (const name of ["UsersQuota", "GroupsQuota", "RolesQuota", "PoliciesQuota"]) {
    assert.equal(entries.get(name), 2 ** 31 - 1, name)
  }
  assert.match((await world.iam("ListAccountAliases")).xml, /<AccountAliases><\/AccountAliases><IsTruncated>false/)
})

testBothWays("unknown actions, versions and parameters are refused by name", async answersLater => {
  const world = await IamWorld.open(answersLater)
  for (const action of ["CreateLoginProfile", "EnableMFADevice", "NoSuchAction", "constructor", "GetCallerIdentity"]) {
    assert.equal((await world.refused("NotImplemented", action)).status, 501, action)
  }
  await world.refused("NotImplemented", "CreateUser", { UserName: "u", Password: "x" })
  await world.refused("ValidationError", "CreateUser", { UserName: "a b" })
  await world.refused("ValidationError", "CreateUser")
  for (const action of ["GetFederationToken", "DecodeAuthorizationMessage", "AssumeRoleWithSAML"]) {
    await world.refused("NotImplemented", action, {}, undefined, "sts")
  }
})
