/** The identity behind a key, a session or a named principal; deleted and disabled ones have none. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { must } from "@hayloft/base/assert.js"
import { isFailure } from "@hayloft/base/failures.js"
import { parseAccountId } from "@hayloft/base/ids.js"
import { ALL_ROWS } from "@hayloft/base/rows/key-range.js"
import { accountNumberOf } from "@hayloft/engine/format/accounts/account-number.js"
import { accountRange, textRowKey } from "@hayloft/engine/format/row-key.js"
import {
  addAccessKey,
  changeAccessKey,
  createAccount,
  dropAccessKey,
  limitAccessKey,
  limitAccount,
  noteKeyUses,
  numberAccount,
  setKeyActive,
} from "./account-commands-core.js"
import {
  readAccessKeys,
  readAccount,
  readAccountOfNumber,
  readAccounts,
  readAssumableRole,
  readKeysOfUser,
  readKeyUse,
} from "./account-queries-core.js"
import {
  attachPolicy,
  deleteIdentity,
  identityRow,
  joinGroup,
  putInline,
  setBoundary,
} from "../identities/identity-commands-core.js"
import { readPolicies } from "../identities/identity-queries-core.js"
import { IDENTITY_LIMITS } from "../identities/limits.js"
import { readNamedIdentities, readPrincipals } from "../identities/named-principals-core.js"
import { readProvider, readProviders } from "../identities/identity-queries-core.js"
import { createProvider, deleteProvider, updateProvider } from "../identities/provider-commands-core.js"
import { readKey, readRoleSession } from "./key-records-core.js"
import { accountId, addKey, ALLOW_ALL, keyId, newCompany, refuses, type Company } from "./testing-company.js"

const ROOT_KEY = { accessKeyId: keyId(0), accountId }
const ROLE = { role: { trust: ALLOW_ALL, description: "", sessionSecondsMax: 3600 } }
const find = ({ metadata }: Company, number: number, root = ROOT_KEY) => metadata.ask(readKey(keyId(number), root))

test("a key resolves to its user with all policies: own, attached, and those of groups", async () => {
  const company = await newCompany()
  const { create, metadata, policy, ref, user } = company
  await create("user", "Ann")
  await create("group", "Staff")
  await addKey(company, 1, "Ann")
  const [arn, limit] = [await policy("Read"), await policy("Limit")]
  await metadata.run(putInline(user, "own", "own text"))
  await metadata.run(attachPolicy(user, arn))
  await metadata.run(putInline(ref("group", "Staff"), "shared", "shared text"))
  await metadata.run(joinGroup(user, "Staff"))
  assert.equal((await find(company, 1))?.attached?.boundary, undefined)
  await metadata.run(setBoundary(user, limit))
  const found = must(await find(company, 1), "the key exists")
  assert.deepEqual([found.account.id, found.user?.name, found.key?.isActive], [accountId, "Ann", true])
  assert.deepEqual(found.attached, {
    identity: [
      { name: "user Ann: inline own", text: "own text" },
      { name: "user Ann: policy Read", text: ALLOW_ALL },
      { name: "group Staff: inline shared", text: "shared text" },
    ],
    boundary: { name: "policy Limit", text: ALLOW_ALL },
  })
})

test("a key of the account itself has no user, and the root key has no record", async () => {
  const company = await newCompany()
  await addKey(company, 1)
  const own = await find(company, 1)
  assert.deepEqual([own?.account.id, own?.user, own?.attached], [accountId, undefined, undefined])
  const root = await find(company, 0)
  assert.deepEqual([root?.account.id, root?.key, root?.user], [accountId, undefined, undefined])
  assert.equal(await find(company, 2), undefined)
  assert.equal(await find(company, 0, { ...ROOT_KEY, accountId: parseAccountId("unknown") }), undefined)
})

test("a disabled key resolves to nothing, and to its user again once it is enabled", async () => {
  const company = await newCompany()
  await company.create("user", "Ann")
  await addKey(company, 1, "Ann")
  await company.metadata.run(setKeyActive(keyId(1), false, undefined))
  assert.equal(await find(company, 1), undefined)
  await company.metadata.run(setKeyActive(keyId(1), true, undefined))
  assert.equal((await find(company, 1))?.user?.name, "Ann")
})

test("a role session has the role's policies and its own limits, and ends when its source is deleted", async () => {
  const company = await newCompany()
  const { create, metadata, policy, ref } = company
  const arn = await policy("Limit")
  const { id } = await create("role", "Reader", ROLE)
  await create("user", "Ann")
  await addKey(company, 1, "Ann")
  await addKey(company, 2, "Ann", { description: "", expiresMs: 99, policy: undefined })
  const provider = await metadata.run(
    createProvider(accountId, { url: "https://id.example.com", clientIds: ["app"], thumbprints: [], tags: [] }),
  )
  await metadata.run(putInline(ref("role", "Reader"), "own", "text"))
  const session = (roleName = "Reader", account = accountId) =>
    metadata.ask(
      readRoleSession({
        accountId: account,
        roleName,
        policyArns: [arn, `${arn}unknown`],
        rootKey: ROOT_KEY,
        roots: [
          { kind: "key", id: keyId(1) },
          { kind: "key", id: keyId(2) },
          { kind: "key", id: keyId(9) },
          { kind: "role", accountId, name: "Reader", id },
          { kind: "role", accountId, name: "Reader", id: "another" },
          { kind: "provider", accountId, url: provider.url },
          { kind: "provider", accountId, url: "https://other.example.com" },
        ],
      }),
    )
  const found = must(await session(), "the role exists")
  assert.equal(found.role.name, "Reader")
  assert.deepEqual(found.attached.identity, [{ name: "role Reader: inline own", text: "text" }])
  assert.deepEqual(found.limits, [{ name: "session: policy Limit", text: ALLOW_ALL }, undefined])
  assert.deepEqual(
    found.roots.map(({ exists }) => exists),
    [true, true, false, true, false, true, false],
  )
  assert.deepEqual([found.roots[0]?.expiresMs, found.roots[1]?.expiresMs], [undefined, 99])
  assert.equal(await session("Writer"), undefined)
  assert.equal(await session("Reader", parseAccountId("unknown")), undefined)
})

test("a role is found by its whole ARN; a session policy that does not exist is reported", async () => {
  const { create, metadata, number, policy } = await newCompany()
  const arn = await policy("Limit")
  await create("role", "Reader", { ...ROLE, path: "/team/" })
  const find = (text: string, policies: readonly string[] = []) => metadata.ask(readAssumableRole(text, policies))
  const role = `arn:aws:iam::${number}:role/team/Reader`
  const found = must(await find(role, [arn]), "the role exists")
  assert.deepEqual([found.account.id, found.role.name, found.missingPolicy], [accountId, "Reader", undefined])
  assert.equal((await find(role, [arn, `${arn}unknown`]))?.missingPolicy, `${arn}unknown`)
  const others = [
    `arn:aws:iam::${number}:role/Reader`,
    `arn:aws:iam::${number}:role/team/reader`,
    `arn:aws:iam::${number}:user/team/Reader`,
    "arn:aws:iam::aws:role/team/Reader",
    "arn:aws:iam::000000000001:role/team/Reader",
    `arn:aws:iam::${number}:role/team/Writer`,
  ]
  for (const other of others) assert.equal(await find(other), undefined, other)
})

test("a policy's principals are found by their whole name only, and have a unique id", async () => {
  const { create, metadata, number } = await newCompany()
  const ann = await create("user", "Ann", { path: "/team/" })
  const reader = await create("role", "Reader", ROLE)
  const look = async (value: string, type: "AWS" | "CanonicalUser" | "Service" = "AWS") => {
    const [found] = await metadata.ask(readPrincipals([{ type, value }]))
    return found?.exists === true ? (found.uniqueId ?? true) : false
  }
  const iam = `arn:aws:iam::${number}`
  const expected: readonly (readonly [string, string | boolean])[] = [
    [`${iam}:root`, true],
    [number, true],
    ["*", true],
    ["arn:aws:iam::000000000001:root", false],
    [`${iam}:user/team/Ann`, ann.id],
    [`${iam}:user/Ann`, false],
    [`${iam}:user/team/ann`, false],
    [`${iam}:user/team/Bob`, false],
    [`${iam}:role/Reader`, reader.id],
    [`${iam}:role/team/Reader`, false],
    [`arn:aws:sts::${number}:assumed-role/Reader/session`, `${reader.id}:session`],
    [`arn:aws:sts::${number}:assumed-role/Reader`, true],
    [`arn:aws:sts::${number}:assumed-role/reader/session`, false],
    [`arn:aws:sts::${number}:assumed-role/Writer/session`, false],
    [`${iam}:group/Staff`, false],
  ]
  for (const [value, result] of expected) assert.equal(await look(value), result, value)
  assert.equal(await look("s3.amazonaws.com", "Service"), true)
  assert.equal(await look(accountId, "CanonicalUser"), true)
  assert.equal(await look("unknown", "CanonicalUser"), false)
})

test("users and roles of all accounts are listed with their account, without groups", async () => {
  const { create, metadata, number } = await newCompany()
  await create("user", "Ann")
  await create("group", "Staff")
  await create("role", "Reader", ROLE)
  const { items, next } = await metadata.ask(readNamedIdentities(ALL_ROWS.start))
  assert.deepEqual(
    items.map(({ kind, name, accountNumber }) => [kind, name, accountNumber]),
    [
      ["role", "Reader", number],
      ["user", "Ann", number],
    ],
  )
  assert.equal(next, undefined)
})

test("accounts are listed a hundred at a time, and pages join without a gap", async () => {
  const { metadata } = await newCompany()
  for (let i = 0; i < 100; i += 1) {
    const id = parseAccountId(`x${String(i).padStart(3, "0")}`)
    await metadata.run(createAccount({ id, displayName: "", email: "" }))
  }
  const first = await metadata.ask(readAccounts(ALL_ROWS.start))
  assert.deepEqual([first.items.length, first.items[0]?.id, first.items.at(-1)?.id], [100, accountId, "x098"])
  const second = await metadata.ask(readAccounts(must(first.next, "one more page")))
  assert.deepEqual([second.items.map(({ id }) => id), second.next], [["x099"], undefined])
})

test("an account has an id and a number of its own", async () => {
  const { metadata, number } = await newCompany()
  const again = createAccount({ id: accountId, displayName: "", email: "" })
  await refuses(metadata.run(again), "accountExists")
  assert.equal((await metadata.ask(readAccount(accountId)))?.number, number)
  assert.equal((await metadata.ask(readAccountOfNumber(number)))?.id, accountId)
  assert.equal(await metadata.ask(readAccount(parseAccountId("unknown"))), undefined)
  assert.equal(number, accountNumberOf(accountId))
  const { position } = metadata
  await metadata.run(numberAccount(accountId))
  await metadata.run(numberAccount(parseAccountId("unknown")))
  assert.equal(metadata.position, position, "the account has its number already")
})

test("the last use of a key is recorded while the key exists, and of the root key without a row", async () => {
  const company = await newCompany()
  const { metadata } = company
  await addKey(company, 1)
  const use = (number: number) => ({ id: keyId(number), usedMs: 5, service: "s3", region: "here" })
  await metadata.run(noteKeyUses([use(0), use(1), use(2)], keyId(0)))
  const noted = [0, 1, 2].map(number => metadata.ask(readKeyUse(keyId(number))) !== undefined)
  assert.deepEqual(noted, [true, true, false])
  const { items } = await metadata.ask(readAccessKeys(ALL_ROWS.start))
  assert.deepEqual(
    items.map(({ id }) => id),
    [keyId(1)],
  )
})

test("service keys have their own limit, and are deleted with their user", async () => {
  const company = await newCompany()
  const { create, metadata, user } = company
  await create("user", "Ann")
  const service = { description: "", expiresMs: undefined, policy: undefined }
  for (let i = 1; i <= IDENTITY_LIMITS.serviceKeysPerUser; i += 1) await addKey(company, i, "Ann", service)
  await refuses(addKey(company, 500, "Ann", service), "limitExceeded")
  for (const number of [501, 502]) await addKey(company, number, "Ann")
  await refuses(addKey(company, 503, "Ann"), "limitExceeded")
  await refuses(metadata.run(deleteIdentity(user)), "deleteConflict", /access keys/)
})

test("a key of an account that does not exist is refused, and so are the account's policies", async () => {
  const { metadata } = await newCompany()
  const unknown = parseAccountId("unknown")
  await assert.rejects(
    async () => metadata.ask(readPolicies(unknown, accountRange(unknown).start)),
    error => isFailure(error, "noSuchAccount"),
  )
})

test("identity providers are identified by host and path, up to a limit, and may be deleted twice", async () => {
  const { metadata } = await newCompany()
  const create = (url: string) =>
    metadata.run(createProvider(accountId, { url, clientIds: ["app"], thumbprints: [], tags: [] }))
  await create("https://id0.example.com/a")
  await refuses(create("https://id0.example.com/a"), "entityExists")
  for (let i = 1; i < IDENTITY_LIMITS.providersPerAccount; i += 1) await create(`https://id${i}.example.com/a`)
  await refuses(create("https://more.example.com"), "limitExceeded")
  assert.equal((await metadata.ask(readProviders(accountId))).length, IDENTITY_LIMITS.providersPerAccount)
  const url = "https://id0.example.com/a"
  const changed = await metadata.run(updateProvider(accountId, url, { addClientId: "other" }))
  assert.deepEqual(await metadata.ask(readProvider(accountId, url)), changed)
  await metadata.run(deleteProvider(accountId, url))
  await assert.rejects(
    async () => metadata.ask(readProvider(accountId, url)),
    error => isFailure(error, "noSuchEntity"),
  )
  const { position } = metadata
  await metadata.run(deleteProvider(accountId, url))
  assert.equal(metadata.position, position)
  await refuses(metadata.run(updateProvider(accountId, url, {})), "noSuchEntity")
})

test("a key belongs to the user of its own account, not to a user of the same name in another", async () => {
  const company = await newCompany()
  const { create, metadata } = company
  await create("user", "Ann")
  await addKey(company, 1, "Ann")
  const other = parseAccountId("other")
  await metadata.run(createAccount({ id: other, displayName: "", email: "" }))
  for (const owner of [
    { accountId: other, userName: "Ann" },
    { accountId, userName: undefined },
  ]) {
    await refuses(metadata.run(setKeyActive(keyId(1), false, owner)), "noSuchAccessKey")
    await refuses(metadata.run(dropAccessKey(keyId(1), owner)), "noSuchAccessKey")
  }
  await addKey(company, 2)
  await refuses(metadata.run(dropAccessKey(keyId(2), { accountId, userName: "Ann" })), "noSuchAccessKey")
  await metadata.run(dropAccessKey(keyId(2), { accountId, userName: undefined }))
  assert.equal((await metadata.ask(readKeysOfUser(other, "Ann"))).length, 0)
  assert.equal((await metadata.ask(readKeysOfUser(accountId, "Bob"))).length, 0)
  assert.equal((await metadata.ask(readKeysOfUser(accountId, "Ann"))).length, 1)
})

test("a key of an account that does not exist is refused", async () => {
  const { metadata } = await newCompany()
  const key = { accountId: parseAccountId("unknown"), userName: undefined, sealedSecret: new Uint8Array(40) }
  await refuses(metadata.run(addAccessKey(keyId(1), { ...key, service: undefined })), "noSuchAccount")
})

test("commands on accounts and keys declare the rows that they read", () => {
  const account = createAccount({ id: accountId, displayName: "", email: "" })
  const key = { accountId, userName: "Ann", sealedSecret: new Uint8Array(40), service: undefined }
  const accountTouched = [["accounts", textRowKey(accountId)]]
  const keyTouched = [["accessKeys", textRowKey(keyId(1))]]
  assert.deepEqual(account.touches, accountTouched)
  assert.deepEqual(numberAccount(accountId).touches, accountTouched)
  const user = ["identities", identityRow({ accountId, kind: "user", name: "Ann" })]
  assert.deepEqual(addAccessKey(keyId(1), key).touches, [...keyTouched, user])
  assert.deepEqual(addAccessKey(keyId(1), { ...key, userName: undefined }).touches, keyTouched)
  assert.deepEqual(dropAccessKey(keyId(1), undefined).touches, keyTouched)
  assert.deepEqual(setKeyActive(keyId(1), true, undefined).touches, keyTouched)
  const use = { id: keyId(1), usedMs: 5, service: "s3", region: "here" }
  assert.deepEqual(noteKeyUses([use], keyId(0)).touches, [...keyTouched, ["keyUses", textRowKey(keyId(1))]])
  const limiting = [limitAccount(accountId, undefined), limitAccessKey(keyId(1), undefined)]
  const changing = changeAccessKey(keyId(1), { service: undefined, sealedSecret: new Uint8Array(40) })
  for (const command of [
    dropAccessKey(keyId(1), undefined),
    setKeyActive(keyId(1), true, undefined),
    changing,
    ...limiting,
  ])
    assert.equal(command.grows, false, command.name)
})
