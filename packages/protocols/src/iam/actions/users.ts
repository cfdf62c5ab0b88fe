/** Users, and lists of credentials that users of this store never have. */
import { rootArn } from "@hayloft/access/index.js"
import { isoDate } from "@hayloft/base/text/dates.js"
import { fail } from "@hayloft/base/failures.js"
import { guarded, KINDS, type Actions, type IamCall, type IamResult } from "../action.js"
import { iamPageOf, PAGING, nameBefore, writeList, writePage } from "../paging.js"
import { writeIdentity, writeListed } from "../shapes.js"
import {
  identityOf,
  onAccount,
  onAll,
  onIdentity,
  onRenamedIdentity,
  onNewIdentity,
  onUserOrCaller,
  policyArnOf,
  refOf,
  userNameOf,
} from "../targets.js"

const [USER] = KINDS
const paging = PAGING.join(" ")

export const USERS: Actions = {
  CreateUser: guarded(onNewIdentity(USER), "UserName Path PermissionsBoundary Tags", createUser),
  GetUser: guarded(onUserOrCaller, "UserName", getUser),
  ListUsers: guarded(onAll("user"), `PathPrefix ${paging}`, listUsers),
  UpdateUser: guarded(onRenamedIdentity(USER), "UserName NewUserName NewPath", updateUser),
  DeleteUser: guarded(onIdentity(USER), "UserName", async call => call.identities.remove(refOf(call, USER))),
  ListGroupsForUser: guarded(onIdentity(USER), `UserName ${paging}`, listGroupsForUser),
  ListMFADevices: guarded(onUserOrCaller, `UserName ${paging}`, emptyList("MFADevices")),
  ListVirtualMFADevices: guarded(onAccount, `AssignmentStatus ${paging}`, emptyList("VirtualMFADevices")),
  ListSSHPublicKeys: guarded(onUserOrCaller, `UserName ${paging}`, emptyList("SSHPublicKeys")),
  ListSigningCertificates: guarded(onUserOrCaller, `UserName ${paging}`, emptyList("Certificates")),
  ListServiceSpecificCredentials: guarded(
    onUserOrCaller,
    `UserName ServiceName ${paging}`,
    emptyList("ServiceSpecificCredentials"),
  ),
  GetLoginProfile: guarded(onUserOrCaller, "UserName", noLogin),
  DeleteLoginProfile: guarded(onUserOrCaller, "UserName", noLogin),
}

async function createUser(call: IamCall): Promise<IamResult> {
  const { parameters, identities, number } = call
  const boundary = parameters.optional("PermissionsBoundary")
  const user = await identities.create({
    ...refOf(call, USER),
    path: parameters.optional("Path") ?? "/",
    tags: parameters.tags(),
    boundary: boundary === undefined ? undefined : policyArnOf(call, boundary),
    role: undefined,
  })
  return xml => void xml.group("User", shown => writeIdentity(shown, user, number))
}

async function getUser(call: IamCall): Promise<IamResult> {
  const { accountId, number, identities, caller } = call
  const name = userNameOf(call)
  if (name === undefined) {
    return xml =>
      void xml.group("User", shown => {
        shown.text("UserId", number).text("Arn", rootArn(number)).text("CreateDate", isoDate(caller.account.createdMs))
      })
  }
  const user = await identities.get({ accountId, kind: "user", name })
  return xml => void xml.group("User", shown => writeIdentity(shown, user, number))
}

async function listUsers({ accountId, number, identities, parameters }: IamCall): Promise<IamResult> {
  const prefix = parameters.optional("PathPrefix") ?? "/"
  const page = await iamPageOf(
    parameters,
    withPathPrefix(prefix, identities.list(accountId, "user", nameBefore(parameters))),
    user => user.name,
  )
  return xml => writePage(xml, "Users", page, (member, user) => writeListed(member, user, number))
}

/** The items whose path starts with the prefix. */
export async function* withPathPrefix<Item extends { readonly path: string }>(
  prefix: string,
  items: AsyncIterable<Item>,
): AsyncGenerator<Item> {
  for await (const item of items) if (item.path.startsWith(prefix)) yield item
}

async function updateUser(call: IamCall): Promise<void> {
  const { parameters, identities } = call
  const change = { name: parameters.optional("NewUserName"), path: parameters.optional("NewPath") }
  await identities.update(refOf(call, USER), change)
}

async function listGroupsForUser(call: IamCall): Promise<IamResult> {
  const { accountId, number, identities, parameters } = call
  const user = await identityOf(call, USER)
  const groups = []
  for (const name of user.groups) groups.push(await identities.get({ accountId, kind: "group", name }))
  groups.sort((a, b) => (a.name.toLowerCase() < b.name.toLowerCase() ? -1 : 1))
  const page = await iamPageOf(parameters, groups, group => group.name)
  return xml => writePage(xml, "Groups", page, (member, group) => writeListed(member, group, number))
}

/** Users of this store have access keys only; tools that delete a user list all its credentials first. */
function emptyList(name: string): () => Promise<IamResult> {
  return async () => xml => {
    writeList(xml, name, [], () => undefined)
    xml.text("IsTruncated", false)
  }
}

async function noLogin(): Promise<void> {
  throw fail("noSuchEntity", { message: "Login Profile cannot be found: users have no passwords here." })
}
