/** IAM and STS: users, roles, keys, policies and sessions of an account, in AWS's query protocol. */
export { ACTIONS } from "./actions.js"
export { createIamHandler } from "./handler.js"
export { LdapSignIn } from "./ldap-sign-in.js"
export { ProviderSignIn } from "./provider-sign-in.js"
export { speaksIam } from "./speaks-iam.js"
