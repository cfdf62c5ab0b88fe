/** Groups and their members. */
import { fail } from "@hayloft/base/failures.js"
import { guarded, KINDS, type Actions, type IamCall, type IamResult } from "../action.js"
import { nameBefore, iamPageOf, PAGING, writePage } from "../paging.js"
import { writeIdentity, writeListed } from "../shapes.js"
import { identityOf, onAll, onIdentity, onRenamedIdentity, onNewIdentity, refOf } from "../targets.js"
import { withPathPrefix } from "./users.js"

const [USER, GROUP] = KINDS
const paging = PAGING.join(" ")

export const GROUPS: Actions = {
  CreateGroup: guarded(onNewIdentity(GROUP), "GroupName Path", createGroup),
  GetGroup: guarded(onIdentity(GROUP), `GroupName ${paging}`, getGroup),
  ListGroups: guarded(onAll("group"), `PathPrefix ${paging}`, listGroups),
  UpdateGroup: guarded(onRenamedIdentity(GROUP), "GroupName NewGroupName NewPath", updateGroup),
  DeleteGroup: guarded(onIdentity(GROUP), "GroupName", async call => call.identities.remove(refOf(call, GROUP))),
  AddUserToGroup: guarded(onIdentity(GROUP), "GroupName UserName", async call =>
    call.identities.joinGroup(refOf(call, USER), call.parameters.text(GROUP.name)),
  ),
  RemoveUserFromGroup: guarded(onIdentity(GROUP), "GroupName UserName", async call =>
    call.identities.leaveGroup(refOf(call, USER), call.parameters.text(GROUP.name)),
  ),
}

async function createGroup(call: IamCall): Promise<IamResult> {
  const path = call.parameters.optional("Path") ?? "/"
  const terms = { path, tags: [], boundary: undefined, role: undefined }
  const group = await call.identities.create({ ...refOf(call, GROUP), ...terms })
  return xml => void xml.group("Group", shown => writeIdentity(shown, group, call.number))
}

async function getGroup(call: IamCall): Promise<IamResult> {
  const { number, identities, parameters } = call
  const group = await identityOf(call, GROUP)
  const members = identities.members(refOf(call, GROUP), nameBefore(parameters))
  const page = await iamPageOf(parameters, members, user => user.name)
  return xml => {
    xml.group("Group", shown => writeListed(shown, group, number))
    writePage(xml, "Users", page, (member, user) => writeListed(member, user, number))
  }
}

async function listGroups({ accountId, number, identities, parameters }: IamCall): Promise<IamResult> {
  const prefix = parameters.optional("PathPrefix") ?? "/"
  const groups = withPathPrefix(prefix, identities.list(accountId, "group", nameBefore(parameters)))
  const page = await iamPageOf(parameters, groups, group => group.name)
  return xml => writePage(xml, "Groups", page, (member, group) => writeListed(member, group, number))
}

async function updateGroup(call: IamCall): Promise<void> {
  const { parameters, identities } = call
  const ref = refOf(call, GROUP)
  const name = parameters.optional("NewGroupName")
  if (name !== undefined && name !== ref.name) throw fail("notImplemented", { message: "A group cannot be renamed." })
  await identities.update(ref, { name: undefined, path: parameters.optional("NewPath") })
}
