/** Schemas of tokens in the admin API's JSON. */
import { z } from "zod"
import { TOKEN_NAME_CHARACTERS_MAX, TOKEN_SCOPES } from "@hayloft/engine/format/accounts/admin-token.js"

const timestamp = z.number().int().describe("milliseconds since 1970")
const scope = z.enum(TOKEN_SCOPES)
const name = z.string().min(1).max(TOKEN_NAME_CHARACTERS_MAX)

const FACTS = {
  id: z.string().describe("names the token, and is no secret"),
  name: z.string(),
  scopes: z.array(scope),
  createdMs: timestamp,
  expiresMs: timestamp.optional().describe("from when on it is refused; absent: never"),
  usedMs: timestamp.optional().describe("its last use, to a quarter of an hour; absent: it was never used"),
}

export const ADMIN_TOKENS = z.object({ tokens: z.array(z.object(FACTS)) }).meta({ id: "AdminTokens" })

export const NEW_ADMIN_TOKEN = z
  .strictObject({
    name: name.describe("what it is for"),
    scopes: z.array(scope).min(1).max(TOKEN_SCOPES.length),
    expiresMs: timestamp.nonnegative().optional(),
  })
  .meta({ id: "NewAdminToken" })

export const CREATED_ADMIN_TOKEN = z
  .object({ ...FACTS, token: z.string().describe("the token itself: it is shown only now") })
  .meta({ id: "CreatedAdminToken" })
