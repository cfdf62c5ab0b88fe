/** The commands and queries of accounts, access keys, users, groups, roles, policies and providers. */
import { parseAccessKeyId, parseAccountId, rowKeyOf } from "@hayloft/base/ids.js"
import type { AccessKeyId, AccountId } from "@hayloft/base/ids.js"
import {
  addAccessKey,
  changeAccessKey,
  createAccount,
  dropAccessKey,
  limitAccessKey,
  limitAccount,
  noteKeyUses,
  numberAccount,
  resealAccessKey,
  setKeyActive,
} from "@hayloft/access/accounts/account-commands-core.js"
import {
  readAccessKey,
  readAccessKeys,
  readSealedKeys,
  readAccount,
  readAccountOfNumber,
  readAccounts,
  readAssumableRole,
  readKeysOfUser,
  readKeyUse,
  readKeyUses,
  readNumberedAccounts,
} from "@hayloft/access/accounts/account-queries-core.js"
import { findAccount } from "@hayloft/access/accounts/find-account-core.js"
import {
  attachPolicy,
  createIdentity,
  deleteIdentity,
  detachPolicy,
  joinGroup,
  leaveGroup,
  putInline,
  removeInline,
  renameUser,
  setBoundary,
  setPath,
  setTags,
  updateRole,
} from "@hayloft/access/identities/identity-commands-core.js"
import { groupMembership, policyMembership } from "@hayloft/access/identities/identity-links-core.js"
import {
  readIdentities,
  readIdentity,
  readLinked,
  readPolicies,
  readPolicy,
  readPolicyNamed,
  readPolicyUse,
  readProvider,
  readProviders,
  readWithPolicies,
} from "@hayloft/access/identities/identity-queries-core.js"
import {
  addVersion,
  createPolicy,
  deletePolicy,
  removeVersion,
  setDefaultVersion,
  setPolicyTags,
} from "@hayloft/access/identities/managed-policy-commands-core.js"
import { readNamedIdentities, readPrincipals } from "@hayloft/access/identities/named-principals-core.js"
import { identityArn, policyArn, rootArn, sessionArn } from "@hayloft/access/identities/names.js"
import { createProvider, deleteProvider, updateProvider } from "@hayloft/access/identities/provider-commands-core.js"
import { readKey, readRoleSession, type RootKeyRef } from "@hayloft/access/accounts/key-records-core.js"
import { accountNumberOf } from "@hayloft/engine/format/accounts/account-number.js"
import {
  decodeIdentity,
  decodeManagedPolicy,
  type IdentityKind,
  type IdentityRecord,
} from "@hayloft/engine/format/accounts/identity-records.js"
import { packRecord } from "@hayloft/engine/format/encoding/pack.js"
import { accountRange, textRowKey } from "@hayloft/engine/format/row-key.js"
import { command } from "@hayloft/engine/metadata/index.js"
import { ACCOUNTS, commandKind, queryKind, type PlayKind, type Scene } from "./scene.js"
import type { IdentityRef } from "@hayloft/access/contract.js"

const OLD_ACCOUNT = parseAccountId("old")
const USERS = ["Ann", "bob"]
const GROUPS = ["Devs", "ops"]
const ROLES = ["Reader"]
const POLICIES = ["Read", "write", "spare"]
const NAMES: Readonly<Record<IdentityKind, readonly string[]>> = { user: USERS, group: GROUPS, role: ROLES }
const PATHS = ["/", "/team/"]
const SEALED = new Uint8Array(40).fill(1)
const KEYS = ["AKIA1", "AKIA2", "AKIA3", "SERVICE1"].map(parseAccessKeyId)
const ROOT_KEY: RootKeyRef = { accessKeyId: parseAccessKeyId("ROOT"), accountId: parseAccountId("root") }
const PROVIDERS = ["https://idp.example/a", "https://idp.example/b"]
const BUILT_IN = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"
const FIRST = rowKeyOf("")
const TEXT = '{"Version":"2012-10-17","Statement":[]}'

/** The first account mostly: with few accounts, identities meet. */
const accountOf = (scene: Scene): AccountId =>
  scene.oneIn(10) ? scene.pick([...ACCOUNTS, OLD_ACCOUNT]) : ROOT_KEY.accountId
const numberOf = (scene: Scene, id: AccountId) => findAccount(scene.model.committed, id)?.number ?? accountNumberOf(id)
const tagsOf = (scene: Scene) => scene.some([["team", "storage"] as const, ["stage", "test"] as const])

/** Returns true for most plays at the same time, so that they name the same things. */
const isNear = (scene: Scene): boolean => scene.focus !== undefined && !scene.oneIn(4)

/** Sometimes with other capitals: names are compared without case. */
function nameOf(scene: Scene, kind: IdentityKind): string {
  const [first = ""] = NAMES[kind]
  if (isNear(scene)) return first
  const name = scene.pick(NAMES[kind])
  return scene.oneIn(6) ? name.toUpperCase() : name
}

function identities(scene: Scene) {
  return scene.rows("identities").map(([key, row]) => {
    const record = decodeIdentity(row.value)
    return { accountId: parseAccountId(key.slice(0, key.indexOf("\x00"))), record }
  })
}

const kindOf = (scene: Scene): IdentityKind =>
  scene.pick(isNear(scene) ? ["user", "group", "group"] : ["user", "user", "group", "role"])

/** Half of the time one that exists. */
function refOf(scene: Scene, kind = kindOf(scene)): IdentityRef {
  const found = identities(scene).filter(({ record }) => record.kind === kind)
  if (found.length === 0 || isNear(scene) || scene.oneIn(2)) {
    return { accountId: accountOf(scene), kind, name: nameOf(scene, kind) }
  }
  const { accountId, record } = scene.pick(found)
  return { accountId, kind, name: record.name }
}

/** Mostly one that exists. */
function policyOf(scene: Scene, accountId: AccountId, names = POLICIES): string {
  const number = numberOf(scene, accountId)
  if (isNear(scene)) return policyArn(number, { path: "/", name: names[0] ?? "" })
  const records = scene
    .rows("managedPolicies", accountRange(accountId))
    .map(([, row]) => decodeManagedPolicy(row.value))
  const own = records.filter(({ name }) => names.includes(name)).map(record => policyArn(number, record))
  const unknown = () => policyArn(number, { path: scene.pick(PATHS), name: scene.pick(names) })
  return scene.oneIn(10) ? BUILT_IN : scene.pickOr(own, unknown)
}

/** An identity and a policy, which it mostly has. */
function attachment(scene: Scene): readonly [IdentityRef, string] {
  const found = identities(scene).flatMap(({ accountId, record: { kind, name, attached } }) =>
    attached.map(arn => [{ accountId, kind, name }, arn] as const),
  )
  return scene.pickOr(found, () => {
    const ref = refOf(scene)
    return [ref, policyOf(scene, ref.accountId)] as const
  })
}

function newIdentity(scene: Scene): readonly [AccountId, Omit<IdentityRecord, "createdMs">] {
  const { accountId, kind, name } = refOf(scene)
  const role = { description: "", trust: TEXT, sessionSecondsMax: 3600 }
  const boundary = kind !== "group" && scene.oneIn(4) ? policyOf(scene, accountId) : undefined
  const identity = { kind, name, path: scene.pick(PATHS), id: `ID${scene.random.below(1 << 30)}`, tags: tagsOf(scene) }
  const memberships = { inline: [], attached: [], groups: [], keys: [] }
  return [accountId, { ...identity, ...memberships, boundary, role: kind === "role" ? role : undefined }]
}

const ownerOf = (scene: Scene) => ({
  accountId: accountOf(scene),
  userName: scene.oneIn(3) ? undefined : nameOf(scene, "user"),
})

/** The terms of a key for a program; undefined: the key is one of a user. */
const termsOf = (id: AccessKeyId) =>
  id.startsWith("SERVICE") ? { description: "backup", expiresMs: undefined, policy: TEXT } : undefined

function newKey(scene: Scene, id: AccessKeyId) {
  const service = termsOf(id)
  return addAccessKey(id, {
    ...ownerOf(scene),
    sealedSecret: scene.oneIn(2) ? SEALED : scene.random.bytes(40),
    service,
  })
}

/** An account as a release without account numbers wrote it. */
const plantOldAccount = command<[], void>({
  name: "PlantOldAccount",
  decide(view) {
    const key = textRowKey(OLD_ACCOUNT)
    const value = packRecord(1, [OLD_ACCOUNT, "Old", "", 1])
    const isThere = view.get("accounts", key) !== undefined
    return { writes: isThere ? [] : [{ family: "accounts", key, value }], result: undefined }
  },
})

const someLimits = (scene: Scene) =>
  scene.oneIn(2) ? undefined : { requestsPerSecond: 10, burst: undefined, bytesPerSecond: 1_000 }

const ACCOUNT_COMMANDS: readonly PlayKind[] = [
  commandKind("CreateAccount", 3, scene =>
    createAccount({ id: scene.pick(ACCOUNTS), displayName: "Ann", email: "ann@hayloft.example" }),
  ),
  commandKind("PlantOldAccount", 1, () => plantOldAccount()),
  commandKind("NumberAccount", 1, scene => numberAccount(scene.pick([...ACCOUNTS, OLD_ACCOUNT, OLD_ACCOUNT]))),
  commandKind("AddAccessKey", 4, scene => newKey(scene, scene.pick(KEYS))),
  commandKind("ChangeAccessKey", 1, scene => {
    const id = scene.pick(KEYS)
    const terms = termsOf(scene.oneIn(8) ? scene.pick(KEYS) : id)
    const service = terms && { ...terms, description: scene.pick(["nightly", "weekly"]) }
    return changeAccessKey(id, { service, sealedSecret: scene.oneIn(2) ? scene.random.bytes(40) : undefined })
  }),
  commandKind("DropAccessKey", 2, scene =>
    dropAccessKey(scene.pick(KEYS), scene.oneIn(2) ? undefined : ownerOf(scene)),
  ),
  commandKind("SetKeyActive", 2, scene =>
    setKeyActive(scene.pick(KEYS), scene.oneIn(2), scene.oneIn(2) ? undefined : ownerOf(scene)),
  ),
  commandKind("LimitAccount", 1, scene => limitAccount(scene.pick(ACCOUNTS), someLimits(scene))),
  commandKind("LimitAccessKey", 1, scene => limitAccessKey(scene.pick(KEYS), someLimits(scene))),
  commandKind("ResealAccessKey", 1, scene =>
    resealAccessKey(scene.pick(KEYS), SEALED, scene.oneIn(2) ? SEALED : Uint8Array.of(7)),
  ),
  commandKind("NoteKeyUses", 2, scene => {
    const uses = scene.some([...KEYS, ROOT_KEY.accessKeyId])
    const use = { usedMs: scene.nowMs, service: "s3", region: "" }
    return noteKeyUses(
      uses.map(id => ({ ...use, id })),
      ROOT_KEY.accessKeyId,
    )
  }),
]

const IDENTITY_COMMANDS: readonly PlayKind[] = [
  commandKind("CreateIdentity", 6, scene => createIdentity(...newIdentity(scene))),
  commandKind("RenameUser", 2, scene =>
    renameUser(refOf(scene, "user"), nameOf(scene, "user"), scene.pick([undefined, ...PATHS])),
  ),
  commandKind("DeleteIdentity", 3, scene => deleteIdentity(refOf(scene))),
  commandKind("UpdateIdentity", 1, scene => setPath(refOf(scene), scene.pick([undefined, ...PATHS]))),
  commandKind("UpdateRole", 1, scene => updateRole(refOf(scene, scene.pick(["role", "user"])), { description: "new" })),
  commandKind("TagIdentity", 1, scene => setTags(refOf(scene), tagsOf(scene), scene.some(["team", "stage"]))),
  commandKind("PutInlinePolicy", 2, scene => putInline(refOf(scene), scene.pick(["in", "out"]), TEXT)),
  commandKind("DeleteInlinePolicy", 2, scene => removeInline(refOf(scene), scene.pick(["in", "out"]))),
  commandKind("AttachPolicy", 4, scene => {
    const ref = refOf(scene)
    return attachPolicy(ref, policyOf(scene, ref.accountId, POLICIES.slice(0, 2)))
  }),
  commandKind("DetachPolicy", 3, scene => detachPolicy(...attachment(scene))),
  commandKind("SetBoundary", 2, scene => {
    const ref = refOf(scene, scene.pick(["user", "role"]))
    return setBoundary(ref, scene.oneIn(3) ? undefined : policyOf(scene, ref.accountId))
  }),
  commandKind("JoinGroup", 4, scene => joinGroup(refOf(scene, "user"), nameOf(scene, "group"))),
  commandKind("LeaveGroup", 5, scene => {
    const members = identities(scene).filter(({ record }) => record.groups.length > 0)
    if (members.length === 0 || scene.oneIn(4)) return leaveGroup(refOf(scene, "user"), nameOf(scene, "group"))
    const { accountId, record } = scene.pick(members)
    return leaveGroup({ accountId, kind: "user", name: record.name }, scene.pick(record.groups))
  }),
]

const POLICY_COMMANDS: readonly PlayKind[] = [
  commandKind("CreatePolicy", 4, scene => {
    const policy = {
      name: scene.pick(isNear(scene) ? POLICIES.slice(0, 1) : POLICIES),
      path: "/",
      id: `P${scene.random.below(1 << 30)}`,
    }
    return createPolicy(accountOf(scene), { ...policy, description: "", tags: tagsOf(scene) }, TEXT)
  }),
  commandKind("AddPolicyVersion", 3, scene => {
    const accountId = accountOf(scene)
    return addVersion(accountId, policyOf(scene, accountId), TEXT, scene.oneIn(2))
  }),
  commandKind("RemovePolicyVersion", 2, scene => {
    const accountId = accountOf(scene)
    return removeVersion(accountId, policyOf(scene, accountId), 1 + scene.random.below(3))
  }),
  commandKind("SetDefaultPolicyVersion", 2, scene => {
    const accountId = accountOf(scene)
    return setDefaultVersion(accountId, policyOf(scene, accountId), 1 + scene.random.below(3))
  }),
  commandKind("TagPolicy", 1, scene => {
    const accountId = accountOf(scene)
    return setPolicyTags(accountId, policyOf(scene, accountId), tagsOf(scene), ["stage"])
  }),
  commandKind("DeletePolicy", 3, scene => {
    const accountId = accountOf(scene)
    return deletePolicy(accountId, policyOf(scene, accountId))
  }),
  commandKind("CreateIdentityProvider", 2, scene => {
    const terms = { clientIds: ["client"], thumbprints: [], tags: tagsOf(scene) }
    return createProvider(accountOf(scene), { url: scene.pick(PROVIDERS), ...terms })
  }),
  commandKind("UpdateIdentityProvider", 1, scene => {
    const change = scene.pick([{ addClientId: "other" }, { removeClientId: "other" }, { tags: tagsOf(scene) }])
    return updateProvider(accountOf(scene), scene.pick(PROVIDERS), change)
  }),
  commandKind("DeleteIdentityProvider", 1, scene => deleteProvider(accountOf(scene), scene.pick(PROVIDERS))),
]

export const ACCESS_COMMANDS: readonly PlayKind[] = [...ACCOUNT_COMMANDS, ...IDENTITY_COMMANDS, ...POLICY_COMMANDS]

const roleArn = (scene: Scene, accountId: AccountId): string =>
  identityArn(numberOf(scene, accountId), { kind: "role", path: scene.pick(PATHS), name: scene.pick(ROLES) })

function principals(scene: Scene) {
  const accountId = accountOf(scene)
  const number = numberOf(scene, accountId)
  const user = identityArn(number, { kind: "user", path: "/", name: scene.pick(USERS) })
  const named = [rootArn(number), user, roleArn(scene, accountId), sessionArn(number, "Reader", "session"), "*"]
  return readPrincipals([
    ...named.map(value => ({ type: "AWS", value }) as const),
    { type: "CanonicalUser", value: accountId },
  ])
}

function roleSession(scene: Scene) {
  const accountId = accountOf(scene)
  return readRoleSession({
    accountId,
    roleName: scene.pick(ROLES),
    rootKey: ROOT_KEY,
    policyArns: [policyOf(scene, accountId)],
    roots: [
      { kind: "key", id: scene.pick(KEYS) },
      { kind: "role", accountId, name: scene.pick(ROLES), id: "ID1" },
      { kind: "provider", accountId, url: scene.pick(PROVIDERS) },
    ],
  })
}

export const ACCESS_QUERIES: readonly PlayKind[] = [
  queryKind("ReadAccount", scene => readAccount(accountOf(scene))),
  queryKind("ReadAccountOfNumber", scene => readAccountOfNumber(numberOf(scene, accountOf(scene)))),
  queryKind("ReadAccounts", scene => readAccounts(scene.pick([FIRST, rowKeyOf("b")]))),
  queryKind("ReadNumberedAccounts", () => readNumberedAccounts(FIRST)),
  queryKind("ReadAccessKey", scene => readAccessKey(scene.pick(KEYS))),
  queryKind("ReadSealedKeys", () => readSealedKeys(FIRST)),
  queryKind("ReadAccessKeys", () => readAccessKeys(FIRST)),
  queryKind("ReadKeysOfUser", scene => readKeysOfUser(accountOf(scene), nameOf(scene, "user"))),
  queryKind("ReadKeyUse", scene => readKeyUse(scene.pick([...KEYS, ROOT_KEY.accessKeyId]))),
  queryKind("ReadKeyUses", () => readKeyUses(FIRST)),
  queryKind("ReadAssumableRole", scene => {
    const accountId = accountOf(scene)
    return readAssumableRole(roleArn(scene, accountId), [policyOf(scene, accountId)])
  }),
  queryKind("ReadKey", scene => readKey(scene.pick([...KEYS, ROOT_KEY.accessKeyId]), ROOT_KEY)),
  queryKind("ReadRoleSession", roleSession),
  queryKind("ReadIdentity", scene => readIdentity(refOf(scene))),
  queryKind("ReadWithPolicies", scene => readWithPolicies(refOf(scene, scene.pick(["user", "role"])))),
  queryKind("ReadIdentities", scene => {
    const { accountId, kind } = refOf(scene)
    return readIdentities(accountId, kind, FIRST)
  }),
  queryKind("ReadLinked", scene => {
    const accountId = accountOf(scene)
    const membership = scene.oneIn(2)
      ? groupMembership(scene.pick(GROUPS))
      : policyMembership(policyOf(scene, accountId))
    return readLinked(accountId, membership, FIRST)
  }),
  queryKind("ReadPolicy", scene => {
    const accountId = accountOf(scene)
    return readPolicy(accountId, policyOf(scene, accountId))
  }),
  queryKind("ReadPolicyNamed", scene => readPolicyNamed(accountOf(scene), scene.pick(POLICIES))),
  queryKind("ReadPolicyUse", scene => {
    const accountId = accountOf(scene)
    return readPolicyUse(accountId, policyOf(scene, accountId))
  }),
  queryKind("ReadPolicies", scene => readPolicies(accountOf(scene), FIRST)),
  queryKind("ReadProvider", scene => readProvider(accountOf(scene), scene.pick(PROVIDERS))),
  queryKind("ReadProviders", scene => readProviders(accountOf(scene))),
  queryKind("ReadPrincipals", principals),
  queryKind("ReadNamedIdentities", () => readNamedIdentities(FIRST)),
]
