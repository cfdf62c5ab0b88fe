/**
 * The calls of MinIO's admin API that are there: what each is named, which action of MinIO's policies allows it, and what carries
 * it out. What it does is an operation of our admin API, whose own actions allow it, too.
 */
import { openIdProviders } from "./providers.js"
import type { MinioContext } from "./call-context.js"
import { healStatus, info, pools, rebalanceStatus } from "./info.js"
import { addPolicy, associate, entities, getPolicy, listPolicies, removePolicy, setPolicies } from "./policies.js"
import { getQuota, setQuota } from "./quotas.js"
import * as accounts from "./service-accounts.js"
import { service } from "./service.js"
import { log, trace } from "./streams.js"
import * as users from "./users.js"

export interface MinioOperation {
  /** In metrics and in the log. */
  readonly name: string
  /** The action of MinIO's policies, without `admin:`. */
  readonly action: string
  /** The body of the request is sealed, that of the answer, or both. */
  readonly sealed?: "request" | "answer" | "both"
  /** The operation of ours without which the caller may not have a sealed request opened, which is work. */
  readonly needs?: string
  /** By default 200. */
  readonly status?: number
  /** Returns the JSON of the answer, its pieces if it goes on, or nothing. */
  readonly run: (call: MinioContext) => Promise<unknown>
}

const call = (
  name: string,
  action: string,
  run: MinioOperation["run"],
  more: Pick<MinioOperation, "sealed" | "needs" | "status"> = {},
): MinioOperation => ({ name, action, run, ...more })

const answer = { sealed: "answer" } as const
const ATTACHING = { sealed: "both", needs: "getPolicy" } as const
const MAKING = { sealed: "both", needs: "createKey" } as const
const NO_CONTENT = 204

/** By method and path. */
export const MINIO_CALLS: ReadonlyMap<string, MinioOperation> = new Map([
  ["GET info", call("ServerInfo", "ServerInfo", info)],
  ["POST service", call("Service", "ServiceStop", service)],
  ["GET trace", call("Trace", "ServerTrace", trace)],
  ["GET log", call("ConsoleLog", "ConsoleLog", log)],
  ["POST background-heal/status", call("BackgroundHealStatus", "Heal", healStatus)],
  ["GET pools/list", call("ListPools", "ServerInfo", pools)],
  ["GET rebalance/status", call("RebalanceStatus", "Rebalance", rebalanceStatus)],
  ["GET idp-config/openid", call("ListIdentityProviders", "ConfigUpdate", openIdProviders, answer)],

  ["GET list-users", call("ListUsers", "ListUsers", users.listUsers, answer)],
  ["GET user-info", call("GetUserInfo", "GetUser", users.getUser)],
  ["PUT add-user", call("AddUser", "CreateUser", users.addUser, { sealed: "request", needs: "createKey" })],
  ["PUT set-user-status", call("SetUserStatus", "EnableUser", users.setUserStatus)],
  ["DELETE remove-user", call("RemoveUser", "DeleteUser", users.removeUser)],

  ["GET groups", call("ListGroups", "ListGroups", users.listGroups)],
  ["GET group", call("GetGroup", "GetGroup", users.getGroup)],
  ["PUT update-group-members", call("UpdateGroupMembers", "AddUserToGroup", users.updateGroup)],
  ["PUT set-group-status", call("SetGroupStatus", "EnableGroup", users.setGroupStatus)],

  ["PUT add-canned-policy", call("AddCannedPolicy", "CreatePolicy", addPolicy)],
  ["GET info-canned-policy", call("InfoCannedPolicy", "GetPolicy", getPolicy)],
  ["GET list-canned-policies", call("ListCannedPolicies", "ListUserPolicies", listPolicies)],
  ["DELETE remove-canned-policy", call("RemoveCannedPolicy", "DeletePolicy", removePolicy)],
  [
    "POST idp/builtin/policy/attach",
    call("AttachPolicy", "AttachUserOrGroupPolicy", each => associate(each, "attach"), ATTACHING),
  ],
  [
    "POST idp/builtin/policy/detach",
    call("DetachPolicy", "AttachUserOrGroupPolicy", each => associate(each, "detach"), ATTACHING),
  ],
  ["GET idp/builtin/policy-entities", call("PolicyEntities", "ListUserPolicies", entities, answer)],
  ["PUT set-user-or-group-policy", call("SetPolicy", "AttachUserOrGroupPolicy", setPolicies)],

  ["PUT add-service-account", call("AddServiceAccount", "CreateServiceAccount", accounts.addServiceAccount, MAKING)],
  [
    "POST update-service-account",
    call("UpdateServiceAccount", "UpdateServiceAccount", accounts.updateServiceAccount, {
      sealed: "request",
      needs: "changeKey",
      status: NO_CONTENT,
    }),
  ],
  ["GET info-service-account", call("InfoServiceAccount", "ListServiceAccounts", accounts.serviceAccountInfo, answer)],
  ["GET info-access-key", call("InfoAccessKey", "ListServiceAccounts", accounts.accessKeyInfo, answer)],
  [
    "GET list-service-accounts",
    call("ListServiceAccounts", "ListServiceAccounts", accounts.listServiceAccounts, answer),
  ],
  ["GET list-access-keys-bulk", call("ListAccessKeys", "ListServiceAccounts", accounts.listAccessKeys, answer)],
  [
    "DELETE delete-service-account",
    call("DeleteServiceAccount", "RemoveServiceAccount", accounts.removeServiceAccount, { status: NO_CONTENT }),
  ],

  ["GET get-bucket-quota", call("GetBucketQuota", "GetBucketQuota", getQuota)],
  ["PUT set-bucket-quota", call("SetBucketQuota", "SetBucketQuota", setQuota)],
])

/** The action of MinIO's policies, as they name it. */
export const minioActionOf = ({ action }: Pick<MinioOperation, "action">): string => `admin:${action}`
