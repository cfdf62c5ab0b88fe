/** The operations of `/v1/tokens`: tokens of the admin API itself. */
import type { z } from "zod"
import { parseAdminTokenId } from "@hayloft/base/ids.js"
import { printable, tableText, timeText } from "@hayloft/base/text/report-text.js"
import { TOKEN_SCOPES, type TokenScope } from "@hayloft/engine/format/accounts/admin-token.js"
import { CommandProblem, parseBody } from "@hayloft/features/operator/index.js"
import { action, operation, type AdminOperation, type AdminServices } from "../operation.js"
import * as schema from "./token-schemas.js"

type Shown = Awaited<ReturnType<AdminServices["tokens"]["list"]>>[number]

const tokenJson = ({ expiresMs, usedMs, ...token }: Shown) => ({
  ...token,
  ...(expiresMs !== undefined && { expiresMs }),
  ...(usedMs !== undefined && { usedMs }),
})

type Token = z.output<typeof schema.ADMIN_TOKENS>["tokens"][number]

/** The scopes that are typed with commas between them. */
const scopesIn = (text: string): readonly TokenScope[] =>
  text.split(",").map(each => {
    const scope = TOKEN_SCOPES.find(known => known === each.trim())
    if (scope !== undefined) return scope
    throw new CommandProblem("usage", `--scope: "${each.slice(0, 80)}" is none of ${TOKEN_SCOPES.join(", ")}`)
  })

const scopesText = ({ scopes, expiresMs }: Token): string =>
  `${scopes.join(", ")}${expiresMs === undefined ? "" : `, until ${timeText(expiresMs)}`}`

function tokensText({ tokens }: z.output<typeof schema.ADMIN_TOKENS>): string {
  const rows = tokens.map(({ id, name, scopes, expiresMs, usedMs }) => [
    id,
    printable(name),
    scopes.join(","),
    expiresMs === undefined ? "never" : timeText(expiresMs),
    usedMs === undefined ? "never" : timeText(usedMs),
  ])
  return tableText(["TOKEN", "NAME", "SCOPES", "EXPIRES", "LAST USED"], rows)
}

const createdText = (created: z.output<typeof schema.CREATED_ADMIN_TOKEN>): string =>
  `token ${created.id} for ${printable(created.name)}: ${scopesText(created)}; it is shown only now\n${created.token}\n`

export const TOKEN_OPERATIONS: readonly AdminOperation[] = [
  operation("listTokens", "GET /v1/tokens", {
    summary: "Lists the tokens of the admin API, without their secrets.",
    answer: schema.ADMIN_TOKENS,
    run: async ({ tokens }) => ({ tokens: (await tokens.list()).map(tokenJson) }),
    commands: [
      {
        name: "token list",
        help: "all tokens: what they may do, until when, and when they were last used",
        list: "tokens",
        text: tokensText,
      },
    ],
  }),
  operation("createToken", "POST /v1/tokens", {
    request: schema.NEW_ADMIN_TOKEN,
    summary: "Creates a token of the admin API; the answer shows it, once.",
    status: 201,
    answer: schema.CREATED_ADMIN_TOKEN,
    async run({ tokens }, { body }) {
      const { name, scopes, expiresMs } = parseBody(schema.NEW_ADMIN_TOKEN, body)
      const { token, text } = await tokens.create({ name, scopes, expiresMs })
      return { ...tokenJson(token), token: text }
    },
    commands: [
      {
        name: "token create",
        help: "make a token, and show it once",
        inputs: {
          name: { flags: "<NAME>", help: "what it is for" },
          scopes: {
            flags: "--scope <LIST>",
            help: `what it may do, separated by commas: ${TOKEN_SCOPES.join(", ")}; each but read and all is for changes of its area`,
            reads: scopesIn,
            isRequired: true,
          },
          expiresMs: {
            flags: "--expires <DURATION>",
            help: "duration after which it is refused: 12h, 90d (default: never)",
            reads: "expiry",
          },
        },
        text: createdText,
      },
    ],
  }),
  action("revokeToken", "DELETE /v1/tokens/{token}", {
    summary: "Revokes a token of the admin API, from the next request on.",
    run: ({ tokens }, { segment }) => tokens.revoke(parseAdminTokenId(segment("token"))),
    commands: [
      {
        name: "token revoke",
        help: "refuse a token from the next request on",
        inputs: { token: { flags: "<ID>", help: "as token list shows it" } },
        json: (_, given) => ({ id: given("token"), revoked: true }),
        text: (_, given) => `revoked token ${given("token")}\n`,
      },
    ],
  }),
]
