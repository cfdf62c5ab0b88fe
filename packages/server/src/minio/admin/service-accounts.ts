/** Service accounts, which newer clients call access keys: keys of a user, or of the root user, with terms of their own. */
import { z } from "zod"
import { KEY, KEY_WITH_SECRET, KEYS } from "@hayloft/admin/schemas.js"
import { MANAGED_POLICY, USER, USERS } from "@hayloft/admin/identities/identity-schemas.js"
import { mapBounded } from "@hayloft/base/life/index.js"
import { fail } from "@hayloft/base/failures.js"
import type { MinioContext } from "./call-context.js"
import { inAccount, keysOfUser } from "./users.js"

type Key = z.output<typeof KEY>

const AT_A_TIME = 8
const SECRET_BYTES = 30
const ID_BYTES = 9
/** The expiry that clients send for none, and expect with a new key and in lists; of one key they show it as a time. */
const NEVER_MS = 0

/** The name of the root user is that of its key. */
const isRoot = (call: MinioContext, user: string): boolean => user === call.rootKey

/** For keys of the root user MinIO's actions do not suffice: they may do everything. */
const allowedFor = (call: MinioContext, isOfRoot: boolean) => (isOfRoot ? call.onlyOurs() : {})

/**
 * The user of the caller; a service account, and temporary credentials of a key, act as their owner. Throws `invalidRequest` for
 * roles and people of a directory: a key that they meant for themselves would be the root user's, and would outlive their rights.
 */
function ownUser({ caller: { principal }, rootKey }: MinioContext): string {
  if (principal.kind !== "session") return principal.kind === "user" ? principal.userName : rootKey
  const message = `${principal.sessionArn} has no access keys of its own: name the user whose they are`
  throw fail("invalidRequest", { message })
}

const expiration = z.string().nullish()
const policy = z.unknown().optional()

const NEW = z.object({
  policy,
  targetUser: z.string().default(""),
  accessKey: z.string().default(""),
  secretKey: z.string().default(""),
  name: z.string().default(""),
  description: z.string().default(""),
  comment: z.string().default(""),
  expiration,
})

const CHANGE = z.object({
  newPolicy: policy,
  newSecretKey: z.string().default(""),
  newStatus: z.string().default(""),
  newName: z.string().default(""),
  newDescription: z.string().default(""),
  newExpiration: expiration,
})

/** A key has one text; MinIO's have a name and a description. */
const textOf = (name: string, description: string): string => [name, description].filter(each => each !== "").join(": ")

/** Throws `invalidArgument`. */
function msOf(text: string | null | undefined): number | undefined {
  if (text === null || text === undefined) return undefined
  const ms = Date.parse(text)
  if (!Number.isFinite(ms)) throw fail("invalidArgument", { message: "the expiry is not a time" })
  return ms <= NEVER_MS ? undefined : ms
}

/** A policy that says nothing limits nothing, as clients send it. */
function policyText(value: unknown): string | undefined {
  if (value === undefined || value === null) return undefined
  if (typeof value === "object" && "Statement" in value && value.Statement === null) return undefined
  return JSON.stringify(value)
}

const randomSecret = ({ random }: MinioContext): string => Buffer.from(random.bytes(SECRET_BYTES)).toString("base64url")
const randomId = ({ random }: MinioContext): string =>
  `HL${Buffer.from(random.bytes(ID_BYTES)).toString("hex").toUpperCase()}`

export async function addServiceAccount(call: MinioContext) {
  const asked = call.json(NEW)
  const { accessKey, secretKey, name, targetUser } = asked
  const user = targetUser === "" ? ownUser(call) : targetUser
  const expiresMs = msOf(asked.expiration)
  const limits = policyText(asked.policy)
  const isNamed = accessKey !== "" || secretKey !== ""
  const named = {
    accessKeyId: accessKey === "" ? randomId(call) : accessKey,
    secretAccessKey: secretKey === "" ? randomSecret(call) : secretKey,
  }
  const made = await call.get("createKey", KEY_WITH_SECRET, {
    ...allowedFor(call, isRoot(call, user)),
    body: {
      ...(isNamed && named),
      ...(!isRoot(call, user) && { userName: user }),
      description: textOf(name, asked.description === "" ? asked.comment : asked.description),
      ...(expiresMs !== undefined && { expiresMs }),
      ...(limits !== undefined && { policy: limits }),
    },
  })
  const credentials = {
    accessKey: made.accessKeyId,
    secretKey: made.secretAccessKey ?? named.secretAccessKey,
    expiration: new Date(expiresMs ?? NEVER_MS).toISOString(),
  }
  return { credentials }
}

/** Throws `noSuchAccessKey`. */
async function keyIn(call: MinioContext): Promise<Key> {
  const key = await call.get("getKey", KEY, { segments: { key: call.needed("accessKey") } })
  if (key.accountId === call.account && isServiceAccount(call, key)) return key
  throw fail("noSuchAccessKey", { message: "The specified service account is not found" })
}

/** The key of a user is none, nor is that of the root user. */
const isServiceAccount = ({ rootKey }: MinioContext, { accessKeyId, userName }: Key): boolean =>
  accessKeyId !== rootKey && accessKeyId !== userName

export async function updateServiceAccount(call: MinioContext): Promise<void> {
  const { newPolicy, newSecretKey, newStatus, newName, newDescription, newExpiration } = call.json(CHANGE)
  const { accessKeyId: key, userName } = await keyIn(call)
  const allowed = allowedFor(call, userName === undefined)
  const text = textOf(newName, newDescription)
  const limits = policyText(newPolicy)
  const change = {
    ...(newSecretKey !== "" && { secretAccessKey: newSecretKey }),
    ...(text !== "" && { description: text }),
    ...(typeof newExpiration === "string" && { expiresMs: msOf(newExpiration) ?? null }),
    ...(newPolicy !== undefined && newPolicy !== null && { policy: limits ?? null }),
  }
  if (Object.keys(change).length > 0) await call.call("changeKey", { ...allowed, segments: { key }, body: change })
  if (newStatus === "") return
  if (newStatus !== "on" && newStatus !== "off") throw fail("invalidArgument", { message: "the status is on or off" })
  await call.call(newStatus === "on" ? "enableKey" : "disableKey", { ...allowed, segments: { key } })
}

export async function removeServiceAccount(call: MinioContext): Promise<void> {
  const { accessKeyId: key, userName } = await keyIn(call)
  await call.call("deleteKey", { ...allowedFor(call, userName === undefined), segments: { key } })
}

const shown = (
  call: MinioContext,
  { accessKeyId, userName, description = "", expiresMs, policy: own, isActive }: Key,
) => ({
  parentUser: userName ?? call.rootKey,
  accountStatus: isActive ? "on" : "off",
  impliedPolicy: own === undefined,
  accessKey: accessKeyId,
  ...(description !== "" && { description }),
  expiration: new Date(expiresMs ?? NEVER_MS).toISOString(),
})

export async function serviceAccountInfo(call: MinioContext) {
  const key = await keyIn(call)
  const { expiration: until, ...info } = shown(call, key)
  const policy = key.policy ?? (await policyOfOwner(call, key))
  return { ...info, ...(key.expiresMs !== undefined && { expiration: until }), policy }
}

const EVERYTHING = { Version: "2012-10-17", Statement: [{ Effect: "Allow", Action: ["*"], Resource: ["*"] }] }

/** The policies that are attached to the owner, as one. */
async function policyOfOwner(call: MinioContext, { userName }: Key): Promise<string> {
  if (userName === undefined) return JSON.stringify(EVERYTHING)
  const { attached } = await call.get("getUser", USER, inAccount(call, { user: userName }))
  const documents = await mapBounded(attached, AT_A_TIME, async arn => {
    const { document } = await call.get("getPolicy", MANAGED_POLICY, inAccount(call, { policy: arn }))
    return [document.Statement].flat()
  })
  return JSON.stringify({ Version: "2012-10-17", Statement: documents.flat() })
}

/** The service accounts of one user. */
async function accountsOf(call: MinioContext, user: string) {
  const keys = isRoot(call, user) ? await keysOfRoot(call) : await keysOfUser(call, user)
  return keys.filter(key => isServiceAccount(call, key)).map(key => shown(call, key))
}

async function keysOfRoot(call: MinioContext): Promise<readonly Key[]> {
  const { keys } = await call.get("listKeys", KEYS, { query: { accountId: call.account } })
  return keys.filter(({ userName }) => userName === undefined)
}

export async function listServiceAccounts(call: MinioContext) {
  const user = call.query("user")
  if (user !== "" && !isRoot(call, user)) await call.get("getUser", USER, inAccount(call, { user }))
  return { accounts: await accountsOf(call, user === "" ? ownUser(call) : user) }
}

/** Temporary credentials are not stored, and so they are not listed. */
export async function listAccessKeys(call: MinioContext) {
  const withKeys = call.query("listType") !== "users-only" && call.query("listType") !== "sts-only"
  const users = await usersOf(call)
  const listed = await mapBounded(users, AT_A_TIME, async user => {
    const serviceAccounts = withKeys ? await accountsOf(call, user) : []
    return [user, { serviceAccounts, stsKeys: [] }] as const
  })
  return Object.fromEntries(listed)
}

async function usersOf(call: MinioContext): Promise<readonly string[]> {
  const named = call.all("users")
  if (named.length > 0) {
    await mapBounded(named, AT_A_TIME, async user =>
      isRoot(call, user) ? undefined : call.get("getUser", USER, inAccount(call, { user })),
    )
    return named
  }
  if (call.query("all") !== "true") return [ownUser(call)]
  const users = await call.pages("listUsers", USERS, page => page.users, inAccount(call))
  return [...users.map(({ name }) => name), call.rootKey]
}

export async function accessKeyInfo(call: MinioContext) {
  const { accessKey, ...info } = await serviceAccountInfo(call)
  return { accessKey, userType: "Service Account", userProvider: "builtin", ...info }
}
