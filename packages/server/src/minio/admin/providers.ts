/** Identity providers of OpenID Connect, as `mc idp openid list` shows them. */
import { OIDC_PROVIDERS } from "@hayloft/admin/identities/identity-schemas.js"
import type { MinioContext } from "./call-context.js"
import { inAccount } from "./users.js"

export async function openIdProviders(call: MinioContext) {
  const { providers } = await call.get("listOidcProviders", OIDC_PROVIDERS, inAccount(call))
  return providers.map(({ provider }) => ({ type: "openid", name: provider, enabled: true }))
}
