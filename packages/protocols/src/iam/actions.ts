/** All actions of both services, by name. A missing action returns 501. */
import type { Action, Actions, IamService } from "./action.js"
import { ACCESS_KEYS } from "./actions/access-keys.js"
import { ACCOUNT } from "./actions/account.js"
import { ATTACHED_POLICIES } from "./actions/attached-policies.js"
import { GROUPS } from "./actions/groups.js"
import { INLINE_POLICIES } from "./actions/inline-policies.js"
import { MANAGED_POLICIES } from "./actions/managed-policies.js"
import { PROVIDERS } from "./actions/providers.js"
import { ROLES } from "./actions/roles.js"
import { SESSIONS } from "./actions/sessions.js"
import { TAGS } from "./actions/tags.js"
import { USERS } from "./actions/users.js"

export const ACTIONS: Readonly<Record<IamService, Actions>> = {
  iam: {
    ...USERS,
    ...GROUPS,
    ...ROLES,
    ...ACCESS_KEYS,
    ...INLINE_POLICIES,
    ...MANAGED_POLICIES,
    ...ATTACHED_POLICIES,
    ...PROVIDERS,
    ...TAGS,
    ...ACCOUNT,
  },
  sts: SESSIONS,
}

export const findAction = (service: IamService, name: string): Action | undefined =>
  Object.hasOwn(ACTIONS[service], name) ? ACTIONS[service][name] : undefined
