/** The operations of `/v1/accounts/{account}/oidc-providers`: issuers whose tokens let web identities assume roles. */
import { hostAndPath, providerArn, type Account } from "@hayloft/access/index.js"
import type { IdentityProviderRecord } from "@hayloft/engine/format/accounts/identity-records.js"
import * as schema from "./identity-schemas.js"
import { accountIn, onAll, onNew, onProvider, providerIn, tagsOf } from "./identity-targets.js"
import { type OperationInput, parseBody } from "@hayloft/features/operator/index.js"
import { action, type AdminOperation, operation, type AdminServices } from "../operation.js"

const LIST = "/v1/accounts/{account}/oidc-providers"
const ONE = `${LIST}/{provider}`

/** `issuer`, since the audit log hides URLs, which may contain passwords; that of a provider cannot. */
function providerJson({ number }: Account, record: IdentityProviderRecord) {
  const { url: issuer, clientIds, thumbprints, tags, createdMs } = record
  const named = { provider: hostAndPath(issuer), issuer, arn: providerArn(number, issuer), createdMs }
  return { ...named, clientIds, thumbprints, tags: Object.fromEntries(tags) }
}

const on =
  (...actions: string[]) =>
  async (services: AdminServices, { segment }: OperationInput) =>
    onProvider(services, await accountIn(services, segment), providerIn(segment), actions)

const actionsOf = (body: unknown): readonly string[] => {
  const { addClientId, removeClientId, thumbprints, tags, removedTags } = parseBody(schema.CHANGE_OIDC_PROVIDER, body)
  return [
    ...(addClientId === undefined ? [] : ["iam:AddClientIDToOpenIDConnectProvider"]),
    ...(removeClientId === undefined ? [] : ["iam:RemoveClientIDFromOpenIDConnectProvider"]),
    ...(thumbprints === undefined ? [] : ["iam:UpdateOpenIDConnectProviderThumbprint"]),
    ...(tags === undefined ? [] : ["iam:TagOpenIDConnectProvider"]),
    ...(removedTags === undefined ? [] : ["iam:UntagOpenIDConnectProvider"]),
  ]
}

export const PROVIDER_OPERATIONS: readonly AdminOperation[] = [
  operation("listOidcProviders", `GET ${LIST}`, {
    summary: "Lists the OpenID Connect providers of an account.",
    answer: schema.OIDC_PROVIDERS,
    permission: async (services, { segment }) =>
      onAll(await accountIn(services, segment), "oidc-provider", "iam:ListOpenIDConnectProviders"),
    async run(services, { segment }) {
      const account = await accountIn(services, segment)
      const providers = await services.identities.listProviders(account.id)
      return { providers: providers.map(record => providerJson(account, record)) }
    },
  }),
  operation("createOidcProvider", `POST ${LIST}`, {
    request: schema.NEW_OIDC_PROVIDER,
    summary: "Lets tokens of an OpenID Connect provider assume those roles whose trust policy names it.",
    status: 201,
    answer: schema.OIDC_PROVIDER,
    async permission(services, { segment, body }) {
      const account = await accountIn(services, segment)
      const { issuer, tags } = parseBody(schema.NEW_OIDC_PROVIDER, body)
      const actions = { create: "iam:CreateOpenIDConnectProvider", tag: "iam:TagOpenIDConnectProvider" }
      return onNew(account, providerArn(account.number, issuer), actions, { tags: tagsOf(tags) })
    },
    async run(services, { segment, body }) {
      const account = await accountIn(services, segment)
      const { issuer: url, tags, ...terms } = parseBody(schema.NEW_OIDC_PROVIDER, body)
      services.checkIssuer(url)
      const provider = { url, ...terms, tags: tagsOf(tags) }
      return providerJson(account, await services.identities.createProvider(account.id, provider))
    },
  }),
  operation("getOidcProvider", `GET ${ONE}`, {
    summary: "Returns an OpenID Connect provider, by its host and path.",
    answer: schema.OIDC_PROVIDER,
    permission: on("iam:GetOpenIDConnectProvider"),
    async run(services, { segment }) {
      const account = await accountIn(services, segment)
      return providerJson(account, await services.identities.getProvider(account.id, providerIn(segment)))
    },
  }),
  operation("changeOidcProvider", `POST ${ONE}`, {
    request: schema.CHANGE_OIDC_PROVIDER,
    summary: "Changes the audiences, thumbprints or tags of an OpenID Connect provider.",
    answer: schema.OIDC_PROVIDER,
    permission: async (services, input) => on(...actionsOf(input.body))(services, input),
    async run(services, { segment, body }) {
      const account = await accountIn(services, segment)
      const { addClientId, removeClientId, ...change } = parseBody(schema.CHANGE_OIDC_PROVIDER, body)
      await services.identities.updateProvider(account.id, providerIn(segment), {
        ...(addClientId !== undefined && { addClientId }),
        ...(removeClientId !== undefined && { removeClientId }),
        ...(change.thumbprints && { thumbprints: change.thumbprints }),
        ...(change.tags && { tags: tagsOf(change.tags) }),
        ...(change.removedTags && { removeTags: change.removedTags }),
      })
      return providerJson(account, await services.identities.getProvider(account.id, providerIn(segment)))
    },
  }),
  action("deleteOidcProvider", `DELETE ${ONE}`, {
    summary: "Deletes an OpenID Connect provider; sessions of its identities end.",
    permission: on("iam:DeleteOpenIDConnectProvider"),
    run: async (services, { segment }) =>
      services.identities.removeProvider((await accountIn(services, segment)).id, providerIn(segment)),
  }),
]
