/** The operations of `/v1/accounts` and `/v1/keys`: accounts, their limits, and access keys of their users and roots. */
import type { z } from "zod"
import { rootArn, type AccessKey, type Account } from "@hayloft/access/index.js"
import { fail } from "@hayloft/base/failures.js"
import { parseAccessKeyId, parseAccountId, type AccountId } from "@hayloft/base/ids.js"
import { printable, labelled, tableText, timeText } from "@hayloft/base/text/report-text.js"
import { bytesOfSize, sizeText } from "@hayloft/base/text/quantity-text.js"
import {
  type Calls,
  type CommandOf,
  CommandProblem,
  type Given,
  type OperationInput,
  parseBody,
  type RequiredAction,
} from "@hayloft/features/operator/index.js"
import { accountIn, onAll, onIdentity } from "./identity-targets.js"
import { action, operation, type AdminOperation, type AdminServices } from "../operation.js"
import * as schema from "../schemas.js"

type LastUse = Awaited<ReturnType<AdminServices["accounts"]["lastUse"]>>

/** The record of an account has members of features, too, which have operations of their own. */
const accountJson = ({ id, number, displayName, email, createdMs, limits }: Account) => ({
  id,
  number,
  displayName,
  email,
  createdMs,
  limits,
})

const keyJson = ({ id, accountId, createdMs, isActive, userName, service, limits }: AccessKey, lastUse?: LastUse) => ({
  accessKeyId: id,
  accountId,
  createdMs,
  isActive,
  userName,
  ...service,
  ...(limits && { limits }),
  ...(lastUse && { lastUse }),
})

/** Throws `noSuchAccessKey`. */
async function keyIn({ accounts }: AdminServices, segment: OperationInput["segment"]): Promise<AccessKey> {
  const id = parseAccessKeyId(segment("key"))
  const key = await accounts.getKey(id)
  if (key === undefined) throw fail("noSuchAccessKey", { key: id })
  return key
}

/** Actions on the keys of a user, or of the account's root. */
async function onOwner(
  services: AdminServices,
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
  async (services: AdminServices, { segment }: OperationInput) =>
    onOwner(services, await keyIn(services, segment), actions)

/** Returns undefined if the request sets no limit at all. */
function limitsOf(body: unknown): Account["limits"] {
  const { requestsPerSecond, burst, bytesPerSecond } = parseBody(schema.LIMITS, body)
  if (requestsPerSecond === undefined && bytesPerSecond === undefined) return undefined
  return { requestsPerSecond, burst, bytesPerSecond }
}

const ownerOf = (id: string | undefined, rootAccount: AccountId): AccountId =>
  id === undefined ? rootAccount : parseAccountId(id)

async function createKey({ accounts, rootAccount }: AdminServices, body: unknown) {
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
async function rotateKey(services: AdminServices, segment: OperationInput["segment"]) {
  const { accounts } = services
  const { accountId, userName, service, limits } = await keyIn(services, segment)
  const { key, secret } = await accounts.createKey({ accountId, userName, service })
  if (limits !== undefined) await accounts.limitKey(key.id, limits)
  return { ...keyJson({ ...key, limits }), secretAccessKey: secret }
}

async function changeKey(services: AdminServices, segment: OperationInput["segment"], body: unknown) {
  const { accounts } = services
  const { id, service } = await keyIn(services, segment)
  const { secretAccessKey: secret, description, expiresMs, policy } = parseBody(schema.CHANGE_KEY, body)
  const terms = {
    ...(description !== undefined && { description }),
    ...(expiresMs !== undefined && { expiresMs: expiresMs ?? undefined }),
    ...(policy !== undefined && { policy: policy ?? undefined }),
  }
  const isChanged = Object.keys(terms).length > 0
  if (service === undefined && isChanged) {
    const message = `${id} has no terms of its own: it may do what its owner may. Make another key with a policy, an expiry or a description`
    throw fail("invalidRequest", { message })
  }
  await accounts.changeKey(id, { secret, service: service && { ...service, ...terms } })
  return keyJson(await keyIn(services, segment), await accounts.lastUse(id))
}

async function listKeys({ accounts }: AdminServices, query: ReadonlyMap<string, string>) {
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

type Key = z.output<typeof schema.KEY>
type Limits = z.output<typeof schema.LIMITS>

const KEY = { flags: "<ACCESS_KEY>" }

/** The options of commands that make a key. */
const NEW_KEY = {
  accountId: { flags: "--account <ID>", help: "owner (default: the root account)" },
  userName: { flags: "--user <NAME>", help: "user of the account (default: its root)" },
  policy: {
    flags: "--policy <FILE>",
    help: "an access policy that limits the key to less than its owner may do",
    reads: "fileText",
  },
  expiresMs: {
    flags: "--expires <DURATION>",
    help: "duration after which the key is refused: 12h, 30d",
    reads: "expiry",
  },
  description: { flags: "--description <TEXT>", help: "purpose of the key" },
} as const

const secretText = ({ accessKeyId, secretAccessKey = "" }: z.output<typeof schema.KEY_WITH_SECRET>): string =>
  `${labelled("access key", accessKeyId)}\n${labelled("secret key", secretAccessKey)}\n(shown this once)\n`

function stateText({ isActive, expiresMs }: Key, nowMs: number): string {
  if (!isActive) return "disabled"
  if (expiresMs === undefined) return "active"
  return expiresMs <= nowMs ? "expired" : `until ${timeText(expiresMs)}`
}

function keysText({ keys }: z.output<typeof schema.KEYS>, nowMs: number): string {
  const rows = keys.map(key => [
    timeText(key.createdMs),
    key.accessKeyId,
    stateText(key, nowMs),
    key.lastUse === undefined ? "never" : timeText(key.lastUse.usedMs),
    key.userName ?? "(root)",
    key.accountId,
    printable(key.description ?? ""),
  ])
  const head = ["CREATED", "ACCESS KEY", "STATE", "LAST USED", "USER", "ACCOUNT", "DESCRIPTION"]
  return tableText(head, rows)
}

function accountsText({ accounts }: z.output<typeof schema.ACCOUNTS>): string {
  const rows = accounts.map(({ id, number, displayName, email, createdMs }) => [
    timeText(createdMs),
    id,
    number,
    printable(displayName),
    printable(email),
  ])
  return tableText(["CREATED", "ACCOUNT", "NUMBER", "NAME", "E-MAIL"], rows)
}

function wholeNumber(text: string, option: string): number | undefined {
  if (text === "") return undefined
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text)
  throw new CommandProblem("usage", `${option} is a whole number from 1`)
}

function sizeIn(text: string): number | undefined {
  const bytes = text === "" ? undefined : bytesOfSize(text)
  if (text === "" || bytes) return bytes
  throw new CommandProblem("usage", "--bytes is a size: 500KiB, 20MiB")
}

/** The limits that are typed; undefined if those that are set are to be shown. */
function typedLimits(given: Given): Limits | undefined {
  const requestsPerSecond = wholeNumber(given("requestsPerSecond"), "--requests")
  const bytesPerSecond = sizeIn(given("bytesPerSecond"))
  const burst = wholeNumber(given("burst"), "--burst")
  const limits = {
    ...(requestsPerSecond !== undefined && { requestsPerSecond }),
    ...(burst !== undefined && { burst }),
    ...(bytesPerSecond !== undefined && { bytesPerSecond }),
  }
  const [isNone, isEmpty] = [given("none") === "true", Object.keys(limits).length === 0]
  if (isNone && !isEmpty) throw new CommandProblem("usage", "--none removes all limits: give it alone")
  if (burst !== undefined && requestsPerSecond === undefined)
    throw new CommandProblem("usage", "--burst needs --requests")
  return isEmpty && !isNone ? undefined : limits
}

function limitsText(holder: string, id: string, { requestsPerSecond, burst, bytesPerSecond }: Limits): string {
  const rows = [
    ["requests", requestsPerSecond === undefined ? "no limit" : `${requestsPerSecond} a second`],
    ...(requestsPerSecond === undefined ? [] : [["at once", String(burst ?? requestsPerSecond)]]),
    ["bytes", bytesPerSecond === undefined ? "no limit" : `${sizeText(bytesPerSecond)} a second`],
  ]
  return tableText([holder, id], rows)
}

const LIST_ACCOUNTS = operation("listAccounts", "GET /v1/accounts", {
  summary: "Lists all accounts.",
  answer: schema.ACCOUNTS,
  run: async ({ accounts }) => ({ accounts: (await accounts.listAccounts()).map(accountJson) }),
  commands: [{ name: "account list", help: "list accounts", list: "accounts", text: accountsText }],
})

const LIST_KEYS = operation("listKeys", "GET /v1/keys", {
  summary: "Lists keys, without their secrets.",
  parameters: [
    { name: "accountId", description: "only those of this account" },
    { name: "userName", description: "only those of this user of the account" },
  ],
  answer: schema.KEYS,
  mayNeedOwnAction: true,
  async permission(services, { query }) {
    const [account, userName] = [query.get("accountId"), query.get("userName")]
    if (account === undefined) return []
    const segment = () => account
    if (userName === undefined) return onAll(await accountIn(services, segment), "user", "iam:ListAccessKeys")
    return onOwner(services, { accountId: parseAccountId(account), userName }, ["iam:ListAccessKeys"])
  },
  run: (services, { query }) => listKeys(services, query),
  commands: [
    {
      name: "key list",
      help: "list keys, without their secrets",
      inputs: { accountId: { flags: "--account <ID>", help: "only keys of this account" } },
      list: "keys",
      text: (page, _, nowMs) => keysText(page, nowMs),
    },
  ],
})

/** The command that sets limits of an account or a key, or shows those that `present` finds. */
const limiting = (
  holder: "account" | "key",
  flags: string,
  help: string,
  present: (calls: Calls, id: string) => Promise<{ readonly limits?: Limits | undefined } | undefined>,
): CommandOf<undefined> => ({
  name: `${holder} limit`,
  help,
  inputs: {
    [holder]: { flags },
    requestsPerSecond: {
      flags: "--requests <N>",
      help: "requests a second; more are answered 503 SlowDown",
    },
    burst: { flags: "--burst <N>", help: "requests that may arrive at once (default: those of a second)" },
    bytesPerSecond: {
      flags: "--bytes <SIZE>",
      help: "bytes a second of bodies in both directions: 20MiB; they move more slowly",
    },
    none: { flags: "--none", help: "remove all limits" },
  },
  sends: given => typedLimits(given) ?? {},
  async run(calls, own) {
    const { given } = calls
    const [id, wanted] = [given(holder), typedLimits(given)]
    if (wanted !== undefined) await own()
    const found = wanted === undefined ? await present(calls, id) : { limits: wanted }
    if (found === undefined) throw new CommandProblem("notFound", `there is no ${holder} ${id}`)
    const { limits = {} } = found
    return { json: { holder, id, limits }, text: limitsText(holder, id, limits) }
  },
})

export const ACCOUNT_OPERATIONS: readonly AdminOperation[] = [
  LIST_ACCOUNTS,
  operation("createAccount", "POST /v1/accounts", {
    summary: "Creates an account, without keys.",
    request: schema.NEW_ACCOUNT,
    status: 201,
    answer: schema.ACCOUNT,
    async run({ accounts }, { body }) {
      const { id, displayName, email } = parseBody(schema.NEW_ACCOUNT, body)
      const given = id === undefined ? {} : { id: parseAccountId(id) }
      return accountJson(await accounts.createAccount({ ...given, displayName, email }))
    },
    commands: [
      {
        name: "account create",
        help: "create an account",
        inputs: {
          displayName: { flags: "<NAME>", help: "display name" },
          id: { flags: "--id <ID>", help: "instead of 64 random hex digits" },
          email: { flags: "--email <ADDRESS>", help: "" },
        },
        text: ({ id }) => `created account ${id}\n`,
      },
    ],
  }),
  operation("getAccount", "GET /v1/accounts/{account}", {
    summary: "Returns one account.",
    answer: schema.ACCOUNT,
    async permission(services, { segment }) {
      return [{ action: "iam:GetAccountSummary", resource: "*", owner: (await accountIn(services, segment)).id }]
    },
    run: async (services, { segment }) => accountJson(await accountIn(services, segment)),
  }),
  action("limitAccount", "POST /v1/accounts/{account}/limits", {
    summary: "Replaces the limits of rates of an account; an empty object removes them.",
    request: schema.LIMITS,
    run: ({ accounts }, { segment, body }) => accounts.limitAccount(parseAccountId(segment("account")), limitsOf(body)),
    commands: [
      limiting(
        "account",
        "<ID>",
        "set the limits of rates of an account, all of its keys together; without options show them",
        async ({ call }, id) => (await call(LIST_ACCOUNTS)).accounts.find(account => account.id === id),
      ),
    ],
  }),
  action("limitKey", "POST /v1/keys/{key}/limits", {
    summary: "Replaces the limits of rates of a key; an empty object removes them. Those of its account apply too.",
    request: schema.LIMITS,
    run: ({ accounts }, { segment, body }) => accounts.limitKey(parseAccessKeyId(segment("key")), limitsOf(body)),
    commands: [
      limiting(
        "key",
        "<ACCESS_KEY>",
        "set the limits of rates of a key, in addition to its account's; without options show them",
        async ({ call }, id) => (await call(LIST_KEYS)).keys.find(key => key.accessKeyId === id),
      ),
    ],
  }),
  LIST_KEYS,
  operation("createKey", "POST /v1/keys", {
    summary: "Generates a key pair, or imports an existing one.",
    request: schema.NEW_KEY,
    status: 201,
    answer: schema.KEY_WITH_SECRET,
    async permission(services, { body }) {
      const { accountId, userName } = parseBody(schema.NEW_KEY, body)
      const owner = { accountId: ownerOf(accountId, services.rootAccount), userName }
      return onOwner(services, owner, ["iam:CreateAccessKey"])
    },
    run: (services, { body }) => createKey(services, body),
    commands: [
      {
        name: "key create",
        help: "create a key pair; its secret is shown only once",
        inputs: NEW_KEY,
        text: secretText,
      },
    ],
  }),
  operation("getKey", "GET /v1/keys/{key}", {
    summary: "Returns one key with its last use, without its secret.",
    answer: schema.KEY,
    permission: onKey("iam:ListAccessKeys", "iam:GetAccessKeyLastUsed"),
    async run(services, { segment }) {
      const key = await keyIn(services, segment)
      return keyJson(key, await services.accounts.lastUse(key.id))
    },
  }),
  operation("changeKey", "POST /v1/keys/{key}", {
    summary: "Changes the terms of a service key, or the secret of any key: its former one is refused from now on.",
    request: schema.CHANGE_KEY,
    answer: schema.KEY,
    permission: onKey("iam:CreateAccessKey", "iam:UpdateAccessKey"),
    run: (services, { segment, body }) => changeKey(services, segment, body),
  }),
  operation("rotateKey", "POST /v1/keys/{key}/rotate", {
    summary:
      "Creates a second key with the owner, limits and terms of this one. Both work, until this one is disabled or deleted.",
    status: 201,
    answer: schema.KEY_WITH_SECRET,
    permission: onKey("iam:CreateAccessKey"),
    run: (services, { segment }) => rotateKey(services, segment),
    commands: [
      {
        name: "key rotate",
        help: "create a second key with the owner, limits and terms of this one; both work until one is disabled",
        inputs: { key: KEY },
        text: secretText,
      },
    ],
  }),
  ...[true, false].map(isActive => {
    const verb = isActive ? "enable" : "disable"
    return action(`${verb}Key`, `POST /v1/keys/{key}/${verb}`, {
      summary: isActive ? "Enables a disabled key." : "Disables a key; requests signed with it are refused.",
      permission: onKey("iam:UpdateAccessKey"),
      run: ({ accounts }, { segment }) => accounts.setKeyActive(parseAccessKeyId(segment("key")), isActive),
      commands: [
        {
          name: `key ${verb}`,
          help: isActive ? "enable a disabled key" : "refuse a key until it is enabled again",
          inputs: { key: KEY },
          json: (_, given) => ({ accessKeyId: given("key"), isActive }),
          text: (_, given) => `${verb}d key ${given("key")}\n`,
        },
      ],
    })
  }),
  action("deleteKey", "DELETE /v1/keys/{key}", {
    summary: "Deletes a key; requests signed with it are refused from now on.",
    permission: onKey("iam:DeleteAccessKey"),
    run: ({ accounts }, { segment }) => accounts.removeKey(parseAccessKeyId(segment("key"))),
    commands: [
      {
        name: "key delete",
        help: "delete a key",
        inputs: { key: KEY },
        json: (_, given) => ({ accessKeyId: given("key"), deleted: 1 }),
        text: (_, given) => `deleted key ${given("key")}\n`,
      },
    ],
  }),
]
