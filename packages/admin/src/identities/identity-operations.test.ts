/** Users, groups, roles, policies, keys and providers by the admin API, over real services in memory. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { parseAccessKeyId } from "@hayloft/base/ids.js"
import { AUDIT_PAGE } from "../store/audit-schemas.js"
import { GROUP, MANAGED_POLICY, OIDC_PROVIDER, POLICY_HOLDERS, ROLE, USER, USERS } from "./identity-schemas.js"
import type { OperationInput } from "@hayloft/features/operator/index.js"
import { OPERATIONS } from "../operations.js"
import { segmentFrom, segmentsOf } from "../path-template-core.js"
import { KEY, KEY_WITH_SECRET, KEYS } from "../schemas.js"
import { world, type Sent } from "../testing-api.js"
import { accessInMemory } from "../testing-access.js"
import { ROOT } from "../testing-store.js"
import { CREATED_ADMIN_TOKEN } from "./token-schemas.js"

const READ = { Effect: "Allow", Action: "s3:GetObject", Resource: "*" }
const documentOf = (...Statement: unknown[]) => ({ Version: "2012-10-17", Statement })
const TRUST = documentOf({ Effect: "Allow", Principal: "*", Action: "sts:AssumeRole" })
const OF_ROOT = "/v1/accounts/root"

async function identityWorld() {
  const access = accessInMemory(ROOT)
  await access.accounts.ensureRoot()
  const it = world(true, { accounts: access.accounts, identities: access.identities })
  /** The value of a reply, which must have this status. */
  const ok = async (status: number, method: string, path: string, sent?: Sent): Promise<unknown> => {
    const reply = await it.json(method, path, sent)
    assert.equal(reply.status, status, `${method} ${path}: ${JSON.stringify(reply.value)}`)
    return reply.value
  }
  const refused = async (status: number, what: RegExp, method: string, path: string, sent?: Sent): Promise<void> => {
    const reply = await it.json(method, path, sent)
    assert.equal(reply.status, status, `${method} ${path}: ${JSON.stringify(reply.value)}`)
    assert.match(JSON.stringify(reply.value), what)
  }
  return { ...it, access, ok, refused }
}
type World = Awaited<ReturnType<typeof identityWorld>>

const number = async ({ access }: World): Promise<string> => (await access.accounts.getAccount(ROOT))?.number ?? ""

test("a portal with a scoped token creates a user, a policy, a key and a bucket, and nothing else", async () => {
  const { ok, access } = await identityWorld()
  const created = await ok(201, "POST", "/v1/tokens", { body: { name: "portal", scopes: ["identities", "buckets"] } })
  const { token } = CREATED_ADMIN_TOKEN.parse(created)
  await ok(201, "POST", `${OF_ROOT}/users`, { token, body: { name: "ann", tags: { team: "red" } } })
  await ok(204, "POST", `${OF_ROOT}/users/ann/attach`, { token, body: { policy: "readwrite" } })
  const key = KEY_WITH_SECRET.parse(await ok(201, "POST", "/v1/keys", { token, body: { userName: "ann" } }))
  await ok(201, "POST", "/v1/buckets", { token, body: { name: "photos" } })
  const known = await access.accounts.secretOf(parseAccessKeyId(key.accessKeyId), undefined, 0)
  assert.equal(known?.secret, key.secretAccessKey)
  assert.deepEqual([known?.principal.kind, known?.policies.identity.length], ["user", 1])
  for (const path of ["/v1/scrub/pause", "/v1/master-key/rotate"]) await ok(403, "POST", path, { token })
  await ok(403, "GET", "/v1/tokens", { token })
})

test("users are listed by name in pages, renamed, tagged and deleted", async () => {
  const it = await identityWorld()
  const { ok, refused } = it
  for (const name of ["Bea", "ann", "carl"]) await ok(201, "POST", `${OF_ROOT}/users`, { body: { name } })
  await refused(409, /already exists/, "POST", `${OF_ROOT}/users`, { body: { name: "ANN" } })
  const first = USERS.parse(await ok(200, "GET", `${OF_ROOT}/users?max=2`))
  assert.deepEqual([first.users.map(({ name }) => name), first.next], [["ann", "Bea"], "Bea"])
  const second = USERS.parse(await ok(200, "GET", `${OF_ROOT}/users?max=2&after=Bea`))
  assert.deepEqual([second.users.map(({ name }) => name), second.next], [["carl"], undefined])
  const change = { name: "dora", path: "/staff/", tags: { team: "red" } }
  const dora = USER.parse(await ok(200, "POST", `${OF_ROOT}/users/ann`, { body: change }))
  assert.deepEqual([dora.arn, dora.tags], [`arn:aws:iam::${await number(it)}:user/staff/dora`, { team: "red" }])
  await ok(200, "POST", `${OF_ROOT}/users/dora`, { body: { removedTags: ["team"] } })
  assert.deepEqual(USER.parse(await ok(200, "GET", `${OF_ROOT}/users/dora`)).tags, {})
  await ok(204, "DELETE", `${OF_ROOT}/users/dora`)
  await refused(404, /user with name ann cannot be found/, "GET", `${OF_ROOT}/users/ann`)
  await refused(404, /nobody/, "GET", "/v1/accounts/nobody/users")
  await refused(400, /userName is invalid|user/, "POST", `${OF_ROOT}/users`, { body: { name: "a b" } })
})

test("a user with keys, policies and groups is deleted only with all of them", async () => {
  const { ok, refused, access } = await identityWorld()
  await ok(201, "POST", `${OF_ROOT}/users`, { body: { name: "ann" } })
  await ok(201, "POST", `${OF_ROOT}/groups`, { body: { name: "staff" } })
  await ok(204, "PUT", `${OF_ROOT}/groups/staff/members/ann`)
  await ok(204, "PUT", `${OF_ROOT}/users/ann/policies/own`, { body: documentOf(READ) })
  await ok(204, "POST", `${OF_ROOT}/users/ann/attach`, { body: { policy: "arn:aws:iam::aws:policy/readonly" } })
  const { accessKeyId } = KEY.parse(await ok(201, "POST", "/v1/keys", { body: { userName: "ann" } }))
  const ann = USER.parse(await ok(200, "GET", `${OF_ROOT}/users/ann`))
  assert.deepEqual([ann.groups, ann.inline, ann.attached.length, ann.keys], [["staff"], ["own"], 1, [accessKeyId]])
  await refused(400, /must remove access keys first/, "DELETE", `${OF_ROOT}/users/ann`)
  await refused(400, /cascade/, "DELETE", `${OF_ROOT}/users/ann?cascade=yes`)
  await ok(204, "DELETE", `${OF_ROOT}/users/ann?cascade=true`)
  assert.equal(await access.accounts.getKey(parseAccessKeyId(accessKeyId)), undefined)
  assert.deepEqual(USERS.parse(await ok(200, "GET", `${OF_ROOT}/groups/staff/members`)).users, [])
})

test("a group's members are added and removed, and a group is deleted with its memberships", async () => {
  const { ok, refused } = await identityWorld()
  await ok(201, "POST", `${OF_ROOT}/groups`, { body: { name: "staff", path: "/a/" } })
  for (const name of ["ann", "bea"]) {
    await ok(201, "POST", `${OF_ROOT}/users`, { body: { name } })
    await ok(204, "PUT", `${OF_ROOT}/groups/staff/members/${name}`)
  }
  const { users } = USERS.parse(await ok(200, "GET", `${OF_ROOT}/groups/staff/members?max=1`))
  assert.deepEqual(
    users.map(({ name, groups }) => [name, groups]),
    [["ann", ["staff"]]],
  )
  await ok(204, "DELETE", `${OF_ROOT}/groups/staff/members/ann`)
  await refused(404, /not in group/, "DELETE", `${OF_ROOT}/groups/staff/members/ann`)
  await refused(400, /must remove members first/, "DELETE", `${OF_ROOT}/groups/staff`)
  const moved = GROUP.parse(await ok(200, "POST", `${OF_ROOT}/groups/staff`, { body: { path: "/b/" } }))
  assert.match(moved.arn, /:group\/b\/staff$/)
  await ok(204, "DELETE", `${OF_ROOT}/groups/staff?cascade=true`)
  assert.deepEqual(USER.parse(await ok(200, "GET", `${OF_ROOT}/users/bea`)).groups, [])
})

test("a role has terms and a boundary; a faulty trust policy is refused with its place", async () => {
  const { ok, refused } = await identityWorld()
  const role = { name: "reader", trust: TRUST, boundary: "readonly" }
  const made = ROLE.parse(await ok(201, "POST", `${OF_ROOT}/roles`, { body: role }))
  assert.deepEqual([made.trust, made.sessionSecondsMax], [TRUST, 3600])
  assert.equal(made.boundary, "arn:aws:iam::aws:policy/readonly")
  await ok(204, "DELETE", `${OF_ROOT}/roles/reader/boundary`)
  await ok(204, "PUT", `${OF_ROOT}/roles/reader/boundary`, { body: { policy: "readwrite" } })
  const body = { description: "reads", sessionSecondsMax: 7200 }
  const changed = ROLE.parse(await ok(200, "POST", `${OF_ROOT}/roles/reader`, { body }))
  assert.deepEqual([changed.description, changed.sessionSecondsMax, changed.trust], ["reads", 7200, TRUST])
  assert.equal(changed.boundary, "arn:aws:iam::aws:policy/readwrite")
  const faulty = documentOf({ Effect: "Allow", Principal: "*", Action: "s3:GetObject" })
  await refused(400, /\$\.Statement\[0\]\.Action/, "POST", `${OF_ROOT}/roles/reader`, { body: { trust: faulty } })
  await refused(400, /3600 and 43200/, "POST", `${OF_ROOT}/roles/reader`, { body: { sessionSecondsMax: 5 } })
})

test("managed policies: by name, replaced in versions of which five are kept, deleted when nothing has them", async () => {
  const { ok, refused } = await identityWorld()
  const body = { name: "reads", document: documentOf(READ) }
  const { arn } = MANAGED_POLICY.parse(await ok(201, "POST", `${OF_ROOT}/policies`, { body }))
  const path = `${OF_ROOT}/policies/${encodeURIComponent(arn)}`
  for (let version = 2; version <= 7; version += 1) {
    await ok(200, "PUT", `${OF_ROOT}/policies/reads`, { body: documentOf({ ...READ, Sid: `v${version}` }) })
  }
  const shown = MANAGED_POLICY.parse(await ok(200, "GET", path))
  assert.deepEqual(
    shown.versions.map(({ version }) => version),
    [3, 4, 5, 6, 7],
  )
  assert.deepEqual([shown.defaultVersion, shown.document], [7, documentOf({ ...READ, Sid: "v7" })])
  assert.equal(MANAGED_POLICY.parse(await ok(200, "POST", `${path}/versions/4/use`)).defaultVersion, 4)
  await ok(204, "DELETE", `${path}/versions/3`)
  await ok(201, "POST", `${OF_ROOT}/users`, { body: { name: "ann", boundary: "reads" } })
  await ok(204, "POST", `${OF_ROOT}/users/ann/attach`, { body: { policy: "reads" } })
  const { holders } = POLICY_HOLDERS.parse(await ok(200, "GET", `${path}/holders`))
  assert.deepEqual(
    holders.map(({ kind, name, isBoundary }) => [kind, name, isBoundary]),
    [
      ["user", "ann", false],
      ["user", "ann", true],
    ],
  )
  await refused(400, /attached to entities/, "DELETE", path)
  assert.equal(MANAGED_POLICY.parse(await ok(200, "GET", path)).versions.length, 4)
  await ok(204, "POST", `${OF_ROOT}/users/ann/detach`, { body: { policy: arn } })
  await ok(204, "DELETE", `${OF_ROOT}/users/ann/boundary`)
  await ok(204, "DELETE", path)
  await refused(404, /does not exist/, "GET", `${OF_ROOT}/policies/reads`)
})

test("built-in policies are listed first and cannot be changed; one of the account goes by the name before them", async () => {
  const { ok, refused } = await identityWorld()
  const names = async () => JSON.stringify(await ok(200, "GET", `${OF_ROOT}/policies`))
  assert.match(await names(), /"name":"readonly".*"isBuiltIn":true/)
  await refused(400, /built in/, "PUT", `${OF_ROOT}/policies/readonly`, { body: documentOf(READ) })
  await refused(400, /built in/, "DELETE", `${OF_ROOT}/policies/readonly`)
  await ok(201, "POST", `${OF_ROOT}/policies`, { body: { name: "readonly", document: documentOf(READ) } })
  await ok(201, "POST", `${OF_ROOT}/users`, { body: { name: "ann" } })
  await ok(204, "POST", `${OF_ROOT}/users/ann/attach`, { body: { policy: "readonly" } })
  const { attached } = USER.parse(await ok(200, "GET", `${OF_ROOT}/users/ann`))
  assert.match(attached.join(), /^arn:aws:iam::\d{12}:policy\/readonly$/)
})

test("a faulty policy is refused with its place, also one that says one thing twice", async () => {
  const { ok, refused } = await identityWorld()
  await ok(201, "POST", `${OF_ROOT}/users`, { body: { name: "ann" } })
  const path = `${OF_ROOT}/users/ann/policies/own`
  await refused(400, /Statement\[0\]/, "PUT", path, { body: documentOf({ ...READ, Resource: undefined }) })
  const text = '{"Version":"2012-10-17","Statement":{"Effect":"Deny","Effect":"Allow","Action":"*","Resource":"*"}}'
  await refused(400, /\\"Effect\\" twice.*\$\.Statement\.Effect/, "PUT", path, { text })
  await ok(204, "PUT", path, { body: documentOf(READ) })
  assert.deepEqual(await ok(200, "GET", path), { name: "own", document: documentOf(READ) })
  await ok(204, "DELETE", path)
  await refused(404, /policy with name own/, "GET", path)
})

test("a key is rotated: both work and show their last use, until the first is disabled and deleted", async () => {
  const { ok, access } = await identityWorld()
  await ok(201, "POST", `${OF_ROOT}/users`, { body: { name: "ann" } })
  const body = { userName: "ann", description: "backup" }
  const first = KEY_WITH_SECRET.parse(await ok(201, "POST", "/v1/keys", { body })).accessKeyId
  await ok(204, "POST", `/v1/keys/${first}/limits`, { body: { requestsPerSecond: 5 } })
  const second = KEY_WITH_SECRET.parse(await ok(201, "POST", `/v1/keys/${first}/rotate`))
  assert.deepEqual([second.userName, second.description, second.limits?.requestsPerSecond], ["ann", "backup", 5])
  assert.notEqual(second.secretAccessKey, undefined)
  const use = async (id: string, usedMs: number) => {
    const known = await access.accounts.secretOf(parseAccessKeyId(id), undefined, usedMs)
    if (known !== undefined) access.accounts.noteUse(known, usedMs, "s3", "us-east-1")
    return known !== undefined
  }
  assert.ok((await use(first, 100)) && (await use(second.accessKeyId, 200)))
  const uses = async (query: string) =>
    KEYS.parse(await ok(200, "GET", `/v1/keys?${query}`))
      .keys.filter(({ userName }) => userName === "ann")
      .map(({ accessKeyId, isActive, lastUse }) => [accessKeyId === first, isActive, lastUse?.usedMs])
      .sort()
  const both = [
    [false, true, 200],
    [true, true, 100],
  ]
  assert.deepEqual(await uses("accountId=root&userName=ann"), both)
  assert.deepEqual(await uses(""), both)
  await ok(400, "GET", "/v1/keys?userName=ann")
  await ok(204, "POST", `/v1/keys/${first}/disable`)
  assert.ok(!(await use(first, 300)) && (await use(second.accessKeyId, 300)))
  assert.equal(KEY.parse(await ok(200, "GET", `/v1/keys/${first}`)).isActive, false)
  await ok(204, "DELETE", `/v1/keys/${first}`)
  await ok(404, "GET", `/v1/keys/${first}`)
})

test("identity providers are created, changed and deleted", async () => {
  const { ok, refused } = await identityWorld()
  const body = { issuer: "https://id.example.org/realm", clientIds: ["web"] }
  const made = OIDC_PROVIDER.parse(await ok(201, "POST", `${OF_ROOT}/oidc-providers`, { body }))
  assert.equal(made.provider, "id.example.org/realm")
  const path = `${OF_ROOT}/oidc-providers/${encodeURIComponent(made.provider)}`
  const change = { addClientId: "app", removeClientId: "web", tags: { a: "b" } }
  const changed = OIDC_PROVIDER.parse(await ok(200, "POST", path, { body: change }))
  assert.deepEqual([changed.clientIds, changed.tags], [["app"], { a: "b" }])
  await ok(204, "DELETE", path)
  await refused(404, /not found/, "GET", path)
})

/** One of everything, for the path of each operation. */
async function fullWorld() {
  const it = await identityWorld()
  const { ok } = it
  await ok(201, "POST", `${OF_ROOT}/users`, { body: { name: "Ann", path: "/staff/", tags: { Team: "red" } } })
  await ok(201, "POST", `${OF_ROOT}/groups`, { body: { name: "staff" } })
  await ok(204, "PUT", `${OF_ROOT}/groups/staff/members/ann`)
  await ok(201, "POST", `${OF_ROOT}/roles`, { body: { name: "reader", trust: TRUST } })
  await ok(201, "POST", `${OF_ROOT}/policies`, { body: { name: "own", document: documentOf(READ) } })
  for (const kind of ["users/ann", "groups/staff", "roles/reader"]) {
    await ok(204, "PUT", `${OF_ROOT}/${kind}/policies/own`, { body: documentOf(READ) })
    await ok(204, "POST", `${OF_ROOT}/${kind}/attach`, { body: { policy: "own" } })
  }
  await ok(201, "POST", `${OF_ROOT}/oidc-providers`, { body: { issuer: "https://id.example.org" } })
  const { accessKeyId } = KEY.parse(await ok(201, "POST", "/v1/keys", { body: { userName: "ann" } }))
  const names: Readonly<Record<string, string>> = {
    account: "root",
    user: "ann",
    group: "staff",
    role: "reader",
    policy: "own",
    provider: "id.example.org",
    version: "1",
    key: accessKeyId,
  }
  const placeOf = (path: string): string => path.replace(/\{(\w+)\}/g, (_, name: string) => names[name] ?? name)
  return { ...it, placeOf }
}

const IDENTITY_PATH = /^\/v1\/(?:accounts\/\{account\}|keys)(?!.*(?:quota|limits))/
const OF_IDENTITIES = OPERATIONS.filter(({ path }) => IDENTITY_PATH.test(path))

test("every reply that shows identities matches the document", async () => {
  const { ok, placeOf } = await fullWorld()
  for (const { method, path, response } of OF_IDENTITIES) {
    if (method !== "GET") continue
    const value = await ok(200, method, placeOf(path))
    assert.deepEqual(response.schema?.parse(value), value, path)
  }
})

/** Bodies of operations that have one. */
const BODIES: Readonly<Record<string, unknown>> = {
  createUser: { name: "bea", path: "/staff/", tags: { Team: "red" }, boundary: "readonly" },
  createGroup: { name: "others" },
  createRole: { name: "writer", trust: TRUST },
  createPolicy: { name: "more", document: documentOf(READ), tags: { a: "b" } },
  createOidcProvider: { issuer: "https://b.example.org" },
  createKey: { userName: "ann" },
  changeUser: { name: "dora", tags: { a: "b" }, removedTags: ["Team"] },
  changeGroup: { path: "/b/" },
  changeRole: { description: "d", trust: TRUST },
  changeOidcProvider: { addClientId: "x", thumbprints: [] },
  ...Object.fromEntries(
    ["User", "Group", "Role"].flatMap(kind =>
      ["attach", "detach"].map(verb => [`${verb}${kind}Policy`, { policy: "own" }]),
    ),
  ),
  setUserBoundary: { policy: "own" },
  setRoleBoundary: { policy: "own" },
}

test("every operation on identities says which actions of IAM it takes, on which ARN", async () => {
  const { placeOf, access, store } = await fullWorld()
  const services = { ...store.parts, ...access, rootAccount: ROOT, region: "us-east-1", newBucketSettings: new Map() }
  const lines: string[] = []
  for (const { id, path, permission, mayNeedOwnAction } of OF_IDENTITIES) {
    const segments = segmentsOf(path, placeOf(path)) ?? new Map()
    const query = new Map(id === "deleteUser" ? [["cascade", "true"]] : [])
    const input: OperationInput = {
      segment: segmentFrom(segments),
      query,
      body: BODIES[id],
      isAllowed: async () => true,
      caller: { kind: "operator", id: "", name: "" },
      signal: new AbortController().signal,
      signer: undefined,
      host: undefined,
    }
    const required = (await permission?.(services, input)) ?? []
    assert.ok(required.length > 0 || mayNeedOwnAction === true, `${id} needs no permission`)
    for (const { action, resource, owner, conditions } of required) {
      assert.equal(owner, ROOT)
      const shown = [...(conditions ?? [])].map(([name, value]) => `${name}=${String(value)}`).join(" ")
      lines.push(`${id}: ${action} ${resource} ${shown}`.replace(/\d{12}/g, "N").trimEnd())
    }
  }
  for (const line of [
    "createUser: iam:CreateUser arn:aws:iam::N:user/staff/bea aws:requesttag/team=red aws:tagkeys=Team iam:permissionsboundary=arn:aws:iam::aws:policy/readonly",
    "createUser: iam:TagUser arn:aws:iam::N:user/staff/bea aws:requesttag/team=red aws:tagkeys=Team iam:permissionsboundary=arn:aws:iam::aws:policy/readonly",
    "getUser: iam:GetUser arn:aws:iam::N:user/staff/Ann aws:resourcetag/team=red iam:resourcetag/team=red",
    "attachUserPolicy: iam:AttachUserPolicy arn:aws:iam::N:user/staff/Ann aws:resourcetag/team=red iam:resourcetag/team=red iam:policyarn=arn:aws:iam::N:policy/own",
    "listUsers: iam:ListUsers arn:aws:iam::N:user/",
    "changeGroup: iam:UpdateGroup arn:aws:iam::N:group/staff aws:tagkeys=",
    "changeGroup: iam:UpdateGroup arn:aws:iam::N:group/b/staff aws:tagkeys=",
    "changeRole: iam:UpdateAssumeRolePolicy arn:aws:iam::N:role/reader aws:tagkeys=",
    "createGroup: iam:CreateGroup arn:aws:iam::N:group/others",
    "getPolicy: iam:GetPolicyVersion arn:aws:iam::N:policy/own",
    "addMember: iam:AddUserToGroup arn:aws:iam::N:group/staff",
    "deleteOidcProvider: iam:DeleteOpenIDConnectProvider arn:aws:iam::N:oidc-provider/id.example.org",
    "changeOidcProvider: iam:UpdateOpenIDConnectProviderThumbprint arn:aws:iam::N:oidc-provider/id.example.org",
    "createKey: iam:CreateAccessKey arn:aws:iam::N:user/staff/Ann aws:resourcetag/team=red iam:resourcetag/team=red",
    "disableKey: iam:UpdateAccessKey arn:aws:iam::N:user/staff/Ann aws:resourcetag/team=red iam:resourcetag/team=red",
  ])
    assert.ok(lines.includes(line), `${line} is not in\n${lines.join("\n")}`)
  const cascade = lines.filter(line => line.startsWith("deleteUser:")).map(line => line.split(" ")[1])
  const all = ["DeleteUser", "DeleteAccessKey", "DeleteUserPolicy", "DetachUserPolicy", "RemoveUserFromGroup"]
  assert.deepEqual(
    cascade,
    all.map(action => `iam:${action}`),
  )
  const renamed = lines
    .filter(line => line.startsWith("changeUser:"))
    .map(line => line.split(" ").slice(1, 3).join(" "))
  assert.deepEqual(renamed, [
    "iam:UpdateUser arn:aws:iam::N:user/staff/Ann",
    "iam:TagUser arn:aws:iam::N:user/staff/Ann",
    "iam:UntagUser arn:aws:iam::N:user/staff/Ann",
    "iam:UpdateUser arn:aws:iam::N:user/staff/dora",
  ])
})

test("the audit log says which user of which account a change is of, before and after, with policies and without secrets", async () => {
  const { ok } = await fullWorld()
  await ok(204, "POST", `${OF_ROOT}/users/ann/detach`, { body: { policy: "own" } })
  const { entries } = AUDIT_PAGE.parse(await ok(200, "GET", "/v1/audit"))
  const [detached] = entries
  assert.deepEqual([detached?.operation, detached?.target], ["detachUserPolicy", "root/ann"])
  assert.match(detached?.before ?? "", /"attached":\["arn:aws:iam::\d{12}:policy\/own"\]/)
  assert.match(detached?.after ?? "", /"attached":\[\]/)
  const put = entries.find(({ operation }) => operation === "putUserPolicy")
  assert.match(put?.request ?? "", /"Action":"s3:GetObject"/)
  assert.match(put?.after ?? "", /"name":"own","document":\{/)
  const made = entries.find(({ operation }) => operation === "createKey")
  assert.match(made?.after ?? "", /"secretAccessKey":"\(hidden\)"/)
  const user = entries.find(({ operation }) => operation === "createUser")
  assert.match(user?.after ?? "", /"arn":"arn:aws:iam::\d{12}:user\/staff\/Ann"/)
  const provider = entries.find(({ operation }) => operation === "createOidcProvider")
  assert.match(provider?.request ?? "", /id\.example\.org/)
})
