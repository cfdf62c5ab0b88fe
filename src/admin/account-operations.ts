/** The operations of `/v1/accounts` and `/v1/keys`: accounts, their limits, and access keys of their users and roots. */
import type { z } from "zod"
import { rootArn, type AccessKey, type Account } from "../access/index.js"
import { fail } from "../base/failures.js"
import { parseAccessKeyId, parseAccountId, type AccountId } from "../base/ids.js"
import { accountIn, onAll, onIdentity } from "./identity-targets.js"
import { parseBody, type Operation, type OperationInput, type RequiredAction, type Services } from "./operation.js"
import * as schema from "./schemas.js"

type LastUse = Awaited<ReturnType<Services["accounts"]["lastUse"]>>

const keyJson = ({ id, accountId, createdMs, isActive, userName, service, limits }: AccessKey, lastUse?: LastUse) => ({
  ...{ accessKeyId: id, accountId, createdMs, isActive, userName },
  ...service,
  ...(limits && { limits }),
  ...(lastUse && { lastUse }),
})

/** Throws `noSuchAccessKey`. */
async function keyIn({ accounts }: Services, segment: OperationInput["segment"]): Promise<AccessKey> {
  const id = parseAccessKeyId(segment("key"))
  const key = await accounts.getKey(id)
  if (key === undefined) throw fail("noSuchAccessKey", { key: id })
  return key
}

/** Actions on the keys of a user, or of the account's root. */
async function onOwner(
  services: Services,
  { accountId, userName }: Pick<AccessKey, "accountId" | "userName">,
  actions: readonly string[],
): Promise<readonly RequiredAction[]> {
  const account = await services.accounts.getAccount(accountId)
  if (account === undefined) throw fail("noSuchAccount", { account: accountId })
  if (userName !== undefined) return onIdentity(services, account, { kind: "user", name: userName }, actions)
  return actions.map(action => ({ action, resource: rootArn(account.number), owner: account.id }))
}

const onKey =
  (...actions: string[]) =>
  async (services: Services, { segment }: OperationInput) =>
    onOwner(services, await keyIn(services, segment), actions)

/** Returns undefined if the request sets no limit at all. */
function limitsOf(body: unknown): Account["limits"] {
  const { requestsPerSecond, burst, bytesPerSecond } = parseBody(schema.LIMITS, body)
  if (requestsPerSecond === undefined && bytesPerSecond === undefined) return undefined
  return { requestsPerSecond, burst, bytesPerSecond }
}

const ownerOf = (id: string | undefined, rootAccount: AccountId): AccountId =>
  id === undefined ? rootAccount : parseAccountId(id)

async function createKey({ accounts, rootAccount }: Services, body: unknown) {
  const request = parseBody(schema.NEW_KEY, body)
  const accountId = ownerOf(request.accountId, rootAccount)
  const { accessKeyId, secretAccessKey: secret, userName } = request
  const owned = { accountId, userName, service: serviceOf(request) }
  if (accessKeyId === undefined && secret === undefined) {
    const created = await accounts.createKey(owned)
    return { ...keyJson(created.key), secretAccessKey: created.secret }
  }
  if (accessKeyId === undefined || secret === undefined) {
    throw fail("invalidArgument", { message: "send both accessKeyId and secretAccessKey, or neither" })
  }
  return keyJson(await accounts.importKey({ ...owned, id: parseAccessKeyId(accessKeyId), secret }))
}

/** The fields of a service key; undefined if the request has none of them. */
function serviceOf({ description, expiresMs, policy }: z.output<typeof schema.NEW_KEY>): AccessKey["service"] {
  if (description === undefined && expiresMs === undefined && policy === undefined) return undefined
  return { description: description ?? "", expiresMs, policy }
}

/** A second key with the owner, the limits and the terms of the first, which works until it is disabled or deleted. */
async function rotateKey(services: Services, segment: OperationInput["segment"]) {
  const { accounts } = services
  const { accountId, userName, service, limits } = await keyIn(services, segment)
  const { key, secret } = await accounts.createKey({ accountId, userName, service })
  if (limits !== undefined) await accounts.limitKey(key.id, limits)
  return { ...keyJson({ ...key, limits }), secretAccessKey: secret }
}

async function listKeys({ accounts }: Services, query: ReadonlyMap<string, string>) {
  const [account, userName] = [query.get("accountId"), query.get("userName")]
  if (userName !== undefined && account === undefined) {
    throw fail("invalidArgument", { message: "userName needs accountId: users of two accounts may have one name" })
  }
  const accountId = account === undefined ? undefined : parseAccountId(account)
  const ofUser = accountId !== undefined && userName !== undefined
  const keys = ofUser ? await accounts.keysOf({ accountId, userName }) : await accounts.listKeys(accountId)
  const uses = ofUser ? undefined : await accounts.lastUses()
  const shown = []
  for (const key of keys)
    shown.push(keyJson(key, uses === undefined ? await accounts.lastUse(key.id) : uses.get(key.id)))
  return { keys: shown }
}

export const ACCOUNT_OPERATIONS: readonly Operation[] = [
  {
    id: "listAccounts",
    method: "GET",
    path: "/v1/accounts",
    summary: "Lists all accounts.",
    parameters: [],
    request: undefined,
    response: { status: 200, schema: schema.ACCOUNTS },
    run: async ({ accounts }) => ({ accounts: await accounts.listAccounts() }),
  },
  {
    id: "createAccount",
    method: "POST",
    path: "/v1/accounts",
    summary: "Creates an account, without keys.",
    parameters: [],
    request: schema.NEW_ACCOUNT,
    response: { status: 201, schema: schema.ACCOUNT },
    run: ({ accounts }, { body }) => {
      const { id, displayName, email } = parseBody(schema.NEW_ACCOUNT, body)
      return accounts.createAccount({ ...(id === undefined ? {} : { id: parseAccountId(id) }), displayName, email })
    },
  },
  {
    id: "getAccount",
    method: "GET",
    path: "/v1/accounts/{account}",
    summary: "Returns one account.",
    parameters: [],
    request: undefined,
    response: { status: 200, schema: schema.ACCOUNT },
    async permission(services, { segment }) {
      return [{ action: "iam:GetAccountSummary", resource: "*", owner: (await accountIn(services, segment)).id }]
    },
    run: (services, { segment }) => accountIn(services, segment),
  },
  {
    id: "limitAccount",
    method: "POST",
    path: "/v1/accounts/{account}/limits",
    summary: "Replaces the limits of rates of an account; an empty object removes them.",
    parameters: [],
    request: schema.LIMITS,
    response: { status: 204, schema: undefined },
    run: ({ accounts }, { segment, body }) => accounts.limitAccount(parseAccountId(segment("account")), limitsOf(body)),
  },
  {
    id: "limitKey",
    method: "POST",
    path: "/v1/keys/{key}/limits",
    summary: "Replaces the limits of rates of a key; an empty object removes them. Those of its account apply too.",
    parameters: [],
    request: schema.LIMITS,
    response: { status: 204, schema: undefined },
    run: ({ accounts }, { segment, body }) => accounts.limitKey(parseAccessKeyId(segment("key")), limitsOf(body)),
  },
  {
    id: "listKeys",
    method: "GET",
    path: "/v1/keys",
    summary: "Lists keys, without their secrets.",
    parameters: [
      { name: "accountId", description: "only those of this account" },
      { name: "userName", description: "only those of this user of the account" },
    ],
    request: undefined,
    response: { status: 200, schema: schema.KEYS },
    async permission(services, { query }) {
      const [account, userName] = [query.get("accountId"), query.get("userName")]
      if (account === undefined) return [{ action: "hayloft:ListKeys", resource: "*", owner: services.rootAccount }]
      const segment = () => account
      if (userName === undefined) return onAll(await accountIn(services, segment), "user", "iam:ListAccessKeys")
      return onOwner(services, { accountId: parseAccountId(account), userName }, ["iam:ListAccessKeys"])
    },
    run: (services, { query }) => listKeys(services, query),
  },
  {
    id: "createKey",
    method: "POST",
    path: "/v1/keys",
    summary: "Generates a key pair, or imports an existing one.",
    parameters: [],
    request: schema.NEW_KEY,
    response: { status: 201, schema: schema.KEY_WITH_SECRET },
    async permission(services, { body }) {
      const { accountId, userName } = parseBody(schema.NEW_KEY, body)
      const owner = { accountId: ownerOf(accountId, services.rootAccount), userName }
      return onOwner(services, owner, ["iam:CreateAccessKey"])
    },
    run: (services, { body }) => createKey(services, body),
  },
  {
    id: "getKey",
    method: "GET",
    path: "/v1/keys/{key}",
    summary: "Returns one key with its last use, without its secret.",
    parameters: [],
    request: undefined,
    response: { status: 200, schema: schema.KEY },
    permission: onKey("iam:ListAccessKeys", "iam:GetAccessKeyLastUsed"),
    async run(services, { segment }) {
      const key = await keyIn(services, segment)
      return keyJson(key, await services.accounts.lastUse(key.id))
    },
  },
  {
    id: "rotateKey",
    method: "POST",
    path: "/v1/keys/{key}/rotate",
    summary:
      "Creates a second key with the owner, limits and terms of this one. Both work, until this one is disabled or deleted.",
    parameters: [],
    request: undefined,
    response: { status: 201, schema: schema.KEY_WITH_SECRET },
    permission: onKey("iam:CreateAccessKey"),
    run: (services, { segment }) => rotateKey(services, segment),
  },
  ...[true, false].map((isActive): Operation => {
    const verb = isActive ? "enable" : "disable"
    return {
      id: `${verb}Key`,
      method: "POST",
      path: `/v1/keys/{key}/${verb}`,
      summary: isActive ? "Enables a disabled key." : "Disables a key; requests signed with it are refused.",
      parameters: [],
      request: undefined,
      response: { status: 204, schema: undefined },
      permission: onKey("iam:UpdateAccessKey"),
      run: ({ accounts }, { segment }) => accounts.setKeyActive(parseAccessKeyId(segment("key")), isActive),
    }
  }),
  {
    id: "deleteKey",
    method: "DELETE",
    path: "/v1/keys/{key}",
    summary: "Deletes a key; requests signed with it are refused from now on.",
    parameters: [],
    request: undefined,
    response: { status: 204, schema: undefined },
    permission: onKey("iam:DeleteAccessKey"),
    run: ({ accounts }, { segment }) => accounts.removeKey(parseAccessKeyId(segment("key"))),
  },
]
