/** Roles and their terms: who may assume them, and for how long. */
import { guarded, KINDS, type Actions, type IamCall, type IamResult } from "../action.js"
import { nameBefore, iamPageOf, PAGING, writeList, writePage } from "../paging.js"
import { writeIdentity, writeListed } from "../shapes.js"
import { identityOf, onAll, onIdentity, onNewIdentity, policyArnOf, refOf } from "../targets.js"
import { withPathPrefix } from "./users.js"

const [, , ROLE] = KINDS
const paging = PAGING.join(" ")
const SECONDS_DEFAULT = 3_600
/** A rough bound; the service checks the exact limits. */
const SECONDS = { least: 0, most: 1_000_000 } as const

export const ROLES: Actions = {
  CreateRole: guarded(
    onNewIdentity(ROLE),
    "RoleName Path AssumeRolePolicyDocument Description MaxSessionDuration PermissionsBoundary Tags",
    createRole,
  ),
  GetRole: guarded(onIdentity(ROLE), "RoleName", getRole),
  ListRoles: guarded(onAll("role"), `PathPrefix ${paging}`, listRoles),
  UpdateRole: guarded(onIdentity(ROLE), "RoleName Description MaxSessionDuration", updateRole),
  UpdateRoleDescription: guarded(onIdentity(ROLE), "RoleName Description", updateRoleDescription),
  UpdateAssumeRolePolicy: guarded(onIdentity(ROLE), "RoleName PolicyDocument", async call =>
    call.identities.updateRole(refOf(call, ROLE), { trust: call.parameters.text("PolicyDocument") }),
  ),
  DeleteRole: guarded(onIdentity(ROLE), "RoleName", async call => call.identities.remove(refOf(call, ROLE))),
  ListInstanceProfilesForRole: guarded(onIdentity(ROLE), `RoleName ${paging}`, listInstanceProfiles),
}

async function createRole(call: IamCall): Promise<IamResult> {
  const { parameters, identities, number } = call
  const boundary = parameters.optional("PermissionsBoundary")
  const role = await identities.create({
    ...refOf(call, ROLE),
    path: parameters.optional("Path") ?? "/",
    tags: parameters.tags(),
    boundary: boundary === undefined ? undefined : policyArnOf(call, boundary),
    role: {
      description: parameters.optional("Description") ?? "",
      trust: parameters.text("AssumeRolePolicyDocument"),
      sessionSecondsMax: parameters.whole("MaxSessionDuration", SECONDS) ?? SECONDS_DEFAULT,
    },
  })
  return xml => void xml.group("Role", shown => writeIdentity(shown, role, number))
}

async function getRole(call: IamCall): Promise<IamResult> {
  const role = await identityOf(call, ROLE)
  return xml => void xml.group("Role", shown => writeIdentity(shown, role, call.number))
}

async function listRoles({ accountId, number, identities, parameters }: IamCall): Promise<IamResult> {
  const prefix = parameters.optional("PathPrefix") ?? "/"
  const roles = withPathPrefix(prefix, identities.list(accountId, "role", nameBefore(parameters)))
  const page = await iamPageOf(parameters, roles, role => role.name)
  return xml => writePage(xml, "Roles", page, (member, role) => writeListed(member, role, number))
}

async function updateRole(call: IamCall): Promise<IamResult> {
  const { parameters, identities } = call
  const description = parameters.optional("Description")
  const sessionSecondsMax = parameters.whole("MaxSessionDuration", SECONDS)
  await identities.updateRole(refOf(call, ROLE), {
    ...(description !== undefined && { description }),
    ...(sessionSecondsMax !== undefined && { sessionSecondsMax }),
  })
  return () => undefined
}

async function updateRoleDescription(call: IamCall): Promise<IamResult> {
  const description = call.parameters.optional("Description") ?? ""
  await call.identities.updateRole(refOf(call, ROLE), { description })
  return getRole(call)
}

/** This store has no instances that could have a role. */
async function listInstanceProfiles(call: IamCall): Promise<IamResult> {
  await identityOf(call, ROLE)
  return xml => {
    writeList(xml, "InstanceProfiles", [], () => undefined)
    xml.text("IsTruncated", false)
  }
}
