/**
 * Users and groups, as MinIO has them: a user is a user of the root account, with an access key of the same name. It is enabled
 * while that key is.
 */
import { z } from "zod"
import { GROUP, GROUPS, USER, USERS } from "@hayloft/admin/identities/identity-schemas.js"
import { KEYS } from "@hayloft/admin/schemas.js"
import { mapBounded } from "@hayloft/base/life/index.js"
import { fail } from "@hayloft/base/failures.js"
import type { MinioContext } from "./call-context.js"

type User = z.output<typeof USER>
type Keys = z.output<typeof KEYS>["keys"]

const AT_A_TIME = 8

const isoOf = (ms: number): string => new Date(ms).toISOString()

/** `arn:aws:iam::aws:policy/readonly`: `readonly`. */
export const nameOfArn = (arn: string): string => arn.slice(arn.lastIndexOf("/") + 1)

export const policyNames = ({ attached }: Pick<User, "attached">): string => attached.map(nameOfArn).join(",")

/** The segments of a path of the account, with these. */
export const inAccount = (call: MinioContext, segments: Readonly<Record<string, string>> = {}) => ({
  segments: { account: call.account, ...segments },
})

export const keysOfUser = async (call: MinioContext, userName: string): Promise<Keys> =>
  (await call.get("listKeys", KEYS, { query: { accountId: call.account, userName } })).keys

/** Without a key of its name a user is enabled while any key of it is. */
function isEnabled(name: string, keys: Keys): boolean {
  const own = keys.find(({ accessKeyId }) => accessKeyId === name)
  return own === undefined ? keys.some(({ isActive }) => isActive) : own.isActive
}

const userInfo = (user: User, keys: Keys) => ({
  ...(user.attached.length > 0 && { policyName: policyNames(user) }),
  status: isEnabled(user.name, keys) ? "enabled" : "disabled",
  ...(user.groups.length > 0 && { memberOf: user.groups }),
  updatedAt: isoOf(user.createdMs),
})

export async function listUsers(call: MinioContext) {
  const users = await call.pages("listUsers", USERS, page => page.users, inAccount(call))
  const { keys } = await call.get("listKeys", KEYS, { query: { accountId: call.account } })
  const byUser = byUserName(keys)
  return Object.fromEntries(users.map(user => [user.name, userInfo(user, byUser.get(user.name) ?? [])]))
}

export async function getUser(call: MinioContext) {
  const user = await call.get("getUser", USER, inAccount(call, { user: call.needed("accessKey") }))
  return userInfo(user, await keysOfUser(call, user.name))
}

const NEW_USER = z.object({
  secretKey: z.string().default(""),
  policy: z.string().optional(),
  status: z.enum(["enabled", "disabled", ""]).default(""),
})

/** The secret of a user that exists becomes this one. A user whose key cannot be made is not made either. */
export async function addUser(call: MinioContext): Promise<void> {
  const name = call.needed("accessKey")
  const { secretKey, status } = call.json(NEW_USER)
  checkNotRoot(call, name)
  const found = await call.find("getUser", USER, inAccount(call, { user: name }))
  // Names that differ in case are one user here: another person would get its rights.
  if (found !== undefined && found.name !== name)
    throw fail("entityExists", { message: `there is a user ${found.name}, and case does not tell users apart` })
  if (found === undefined) await call.call("createUser", { ...inAccount(call), body: { name } })
  try {
    await setSecret(call, name, secretKey, found?.keys.includes(name) === true)
  } catch (error) {
    if (found === undefined) await call.call("deleteUser", inAccount(call, { user: name })).catch(() => undefined)
    throw error
  }
  if (status !== "") await setKey(call, name, status === "enabled")
}

async function setSecret(call: MinioContext, name: string, secretAccessKey: string, isThere: boolean): Promise<void> {
  if (isThere) await call.call("changeKey", { segments: { key: name }, body: { secretAccessKey } })
  else await call.call("createKey", { body: { accessKeyId: name, secretAccessKey, userName: name } })
}

const setKey = (call: MinioContext, key: string, isActive: boolean): Promise<unknown> =>
  call.call(isActive ? "enableKey" : "disableKey", { segments: { key } })

/** Throws `invalidArgument`. */
function checkNotRoot({ rootKey }: MinioContext, name: string): void {
  if (name === rootKey)
    throw fail("invalidArgument", {
      message: `${name} is the root user: the settings of the store name it, and its secret`,
    })
}

/**
 * A user that is disabled has no key that works, whatever it is for; one that is enabled again has the key of its name, and the
 * others are enabled one by one: somebody may have disabled them for a reason.
 */
export async function setUserStatus(call: MinioContext): Promise<void> {
  const [name, status] = [call.needed("accessKey"), call.needed("status")]
  checkNotRoot(call, name)
  await call.get("getUser", USER, inAccount(call, { user: name }))
  const isActive = enabledIn(status)
  const keys = await keysOfUser(call, name)
  if (isActive && !keys.some(({ accessKeyId }) => accessKeyId === name))
    throw fail("invalidRequest", {
      message: `user ${name} has no access key of this name: mc admin user add makes one`,
    })
  for (const { accessKeyId } of keys) if (!isActive || accessKeyId === name) await setKey(call, accessKeyId, isActive)
}

/** Throws `invalidArgument`. */
export function enabledIn(status: string): boolean {
  if (status === "enabled" || status === "disabled") return status === "enabled"
  throw fail("invalidArgument", { message: "the status is enabled or disabled" })
}

export async function removeUser(call: MinioContext): Promise<void> {
  const name = call.needed("accessKey")
  checkNotRoot(call, name)
  await call.call("deleteUser", { ...inAccount(call, { user: name }), query: { cascade: "true" } })
}

const MEMBERS = z.object({
  group: z.string(),
  members: z.array(z.string()).nullish(),
  groupStatus: z.string().default(""),
  isRemove: z.boolean().default(false),
})

export async function updateGroup(call: MinioContext): Promise<void> {
  const { group, members, isRemove } = call.json(MEMBERS)
  const users = members ?? []
  if (isRemove) await removeMembers(call, group, users)
  else await addMembers(call, group, users)
}

/** Adds nobody if one of the users does not exist. */
async function addMembers(call: MinioContext, group: string, users: readonly string[]): Promise<void> {
  await mapBounded(users, AT_A_TIME, user => call.get("getUser", USER, inAccount(call, { user })))
  const found = await call.find("getGroup", GROUP, inAccount(call, { group }))
  if (found === undefined) await call.call("createGroup", { ...inAccount(call), body: { name: group } })
  for (const user of users) await call.call("addMember", inAccount(call, { group, user }))
}

/** Without users the group itself is removed, which must be empty. */
async function removeMembers(call: MinioContext, group: string, users: readonly string[]): Promise<void> {
  for (const user of users) await call.call("removeMember", inAccount(call, { group, user }))
  if (users.length > 0) return
  if ((await membersOf(call, group)).length > 0)
    throw fail("deleteConflict", { message: "The specified group is not empty - cannot remove it." })
  await call.call("deleteGroup", { ...inAccount(call, { group }), query: { cascade: "true" } })
}

async function membersOf(call: MinioContext, group: string): Promise<readonly string[]> {
  const users = await call.pages("listMembers", USERS, page => page.users, inAccount(call, { group }))
  return users.map(({ name }) => name)
}

export async function getGroup(call: MinioContext) {
  const group = await call.get("getGroup", GROUP, inAccount(call, { group: call.needed("group") }))
  const { name } = group
  const members = await membersOf(call, name)
  return { name, status: "enabled", members, policy: policyNames(group), updatedAt: isoOf(group.createdMs) }
}

export const listGroups = async (call: MinioContext) =>
  (await call.pages("listGroups", GROUPS, page => page.groups, inAccount(call))).map(({ name }) => name)

/** Throws `notImplemented` for a group that is to be disabled. */
export async function setGroupStatus(call: MinioContext): Promise<void> {
  const group = call.needed("group")
  await call.get("getGroup", GROUP, inAccount(call, { group }))
  if (enabledIn(call.needed("status"))) return
  const message = `Groups cannot be disabled here. Detach the policies of ${group} instead: mc admin policy detach, or hayloft policy detach POLICY --group ${group}`
  throw fail("notImplemented", { message })
}

function byUserName(keys: Keys): ReadonlyMap<string | undefined, Keys> {
  const groups = new Map<string | undefined, Keys[number][]>()
  for (const key of keys) {
    const group = groups.get(key.userName) ?? []
    group.push(key)
    groups.set(key.userName, group)
  }
  return groups
}
