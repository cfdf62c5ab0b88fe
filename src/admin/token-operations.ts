/** The operations of `/v1/tokens`: tokens of the admin API itself. */
import { parseAdminTokenId } from "../base/ids.js"
import { parseBody, type Operation, type Services } from "./operation.js"
import * as schema from "./token-schemas.js"

type Shown = Awaited<ReturnType<Services["tokens"]["list"]>>[number]

const tokenJson = ({ expiresMs, usedMs, ...token }: Shown) => ({
  ...token,
  ...(expiresMs !== undefined && { expiresMs }),
  ...(usedMs !== undefined && { usedMs }),
})

export const TOKEN_OPERATIONS: readonly Operation[] = [
  {
    ...{ id: "listTokens", method: "GET", path: "/v1/tokens", parameters: [], request: undefined },
    summary: "Lists the tokens of the admin API, without their secrets.",
    response: { status: 200, schema: schema.ADMIN_TOKENS },
    run: async ({ tokens }) => ({ tokens: (await tokens.list()).map(tokenJson) }),
  },
  {
    ...{ id: "createToken", method: "POST", path: "/v1/tokens", parameters: [], request: schema.NEW_ADMIN_TOKEN },
    summary: "Creates a token of the admin API; the answer shows it, once.",
    response: { status: 201, schema: schema.CREATED_ADMIN_TOKEN },
    async run({ tokens }, { body }) {
      const { name, scopes, expiresMs } = parseBody(schema.NEW_ADMIN_TOKEN, body)
      const { token, text } = await tokens.create({ name, scopes, expiresMs })
      return { ...tokenJson(token), token: text }
    },
  },
  {
    ...{ id: "revokeToken", method: "DELETE", path: "/v1/tokens/{token}", parameters: [], request: undefined },
    summary: "Revokes a token of the admin API, from the next request on.",
    response: { status: 204, schema: undefined },
    run: ({ tokens }, { segment }) => tokens.revoke(parseAdminTokenId(segment("token"))),
  },
]
